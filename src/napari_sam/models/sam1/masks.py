"""From low-resolution logits to masks, each upsampled only where it can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

from napari_sam.types import Mask

if TYPE_CHECKING:
    from napari_sam.models.sam1.geometry import Frame
    from napari_sam.types import BoolArray, FloatArray, IntBox

STABILITY_OFFSET = 1.0  # Meta's `calculate_stability_score` uses the same
# Neighbouring pixels see few cells: the products are small in parts.
_TOGETHER = 64


def full_logits(frame: Frame, logits: FloatArray) -> FloatArray:
    """Upsample logits (256, 256) to the whole plane (H, W), as Meta does.

    Meta's `postprocess_masks` interpolates to 1024×1024, cuts the padding off
    and interpolates to the plane's size; both steps are linear along each axis,
    so they are two matrix products.
    """
    rows, columns = frame.axes()
    plane: FloatArray = rows.weights @ (logits @ columns.weights.T)
    return plane


def part_of(frame: Frame, logits: FloatArray, box: IntBox) -> FloatArray:
    """Return the probabilities of a part (y0, x0, y1, x1) of the plane."""
    rows, columns = frame.axes()
    y0, x0, y1, x1 = box
    across = logits @ columns.weights[x0:x1].T
    found: FloatArray = expit(rows.weights[y0:y1] @ across)
    return found


def to_mask(frame: Frame, logits: FloatArray, score: float, memory: Any = None) -> Mask:
    """Cut one mask out of its low-resolution logits.

    Parameters
    ----------
    frame : Frame
    logits : float32 array, shape (256, 256)
        Positive inside of the object.
    score : float
        The IoU that the model predicts.
    memory : Any
        What the mask remembers.

    Returns
    -------
    Mask
        The same pixels as `full_logits(frame, logits) > 0`. Its stability is
        measured on the low-resolution logits. An empty mask has the score 0 and
        remembers nothing.
    """
    logits = _on_plane(frame, logits)
    where, data = _positive(frame, logits)
    stability = stability_score(logits)
    mask = Mask.from_array(data, where, score=score, stability=stability, memory=memory)
    if mask.area:
        return mask
    return Mask(mask.box, mask.data, score=0.0, stability=0.0)


def stability_score(logits: FloatArray) -> float:
    """Return the IoU of the masks at the thresholds 1 and -1."""
    inner = int((logits > STABILITY_OFFSET).sum())
    outer = int((logits > -STABILITY_OFFSET).sum())
    return inner / max(1, outer)


def _on_plane(frame: Frame, logits: FloatArray) -> FloatArray:
    """Leave the cells out that no pixel sees: those of the padding."""
    height, width = (int(axis.last[-1]) + 1 for axis in frame.axes())
    return logits[:height, :width]


def _positive(frame: Frame, logits: FloatArray) -> tuple[tuple[int, int], BoolArray]:
    """Return where the upsampled logits can be positive, and whether they are.

    A pixel's logit is a mean of its cells', so it is positive only where one of
    the cells is.
    """
    positive = logits > 0
    y = np.flatnonzero(positive.any(1))
    if not y.size:
        return (0, 0), np.zeros((0, 0), np.bool_)
    x = np.flatnonzero(positive[y[0] : y[-1] + 1].any(0))
    rows, columns = frame.axes()
    y0, y1 = rows.reached(int(y[0]), int(y[-1]))
    x0, x1 = columns.reached(int(x[0]), int(x[-1]))
    if y0 == y1 or x0 == x1:  # small planes do not see every cell
        return (0, 0), np.zeros((0, 0), np.bool_)
    low, high = rows.cells(y0, y1)
    across = np.empty((x1 - x0, high - low), np.float32)
    for part, weights, cells in columns.parts(x0, x1, _TOGETHER):
        across[part] = weights @ logits[low:high, cells].T
    data = np.empty((y1 - y0, x1 - x0), np.bool_)
    for part, weights, cells in rows.parts(y0, y1, _TOGETHER):
        seen = across[:, cells.start - low : cells.stop - low]
        np.greater(weights @ seen.T, 0, out=data[part])
    return (y0, x0), data
