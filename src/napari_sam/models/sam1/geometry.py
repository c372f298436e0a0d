"""Between a plane's pixels and SAM's 1024×1024 input: Meta's transform, exactly.

A plane is scaled so that its longer side has 1024 pixels and padded below and
to the right. SAM's low-resolution masks are a quarter of that, 256×256. This
module knows numpy only; coordinates come in as (y, x) in data pixels, where a
pixel's centre is at +.5, and leave as SAM's (x, y), where it is at +0 since the
prompt encoder adds the half itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam.types import FloatArray

INPUT = 1024  # side of the encoder's input
LOW = 256  # side of the low-resolution masks
# Logits that stand for a mask given as bool: those of a network that is sure.
# SAM 2 uses the same numbers for its users' masks.
SURE = 10.0


@dataclass(frozen=True, slots=True)
class Frame:
    """How one plane lies in SAM's input.

    Attributes
    ----------
    shape : (H, W)
        Of the plane.
    inner : (h, w)
        Of the scaled plane in the upper left corner of the input.
    direct : bool
        Low-resolution masks go to the plane in one step, not by way of the input.
    side, low : int
        Of the encoder's input, and of the low-resolution masks.
    """

    shape: tuple[int, int]
    inner: tuple[int, int]
    direct: bool = False
    side: int = INPUT
    low: int = LOW

    @classmethod
    def of(cls, shape: tuple[int, int]) -> Frame:
        """Scale the longer side to 1024, the other one to the nearest pixel."""
        scale = INPUT * 1.0 / max(shape)
        # Meta rounds a line 2,500 times as long as it is wide to nothing.
        height, width = (max(1, int(side * scale + 0.5)) for side in shape)
        return cls(shape, (height, width))

    @classmethod
    def stretched(
        cls, shape: tuple[int, int], side: int = INPUT, low: int = LOW
    ) -> Frame:
        """Scale both sides to 1024, as SAM 2 does, or to what SAM 3 takes."""
        return cls(shape, (side, side), direct=True, side=side, low=low)

    def image(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Scale a plane's pixels (H, W, 3) to (h, w, 3), antialiased, by Pillow."""
        height, width = self.inner
        picture = Image.fromarray(np.ascontiguousarray(pixels))
        return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))

    def positions(self, yx: npt.ArrayLike) -> FloatArray:
        """Turn (y, x) positions (..., 2) in data pixels into SAM's (x, y)."""
        at = np.asarray(yx, np.float64) - 0.5
        at = at * (np.array(self.inner) / np.array(self.shape))
        positions: FloatArray = at[..., ::-1].astype(np.float32)
        return positions

    def boxes(self, boxes: npt.ArrayLike) -> FloatArray:
        """Turn boxes (..., 4) = (y0, x0, y1, x1) into SAM's (x0, y0, x1, y1)."""
        corners = np.asarray(boxes, np.float64)
        positions = self.positions(corners.reshape(*corners.shape[:-1], 2, 2))
        return positions.reshape(corners.shape)

    def low_mask(
        self, mask: npt.NDArray[Any], corner: tuple[int, int] = (0, 0)
    ) -> FloatArray:
        """Turn a mask prompt into SAM's low-resolution logits.

        Parameters
        ----------
        mask : array, shape (h, w)
            Float logits, or bool or integers (object where > 0), which become
            -10 and 10. Each cell of the result is the antialiased mean of the
            pixels around its centre. Beside the mask there is no object: -10.
        corner : (y, x)
            Where the mask lies in the plane.

        Returns
        -------
        float32 array, shape (low, low)
        """
        soft = np.issubdtype(mask.dtype, np.floating)
        there = mask != -SURE if soft else mask > 0
        # Only where there is something: most objects are small.
        y, x = (np.flatnonzero(there.any(axis)) for axis in (1, 0))
        part = np.s_[y[0] : y[-1] + 1], np.s_[x[0] : x[-1] + 1]
        if soft:
            above = mask[part].astype(np.float32) + np.float32(SURE)
        else:
            above = there[part] * np.float32(2 * SURE)
        rows, columns = (
            self._down(size, inner)[:, start + seen.start : start + seen.stop]
            for size, inner, start, seen in zip(
                self.shape, self.inner, corner, part, strict=True
            )
        )
        low: FloatArray = rows @ above @ columns.T
        return low - np.float32(SURE)

    def axes(self) -> tuple[Axis, Axis]:
        """Return how low-resolution rows and columns become the plane's."""
        (height, width), (h, w) = self.shape, self.inner
        if self.direct:
            return _direct(height, self.low), _direct(width, self.low)
        return _axis(height, h), _axis(width, w)

    def _down(self, size: int, inner: int) -> FloatArray:
        return _down(size, inner, self.side, self.low)


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """Interpolation from low-resolution cells to the pixels of a plane along one axis.

    Attributes
    ----------
    weights : float32 array, shape (size, cells)
        Each row sums to 1 and is zero but for a few neighbouring cells.
    first, last : int64 array, shape (size,)
        Of those cells; both never decrease.
    """

    weights: FloatArray
    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]

    def reached(self, low: int, high: int) -> tuple[int, int]:
        """Return the half-open range of pixels that see any of the cells low..high."""
        start = int(np.searchsorted(self.last, low, side="left"))
        stop = int(np.searchsorted(self.first, high, side="right"))
        return start, max(start, stop)

    def cells(self, start: int, stop: int) -> tuple[int, int]:
        """Return the half-open range of cells that the pixels start..stop-1 see."""
        return int(self.first[start]), int(self.last[stop - 1]) + 1

    def parts(
        self, start: int, stop: int, together: int
    ) -> Iterator[tuple[slice, FloatArray, slice]]:
        """Cut the pixels start..stop-1 into parts, each with only what it needs.

        Yields
        ------
        part : slice
            Counted from `start`.
        weights : float32 array, shape (len(part), len(cells))
        cells : slice
            Which cells the part sees.
        """
        for first in range(start, stop, together):
            end = min(first + together, stop)
            cells = slice(*self.cells(first, end))
            part = slice(first - start, end - start)
            yield part, self.weights[first:end, cells], cells


