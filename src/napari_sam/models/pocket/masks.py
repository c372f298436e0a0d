"""Between a region's 64 × 64 samples and a plane's pixels; numpy only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

from napari_sam.models.pocket.network import REGION
from napari_sam.types import Mask

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_sam.types import FloatArray

_STABILITY = 1.0  # offset of the logits
_ROWS = 256  # of a mask that become floats at a time
_NOTHING = Mask((0, 0, 0, 0), np.zeros((0, 0), np.bool_), score=0.0, stability=0.0)


class Known:
    """An object as known so far: where it is, and what a region sees of it.

    Parameters
    ----------
    mask : array, shape (h, w)
        Float logits, or bool or integers (object where > 0). Beside it there is
        nothing.
    corner : (y, x)
        Where the mask lies in the plane.
    """

    def __init__(self, mask: npt.NDArray[Any], corner: tuple[int, int] = (0, 0)):
        self._mask, self._corner = mask, corner
        inside = mask if mask.dtype == np.bool_ else mask > 0
        rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
        low = np.array([rows[0], columns[0]]) + corner
        high = np.array([rows[-1], columns[-1]]) + corner + 1
        self.box: FloatArray = np.concatenate([low, high]).astype(np.float32)

    def sample(self, region: FloatArray) -> FloatArray:
        """Return the mean probability around each sample of a region, (64, 64)."""
        (y, rows), (x, columns) = (
            _means(float(region[i]), float(region[i + 2]), self._corner[i], size)
            for i, size in enumerate(self._mask.shape)
        )
        seen = self._mask[y, x]
        total = np.zeros((REGION, REGION), np.float32)
        # A mask may be as large as the plane: never all of it as floats.
        for start in range(0, len(seen), _ROWS):
            part = slice(start, start + _ROWS)
            total += rows[:, part] @ (_probabilities(seen[part]) @ columns.T)
        return total


def to_mask(
    logits: FloatArray, region: FloatArray, shape: tuple[int, int], score: float
) -> Mask:
    """Upsample logits (64, 64) bilinearly, only where the mask can be."""
    inside = np.argwhere(logits > 0)
    if not len(inside):
        return _NOTHING
    start, side = region[:2], float(region[2] - region[0])
    cell = side / REGION
    # A sample reaches as far as the centres of its neighbours.
    first = np.maximum(start + (inside.min(0) - 0.5) * cell, start)
    last = np.minimum(start + (inside.max(0) + 1.5) * cell, start + side)
    low = np.clip(np.floor(first).astype(int), 0, shape)
    high = np.clip(np.ceil(last).astype(int), low, shape)
    rows = _lerp_matrix(low[0], high[0], float(start[0]), side)
    columns = _lerp_matrix(low[1], high[1], float(start[1]), side)
    inner, outer = (logits > _STABILITY).sum(), (logits > -_STABILITY).sum()
    mask = Mask.from_array(
        rows @ logits @ columns.T > 0,
        (int(low[0]), int(low[1])),
        score=score,
        stability=float(inner / outer),
    )
    return mask if mask.area else _NOTHING  # all of it may lie beside the plane


def _probabilities(mask: npt.NDArray[Any]) -> FloatArray:
    if np.issubdtype(mask.dtype, np.floating):
        probabilities: FloatArray = expit(mask.astype(np.float32))
        return probabilities
    return (mask > 0).astype(np.float32)


def _means(
    start: float, stop: float, corner: int, size: int
) -> tuple[slice, FloatArray]:
    """Return which pixels of a mask a region's samples see along one axis.

    Each sample is the mean of bilinear ones, which are at most two pixels apart,
    or masks much larger than a region would alias.

    Returns
    -------
    seen : slice
        Of the mask's `size` pixels, the first of which lies at `corner`.
    weights : float32 array, shape (64, len(seen))
    """
    finer = max(1, int(np.ceil(2 * (stop - start) / REGION)) // 2)
    steps = (np.arange(REGION * finer) + 0.5) / (REGION * finer)
    at = start + (stop - start) * steps - corner - 0.5
    near = np.floor(at).astype(np.int64)
    first, last = np.clip([near[0], near[-1] + 2], 0, size)
    weights = np.zeros((REGION, last - first), np.float32)
    sample = np.arange(len(at)) // finer
    for pixel, weight in ((near, near + 1 - at), (near + 1, at - near)):
        on = (pixel >= first) & (pixel < last)
        np.add.at(weights, (sample[on], pixel[on] - first), weight[on])
    weights /= finer
    return slice(int(first), int(last)), weights


def _lerp_matrix(low: int, high: int, start: float, side: float) -> FloatArray:
    """Return weights (high - low, 64) of the samples at each pixel centre."""
    at = (np.arange(low, high) + 0.5 - start) / side * REGION - 0.5
    at = np.clip(at, 0, REGION - 1)
    distance = np.abs(at[:, None] - np.arange(REGION)[None, :])
    weights: FloatArray = np.maximum(0, 1 - distance).astype(np.float32)
    return weights
