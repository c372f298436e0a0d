"""The images that ship, with their true objects; `README.md` names the sources."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class DemoImage:
    """One image that ships.

    Attributes
    ----------
    key : str
        Stem of its files.
    title : str
        What people read.
    modality : str
        How it was taken.
    axes : str
        One letter per axis of the image; "S" is colour.
    link : str
        "stack" where objects go through planes, "none" where there is one.
    source : str
        Data set and id of the field that it is, or is cut from.
    """

    key: str
    title: str
    modality: str
    axes: str
    link: str
    source: str

    @property
    def image(self) -> Path:
        """Where its pixels are."""
        return FOLDER / "images" / f"{self.key}.tif"

    @property
    def truth(self) -> Path:
        """Where its true objects are."""
        return FOLDER / "truth" / f"{self.key}.tif"


def demo_images() -> tuple[DemoImage, ...]:
    """Return the images that ship, in the order in which they are shown."""
    table: dict[str, Any] = tomllib.loads((FOLDER / "demo.toml").read_text("utf-8"))
    return tuple(DemoImage(**row) for row in table["image"])
