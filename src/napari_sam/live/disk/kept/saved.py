"""The files that Save writes: where they are, what is in them."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    PositiveInt,
    ValidationError,
)

from napari_sam.live.disk.kept.written import PlaneText, one_line
from napari_sam.types import NapariSamError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam.live.values import ObjectRecord

PROMPTS: Final = "prompts.json"
TABLE: Final = "objects.csv"
LABELS: Final = "labels"
KNOWN: Final = "known"
PROGRESS: Final = "progress"  # among the state: what is complete

# What the columns of the table that are about an object's making are called.
FIELDS: Final = ("source", "annotator", "reviewed", "model", "model_sha256")

_FORBIDDEN: Final = re.compile(r'[<>:"/\\|?*\x00-\x1f]+')
_DEVICES: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


class SaveError(NapariSamError):
    """Labels cannot be saved there, or not be opened again."""


def _inside(place: str) -> str:
    path = PurePosixPath(place)
    if path.is_absolute() or ".." in path.parts or "\\" in place or ":" in place:
        raise ValueError("must lie in this folder")
    return place


class ImageText(BaseModel):
    """Which image the labels are of.

    Attributes
    ----------
    name : str
    shape : tuple of int
        Of the labels.
    stack_axes : str
        One letter for each axis in front of height and width.
    path, fingerprint : str
        Empty where it is not known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    shape: tuple[PositiveInt, ...]
    stack_axes: str = ""
    path: str = ""
    fingerprint: str = ""


class SavedText(BaseModel):
    """What stands in `prompts.json`."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    program: str = ""
    image: ImageText
    labels: Annotated[str, AfterValidator(_inside)]
    next_id: PositiveInt
    classes: dict[int, str] = {}
    state: dict[str, Any] = {}
    prompts: dict[int, list[PlaneText]] = {}


def read_saved(folder: Path) -> SavedText | None:
    """Read `prompts.json`; None where there is none.

    Raises
    ------
    SaveError
        If it cannot be understood.
    """
    path = folder / PROMPTS
    try:
        return SavedText.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SaveError(
            f"{path} cannot be read ({error.strerror or error}): check that its disk "
            "is connected and that you may read it"
        ) from error
    except ValidationError as error:
        raise SaveError(
            f"{path} is damaged or of another version of this program "
            f"({one_line(error)}): take it from a copy, or open the labels in "
            f"{folder / LABELS} alone"
        ) from error


def file_name(name: str) -> str:
    """Return a name for a file, which every system allows.

    Examples
    --------
    >>> file_name("well A/1: nuclei"), file_name(" .. "), file_name("aux")
    ('well A_1_ nuclei', 'image', '_aux')
    """
    plain = _FORBIDDEN.sub("_", name)[:100].strip(" .")
    return f"_{plain}" if _DEVICES.fullmatch(plain) else plain or "image"


def about(record: ObjectRecord) -> Mapping[str, Any]:
    """Return the columns that are about an object's making."""
    return {name: getattr(record, name) for name in FIELDS}
