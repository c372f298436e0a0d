"""Labels that are hard to write down, as files, and how they are exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from skimage.draw import disk

from napari_sam.records.deliver import export

Labels = npt.NDArray[np.uint16]
Exporter = Callable[..., Path]

SHAPE = (70, 90)


@pytest.fixture
def hard() -> Labels:
    """Objects with holes, pieces, at the border, of one pixel, and touching."""
    labels = np.zeros(SHAPE, np.uint16)
    labels[disk((18, 18), 12)] = 1
    labels[disk((18, 18), 4)] = 0  # a hole
    labels[16:20, 16:20] = 2  # another object in it
    labels[disk((15, 70), 7)] = 5
    labels[40:50, 60:64] = 5  # a second piece
    labels[60:, :10] = 7  # in a corner
    labels[30, 45] = 300  # one pixel
    labels[50, 20] = labels[51, 21] = 9  # two that share a corner
    labels[50:60, 30:40] = 11
    labels[50:60, 40:50] = 12  # touching
    labels[53:57, 33:37] = 0
    labels[54, 34] = labels[55, 35] = 11  # pieces in a hole
    return labels


@pytest.fixture
def planes(hard: Labels) -> Labels:
    """A hard one, an empty one, another."""
    return np.stack([hard, np.zeros_like(hard), hard[::-1, ::-1]])


@pytest.fixture
def stack(planes: Labels, tmp_path: Path) -> Path:
    """Labels (3, 70, 90) along z, and an image of the same name in `images`."""
    labels = planes
    metadata = {"axes": "ZYX", "spacing": 2.0, "unit": "um"}
    options = {"imagej": True, "metadata": metadata, "resolution": (4, 2)}
    path = tmp_path / "given" / "zäh lüng.tif"
    path.parent.mkdir()
    tifffile.imwrite(path, labels, **options)
    image = (labels > 0) * np.uint16(3000) + np.arange(90, dtype=np.uint16)
    (tmp_path / "images").mkdir()
    tifffile.imwrite(tmp_path / "images" / "zäh lüng.tif", image, **options)
    return path


@pytest.fixture
def exported(stack: Path, tmp_path: Path) -> Exporter:
    """Return the folder of a format, with `stack` in it."""

    def run(name: str, **options: object) -> Path:
        output = tmp_path / "out"
        report = export([stack], output, [name], images=tmp_path / "images", **options)
        assert report.ok, report.inputs
        return output / name

    return run
