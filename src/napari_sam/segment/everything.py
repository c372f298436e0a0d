"""All objects of a plane from a grid of clicks, as in the paper on SAM.

Kirillov et al. 2023, "Segment Anything", appendix on automatic masks; the rules
are those of Meta's `SamAutomaticMaskGenerator`. It works with every promptable
model, asks it a few clicks at a time, and ends when the lane wants it to.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_sam.models.everything import GridOptions, confidence
from napari_sam.models.lane import checkpoint, report
from napari_sam.segment.proposals import Clicks, Proposals
from napari_sam.types import Mask, Prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam.images import Plane
    from napari_sam.models.protocol import PromptableModel
    from napari_sam.types import Box, Embedding, FloatArray, IntArray, IntBox

NAMES = ("object",)
_TOGETHER = 64  # clicks; masks that do not count are forgotten after so many
_NEAR = 20  # pixels; a mask that ends so close to a part's edge is cut by it


def find_everything(
    plane: Plane,
    model: PromptableModel,
    options: GridOptions | None = None,
    *,
    embedding: Embedding | None = None,
    region: Box | None = None,
    told: Callable[[float], None] = report,
) -> Proposals:
    """Click on a grid of points, and keep the good ones of all answers.

    Every click has several answers (a part, the object, a group). Those count
    whose predicted IoU and stability are high; of those that are the same object
    again, by the overlap of their boxes, the best stays.

    Parameters
    ----------
    plane : Plane
    model : PromptableModel
    options : GridOptions, optional
    embedding : Embedding, optional
        Of this plane by this model; by default the plane is encoded.
    region : (y0, x0, y1, x1), optional
        The grid is laid over this part of the plane only; objects may reach out.
    told : callable
        Is told which part, from 0 to 1, of the clicks on the whole plane is answered;
        by default `progress` of the lane's request.

    Returns
    -------
    Proposals
        The best first, with the click that gave each. `scores` are those of
        `napari_sam.models.everything.confidence`.

    Raises
    ------
    ModelError
        If the model cannot run here.
    """
    if plane.is_flat():
        return Proposals.none(plane, NAMES)
    options = options or GridOptions()
    search = _Search(plane, model, options, *options.thresholds(model), told)
    found: list[_Found] = []
    crops = crop_boxes(plane.shape, options)
    for crop, layer in crops:
        side = max(1, int(options.points_per_side / options.crop_downscale**layer))
        if layer == 0:
            points = _inside(_points(crop if region is None else region, side), crop)
            found += search.within(crop, points, embedding)
        else:
            points = _inside(_points(crop, side), region)
            found += search.within(crop, points)
    if len(crops) > 1:
        areas = [_area(each.crop) for each in found]
        found = _unique(found, [-area for area in areas], options.crop_iou)
    return search.proposals(found)


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """A mask that counts, small in memory.

    Every click beside the objects may answer with the whole background; as
    arrays, hundreds of these would not fit.
    """

    box: IntBox
    packed: bytes
    score: float
    stability: float
    point: tuple[float, float]
    crop: IntBox

    @classmethod
    def of(cls, mask: Mask, point: tuple[float, float], crop: IntBox) -> _Found:
        """Keep a mask that was found in a part of the plane."""
        (y, x, _, _), (y0, x0, y1, x1) = crop, mask.box
        box = (y0 + y, x0 + x, y1 + y, x1 + x)
        packed = zlib.compress(np.packbits(mask.data).tobytes(), 1)
        return cls(box, packed, mask.score, mask.stability, point, crop)

    def mask(self) -> Mask:
        y0, x0, y1, x1 = self.box
        bits = np.frombuffer(zlib.decompress(self.packed), np.uint8)
        flat = np.unpackbits(bits, count=_area(self.box)).view(np.bool_)
        data = flat.reshape(y1 - y0, x1 - x0)
        return Mask(self.box, data, self.score, self.stability)


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """What stays the same while one plane is searched."""

    plane: Plane
    model: PromptableModel
    options: GridOptions
    min_iou: float
    min_stability: float
    told: Callable[[float], None]

    def within(
        self, crop: IntBox, points: FloatArray, embedding: Embedding | None = None
    ) -> list[_Found]:
        """Return the masks of one part that count, each object once."""
        if not len(points):
            return []
        embedding = embedding or self.model.encode(self.plane.crop(crop))
        found: list[_Found] = []
        for start in range(0, len(points), _TOGETHER):
            checkpoint()
            self.told(start / len(points))
            asked = points[start : start + _TOGETHER]
            prompts = [Prompt(points=[at]) for at in asked - np.array(crop[:2], "f4")]
            answers = self.model.decode(embedding, prompts, multimask=True)
            for (y, x), answer in zip(asked.tolist(), answers, strict=True):
                good = [mask for mask in answer.masks if self._counts(mask)]
                found += (_Found.of(mask, (y, x), crop) for mask in good)
        whole = [each for each in found if not _cut(each.box, crop, self.plane.shape)]
        return _unique(whole, [each.score for each in whole], self.options.iou)

    def _counts(self, mask: Mask) -> bool:
        height, width = self.plane.shape
        most = self.options.max_fraction * height * width
        sure = confidence(mask.score, self.min_iou) >= self.options.conf
        return sure and mask.stability >= self.min_stability and 0 < mask.area <= most

    def proposals(self, found: list[_Found]) -> Proposals:
        """Return the best of what was found."""
        found = sorted(found, key=lambda each: -each.score)
        best = found[: self.options.max_det]
        scores = [confidence(each.score, self.min_iou) for each in best]
        points = np.array([each.point for each in best], np.float32)
        crops = np.array([each.crop for each in best], np.int64)
        return Proposals(
            self.plane.index,
            self.plane.shape,
            tuple(each.mask() for each in best),
            np.array(scores, np.float32),
            np.zeros(len(best), np.int64),
            NAMES,
            truncated=len(best) < len(found),
            clicks=Clicks(points.reshape(-1, 2), crops.reshape(-1, 4)),
        )


def grid(side: int) -> npt.NDArray[np.float64]:
    """Return side × side points (y, x) spread evenly over [0, 1] × [0, 1]."""
    at = (np.arange(side) + 0.5) / side
    return np.stack(np.meshgrid(at, at, indexing="ij"), -1).reshape(-1, 2)


def crop_boxes(
    shape: tuple[int, int], options: GridOptions
) -> list[tuple[IntBox, int]]:
    """Return the parts of a plane that are looked at, and the layer of each.

    The first is the whole plane; layer n has 2ⁿ × 2ⁿ parts.
    """
    height, width = shape
    boxes: list[tuple[IntBox, int]] = [((0, 0, height, width), 0)]
    for layer in range(1, options.crop_layers + 1):
        parts = 2**layer
        overlap = int(options.crop_overlap * min(shape) * 2 / parts)
        high, wide = (math.ceil((overlap * (parts - 1) + s) / parts) for s in shape)
        rows = [(high - overlap) * i for i in range(parts)]
        columns = [(wide - overlap) * i for i in range(parts)]
        boxes += (
            ((y, x, min(y + high, height), min(x + wide, width)), layer)
            for x, y in product(columns, rows)
            if y < height and x < width  # tiny planes have fewer
        )
    return boxes


def suppress(
    boxes: npt.NDArray[np.float64], scores: npt.NDArray[np.float64], most: float
) -> IntArray:
    """Return which boxes stay if no two may have an IoU above `most`, best first.

    Parameters
    ----------
    boxes : float64 array, shape (N, 4)
        Half-open (y0, x0, y1, x1).
    scores : float64 array, shape (N,)
    most : float
    """
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    left = np.argsort(-scores, kind="stable")
    kept = []
    while left.size:
        best, left = left[0], left[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[left, :2])
        high = np.minimum(boxes[best, 2:], boxes[left, 2:])
        shared = np.maximum(high - low, 0).prod(1)
        left = left[shared <= most * (areas[best] + areas[left] - shared)]
    return np.array(kept, np.int64)


def _unique(found: list[_Found], scores: Sequence[float], most: float) -> list[_Found]:
    boxes = np.array([each.box for each in found], np.float64).reshape(-1, 4)
    return [found[i] for i in suppress(boxes, np.array(scores, np.float64), most)]


def _points(box: Box, side: int) -> FloatArray:
    y0, x0, y1, x1 = box
    return np.asarray(grid(side) * (y1 - y0, x1 - x0) + (y0, x0), np.float32)


def _inside(points: FloatArray, region: Box | None) -> FloatArray:
    if region is None:
        return points
    y0, x0, y1, x1 = region
    y, x = points.T
    inside = (y >= y0) & (y < y1) & (x >= x0) & (x < x1)
    return np.asarray(points[inside], np.float32)


def _cut(box: IntBox, crop: IntBox, shape: tuple[int, int]) -> bool:
    """Whether a mask ends at an edge of its part that is no edge of the plane."""
    edges = (0, 0, *shape)
    return any(
        abs(at - side) <= _NEAR < abs(at - edge)
        for at, side, edge in zip(box, crop, edges, strict=True)
    )


def _area(box: IntBox) -> int:
    y0, x0, y1, x1 = box
    return (y1 - y0) * (x1 - x0)
