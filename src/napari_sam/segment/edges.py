"""Edges of a plane, from the answers to a grid of clicks, as in the paper on SAM.

Kirillov et al. 2023, "Segment Anything", appendix on zero-shot edge detection: the
probabilities of all masks, their gradients where a mask ends, the largest of these, and
non-maximum suppression along the edges (Canny 1986).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam.models.everything import GridOptions
from napari_sam.models.lane import checkpoint, report
from napari_sam.models.protocol import SoftModel
from napari_sam.segment.everything import grid, suppress
from napari_sam.types import Prompt

if TYPE_CHECKING:
    from napari_sam.images import Plane
    from napari_sam.models.protocol import PromptableModel
    from napari_sam.types import Embedding, FloatArray, IntArray, IntBox, Mask

POINTS_PER_SIDE: Final = 16
LEAST_IOU: Final = 0.7  # of the boxes of masks that are the same one again

_TOGETHER = 64  # clicks
_AROUND = 2  # pixels around a mask that its gradients need
_SOFT = 1.0  # pixels, of outlines without probabilities, and before edges are thinned


def find_edges(
    plane: Plane,
    model: PromptableModel,
    *,
    points_per_side: int = POINTS_PER_SIDE,
    thin: bool = True,
    embedding: Embedding | None = None,
) -> FloatArray:
    """Return how strong an edge is at every pixel.

    Where a model keeps nothing of its masks but their pixels (the built-in one) it is
    their outlines, made soft, of those that `find_everything` would take.

    Parameters
    ----------
    plane : Plane
    model : PromptableModel
    points_per_side : int
        Clicks along each side; every click has three answers.
    thin : bool
        Keep the crest of each edge only.
    embedding : Embedding, optional
        Of this plane by this model; by default the plane is encoded.

    Returns
    -------
    float32 array, shape (H, W)
        From 0 to 1, the strongest; all 0 on a plane of one colour.

    Raises
    ------
    ModelError
        If the model cannot run here.
    """
    edges = np.zeros(plane.shape, np.float32)
    if plane.is_flat():
        return edges
    embedding = embedding or model.encode(plane)
    rims = _rims(model, embedding, points_per_side)
    if not rims:
        return edges
    boxes = np.array([rim.box for rim in rims], np.float64)
    flat = edges.reshape(-1)
    for i in suppress(boxes, np.array([rim.score for rim in rims]), LEAST_IOU):
        np.maximum.at(flat, rims[i].pixels, rims[i].strength)
    if thin:
        edges = thinned(edges)
    highest = edges.max()
    return edges / highest if highest > 0 else edges


def thinned(edges: FloatArray) -> FloatArray:
    """Keep what is highest across each edge, after smoothing by a pixel.

    Parameters
    ----------
    edges : float32 array, shape (H, W)
    """
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(edges, _SOFT)
    yy, xx, yx = (
        ndimage.gaussian_filter(edges, 2 * _SOFT, order=order)
        for order in ((2, 0), (0, 2), (1, 1))
    )
    # The crest is bent most across the edge: the axis of the lowest curvature.
    angle = np.arctan2(2 * yx, xx - yy) / 2
    across = np.stack([np.cos(angle), -np.sin(angle)])
    here = np.indices(edges.shape, np.float32)
    sides = (
        ndimage.map_coordinates(smooth, here + step * across, order=1, mode="nearest")
        for step in (-1, 1)
    )
    # Beside a crest the surface is bent the other way.
    crest = np.logical_and.reduce([xx + yy < 0, *(smooth >= side for side in sides)])
    found: FloatArray = np.where(crest, smooth, 0).astype(np.float32)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Rim:
    """The pixels just outside of a mask, and how steep the mask ends there."""

    box: IntBox
    score: float
    pixels: IntArray
    strength: FloatArray


def _rims(model: PromptableModel, embedding: Embedding, side: int) -> list[_Rim]:
    points = np.asarray(grid(side) * embedding.shape, np.float32)
    rims: list[_Rim] = []
    least = 0.0, 0.0
    if not isinstance(model, SoftModel):
        least = GridOptions().thresholds(model)
    for start in range(0, len(points), _TOGETHER):
        checkpoint()
        report(start / len(points))
        prompts = [Prompt(points=[at]) for at in points[start : start + _TOGETHER]]
        for answer in model.decode(embedding, prompts, multimask=True):
            for mask in answer.masks:
                sure = mask.score >= least[0] and mask.stability >= least[1]
                if mask.area and sure:
                    rims.append(_rim(model, mask, embedding.shape))
    return rims


def _rim(model: PromptableModel, mask: Mask, shape: tuple[int, int]) -> _Rim:
    from scipy import ndimage

    low = np.maximum(np.array(mask.box[:2]) - _AROUND, 0)
    high = np.minimum(np.array(mask.box[2:]) + _AROUND, shape)
    box = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
    inside = np.zeros(high - low, np.bool_)
    y, x = np.array(mask.box[:2]) - low
    inside[y : y + mask.data.shape[0], x : x + mask.data.shape[1]] = mask.data
    soft = model.probability(mask, shape, box) if isinstance(model, SoftModel) else None
    if soft is None:
        soft = ndimage.gaussian_filter(inside.astype(np.float32), _SOFT)
    rows, columns = np.nonzero(ndimage.binary_dilation(inside) & ~inside)
    steep = np.hypot(ndimage.sobel(soft, 0), ndimage.sobel(soft, 1))[rows, columns]
    pixels = (rows + low[0]) * shape[1] + columns + low[1]
    return _Rim(mask.box, mask.score, pixels, steep.astype(np.float32))
