"""The embedding of a large plane: tiles that are encoded when first needed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam.images import Plane
from napari_sam.models.lane import checkpoint
from napari_sam.types import Embedding

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_sam.models.tiles.grid import Grid, Part
    from napari_sam.types import IntBox

BUDGET: Final = 512 * 2**20
"""Bytes of the tiles that stay encoded; the last one stays whatever it takes."""


class Kept:
    """The tiles that were used last.

    Parameters
    ----------
    budget : int
        Bytes.
    """

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget = budget
        self._tiles: OrderedDict[Part, tuple[Embedding, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, part: Part) -> Embedding | None:
        """Return a tile; None where it is not there."""
        with self._lock:
            if part not in self._tiles:
                return None
            self._tiles.move_to_end(part)
            return self._tiles[part][0]

    def put(self, part: Part, embedding: Embedding, nbytes: int) -> None:
        """Keep a tile, and forget those that were used longest ago."""
        with self._lock:
            self._tiles[part] = embedding, nbytes
            self._tiles.move_to_end(part)
            total = sum(size for _, size in self._tiles.values())
            while total > self.budget and len(self._tiles) > 1:
                _, (_, size) = self._tiles.popitem(last=False)
                total -= size

    def __len__(self) -> int:
        return len(self._tiles)


@dataclass(frozen=True, slots=True, eq=False)
class LargeEmbedding(Embedding):
    """A plane in tiles, none of which is encoded before it is needed.

    Attributes
    ----------
    plane : Plane
    grid : Grid
    kept : Kept
    """

    plane: Plane = field(kw_only=True)
    grid: Grid = field(kw_only=True)
    kept: Kept = field(kw_only=True, default_factory=Kept)

    @property
    def nbytes(self) -> int:
        """What it may come to take."""
        return self.kept.budget


def reduced(plane: Plane, box: IntBox, step: int) -> Plane:
    """Return a part of a plane, each step × step pixels as their mean.

    A few rows at a time, so that all of a large plane can be asked for; from a coarser
    level of the image, where it has one.
    """
    if step == 1:
        return plane if box == (0, 0, *plane.shape) else plane.crop(box)
    for factor, coarse in sorted(plane.coarser, key=lambda each: -each[0]):
        if step % factor == 0:
            y0, x0, y1, x1 = box
            bottom, right = (-(-end // factor) for end in (y1, x1))
            height, width = coarse.shape
            inner = (y0 // factor, x0 // factor, min(bottom, height), min(right, width))
            return reduced(coarse, inner, step // factor)
    bands = []
    for band in plane.bands(box, step):
        checkpoint()
        bands.append(_means(band.pixels, step))
    pixels = np.concatenate(bands)
    return Plane(pixels, plane.index, plane.normalization, plane.diameter)


def _means(pixels: npt.NDArray[Any], step: int) -> npt.NDArray[np.uint8]:
    """Return the means of blocks (h, w, 3); those at the end may be smaller."""
    for axis in (0, 1):
        starts = np.arange(0, pixels.shape[axis], step)
        sizes = np.diff([*starts, pixels.shape[axis]])
        shape = (-1, 1, 1) if axis == 0 else (1, -1, 1)
        sums = np.add.reduceat(pixels, starts, axis, dtype=np.float32)
        pixels = sums / sizes.reshape(shape).astype(np.float32)
    means: npt.NDArray[np.uint8] = np.rint(pixels).astype(np.uint8)
    return means