@lru_cache(maxsize=16)
def _axis(size: int, inner: int) -> Axis:
    """Compose Meta's two bilinear steps, 256 → 1024, cut to `inner`, → size."""
    first_step = _lerp(INPUT, LOW)[:inner]
    low, high, share = _neighbours(size, inner)
    share = share[:, None]
    return _used(first_step[low] * (1 - share) + first_step[high] * share)


@lru_cache(maxsize=16)
def _direct(size: int, low: int) -> Axis:
    """Take low → size at once."""
    return _used(_lerp(size, low))


def _used(weights: npt.NDArray[np.float64]) -> Axis:
    used = weights > 0
    first = used.argmax(1)
    last = used.shape[1] - 1 - used[:, ::-1].argmax(1)
    return Axis(weights.astype(np.float32), first, last)


def _lerp(size: int, source: int) -> npt.NDArray[np.float64]:
    """Return bilinear weights (size, source), as torch with align_corners=False."""
    low, high, share = _neighbours(size, source)
    weights = np.zeros((size, source))
    weights[np.arange(size), low] += 1 - share
    weights[np.arange(size), high] += share
    return weights


def _neighbours(
    size: int, source: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return both samples between which each output lies, and the second's share."""
    at = np.maximum((np.arange(size) + 0.5) * (source / size) - 0.5, 0)
    low = np.minimum(at.astype(np.int64), source - 1)
    return low, np.minimum(low + 1, source - 1), at - low


@lru_cache(maxsize=16)
def _down(size: int, inner: int, side: int, low: int) -> FloatArray:
    """Return weights (low, size) of a plane's pixels in each cell; zero beside it."""
    step = side / low * size / inner  # pixels in a cell
    centre = (np.arange(low) + 0.5) * step
    away = np.abs(centre[:, None] - (np.arange(size) + 0.5))
    weights = np.maximum(0, 1 - away / max(step, 1.0))
    weights /= np.maximum(weights.sum(1, keepdims=True), 1e-9)
    weights[centre >= size + 0.5 * (step - 1)] = 0
    return weights.astype(np.float32)
