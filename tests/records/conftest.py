"""Small images with bright discs, as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from skimage.draw import disk

from napari_sam.segment.recipe import Recipe

Writer = Callable[..., Path]


def draw_discs(shape: tuple[int, ...], seed: int = 0) -> npt.NDArray[np.uint16]:
    """Three bright discs; all planes are the same."""
    random = np.random.default_rng(seed)
    image = np.empty(shape, np.uint16)
    image[...] = random.integers(90, 110, shape[-2:])
    for y, x in ((16, 16), (20, 44), (46, 30)):
        image[..., *disk((y, x), 8, shape=shape[-2:])] += 900
    return image


@pytest.fixture
def write_discs(tmp_path: Path) -> Writer:
    def write(name: str, shape: tuple[int, ...] = (64, 64), **options: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = draw_discs(shape)
        if "axes" in options:
            metadata = {"axes": options.pop("axes"), **options.pop("metadata", {})}
            options |= {"imagej": True, "metadata": metadata}
        tifffile.imwrite(path, image, photometric="minisblack", **options)
        return path

    return write


@pytest.fixture
def recipe() -> Recipe:
    """The detector that needs no training finds discs without doubt."""
    return Recipe(detector="threshold", device="cpu", link="stack")
