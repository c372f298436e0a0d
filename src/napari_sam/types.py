"""The values that every room passes on: prompts, masks, embeddings, detections.

Only numpy lives here. Coordinates are (y, x) in data pixels; pixel (i, j)
covers [i, i+1) × [j, j+1), so its centre is (i+.5, j+.5). Boxes are half-open
(y0, x0, y1, x1) in the same coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

Box: TypeAlias = tuple[float, float, float, float]
IntBox: TypeAlias = tuple[int, int, int, int]
FloatArray: TypeAlias = npt.NDArray[np.float32]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
IntArray: TypeAlias = npt.NDArray[np.int64]
LabelArray: TypeAlias = npt.NDArray[np.uint32]
ObjectTable: TypeAlias = dict[str, npt.NDArray[Any]]


class NapariSamError(Exception):
    """An error that says what was wrong, where, and what to do about it."""


class ImageError(NapariSamError):
    """An image cannot be read, or cannot be understood as planes."""


class ModelError(NapariSamError):
    """A model is unknown, cannot be loaded, or cannot run here."""


class PromptError(NapariSamError):
    """A prompt does not describe one object on the plane."""


class OutputError(NapariSamError):
    """A result cannot be written where it was asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """What someone says about one object on one plane.

    Parameters
    ----------
    points : array-like of float, shape (N, 2)
        Clicks as (y, x) in data pixels; may be empty.
    labels : array-like of int, shape (N,)
        1 for foreground, 0 for background, one for each point.
    box : (y0, x0, y1, x1), optional
        Half-open box in data pixels, with y0 < y1 and x0 < x1.
    mask : array, shape (H, W), optional
        The object as known so far on the whole plane: bool, or float logits
        (positive inside).
    previous : Mask, optional
        The answer that this prompt refines. A model starts from the `memory` that
        it left there, or else from the pixels; where there is a `mask`, from that.

    Raises
    ------
    PromptError
        If the parts contradict each other or there is nothing in them.
    """

    points: FloatArray = field(default_factory=lambda: np.empty((0, 2), np.float32))
    labels: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    box: Box | None = None
    mask: npt.NDArray[Any] | None = None
    previous: Mask | None = None

    def __init__(
        self,
        points: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        box: Sequence[float] | None = None,
        mask: npt.ArrayLike | None = None,
        *,
        previous: Mask | None = None,
    ) -> None:
        yx = np.asarray([] if points is None else points, np.float32)
        yx = np.empty((0, 2), np.float32) if yx.size == 0 else np.atleast_2d(yx)
        if yx.ndim != 2 or yx.shape[1] != 2:
            raise PromptError(
                f"points must have the shape (N, 2), one (y, x) each, not {yx.shape}"
            )
        if labels is None:
            marks = np.ones(len(yx), np.int64)
        else:
            marks = np.atleast_1d(np.asarray(labels, np.int64))
        if marks.shape != (len(yx),):
            raise PromptError(
                f"{len(yx)} points need {len(yx)} labels, not {marks.size}"
            )
        if not np.isin(marks, (0, 1)).all():
            raise PromptError("labels must be 1 (foreground) or 0 (background)")
        if not np.isfinite(yx).all():
            raise PromptError("points must be finite numbers")
        object.__setattr__(self, "points", yx)
        object.__setattr__(self, "labels", marks)
        object.__setattr__(self, "box", None if box is None else _checked_box(box))
        object.__setattr__(self, "mask", None if mask is None else _checked_mask(mask))
        if previous is not None and not previous.data.any():
            raise PromptError(
                "the previous answer is empty: there is nothing to refine"
            )
        object.__setattr__(self, "previous", previous)
        known = (self.box, self.mask, self.previous)
        if all(part is None for part in known) and not (marks == 1).any():
            raise PromptError(
                "a prompt needs a box, a mask or at least one foreground point"
            )


def _checked_box(box: Sequence[float]) -> Box:
    values = np.asarray(box, np.float64)
    if values.shape != (4,):
        raise PromptError(f"a box is (y0, x0, y1, x1), not {box!r}")
    y0, x0, y1, x1 = (float(v) for v in values)
    if not (np.isfinite(values).all() and y0 < y1 and x0 < x1):
        raise PromptError(f"the box {box!r} is empty: it needs y0 < y1 and x0 < x1")
    return y0, x0, y1, x1


def _checked_mask(mask: npt.ArrayLike) -> npt.NDArray[Any]:
    array = np.asarray(mask)
    if array.ndim != 2:
        raise PromptError(f"a mask prompt must be (H, W), not {array.shape}")
    inside = array if array.dtype == np.bool_ else array > 0
    if not inside.any():
        raise PromptError("the mask prompt is empty")
    return array


def check_prompts(prompts: Sequence[Prompt], shape: tuple[int, int]) -> None:
    """Make sure that masks and previous answers fit a plane of this shape.

    Raises
    ------
    PromptError
        For the first prompt that does not fit, with its number.
    """
    for number, prompt in enumerate(prompts):
        if prompt.mask is not None and prompt.mask.shape != shape:
            raise PromptError(
                f"prompt {number}: the mask is {prompt.mask.shape}, the plane is "
                f"{shape}; they must be the same"
            )
        if prompt.previous is None:
            continue
        y0, x0, y1, x1 = prompt.previous.box
        if min(y0, x0) < 0 or y1 > shape[0] or x1 > shape[1]:
            raise PromptError(
                f"prompt {number}: the previous answer reaches to {(y1, x1)}, the "
                f"plane is {shape}; it must be an answer on such a plane"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """One candidate mask, kept in its own bounding box.

    Attributes
    ----------
    box : (y0, x0, y1, x1)
        Half-open integer box in the plane; empty masks have (0, 0, 0, 0).
    data : bool array, shape (y1 - y0, x1 - x0)
    score : float
        The IoU that the model predicts for this mask; not a probability.
    stability : float
        IoU of the mask with itself when its threshold is moved up and down
        (Kirillov et al. 2023, section "Segment Anything Data Engine").
    memory : Any
        Opaque; what the model that made this mask needs to refine it. Never saved.
    """

    box: tuple[int, int, int, int]
    data: BoolArray
    score: float
    stability: float = 1.0
    memory: Any = None

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(self.data.sum())

    @property
    def slices(self) -> tuple[slice, slice]:
        """Where `data` sits in the plane."""
        y0, x0, y1, x1 = self.box
        return slice(y0, y1), slice(x0, x1)

    def full(self, shape: tuple[int, int]) -> BoolArray:
        """Return the mask as a bool array of the plane's shape (H, W)."""
        plane = np.zeros(shape, np.bool_)
        plane[self.slices] = self.data
        return plane

    def seen_in(self, window: Mask) -> BoolArray:
        """Return the part of this mask that lies in the box of another one."""
        seen = np.zeros_like(window.data)
        (y0, x0, y1, x1), (top, left, *_) = self.box, window.box
        height, width = seen.shape
        begin = max(y0 - top, 0), max(x0 - left, 0)
        end = min(y1 - top, height), min(x1 - left, width)
        if begin[0] < end[0] and begin[1] < end[1]:
            seen[begin[0] : end[0], begin[1] : end[1]] = self.data[
                begin[0] + top - y0 : end[0] + top - y0,
                begin[1] + left - x0 : end[1] + left - x0,
            ]
        return seen

    def iou(self, other: Mask) -> float:
        """Return intersection over union with another mask on the same plane."""
        shared = np.count_nonzero(self.seen_in(other) & other.data)
        either = self.area + other.area - shared
        return shared / either if either else 0.0

    @classmethod
    def from_array(
        cls,
        array: BoolArray,
        offset: tuple[int, int] = (0, 0),
        *,
        score: float = 1.0,
        stability: float = 1.0,
        memory: Any = None,
    ) -> Mask:
        """Crop a bool array (h, w), whose corner lies at `offset`, to its object."""
        rows, columns = np.flatnonzero(array.any(1)), np.flatnonzero(array.any(0))
        if rows.size == 0:
            nothing = np.zeros((0, 0), np.bool_)
            return cls((0, 0, 0, 0), nothing, score, stability, memory)
        y0, y1, x0, x1 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        dy, dx = offset
        box = (int(y0 + dy), int(x0 + dx), int(y1 + dy), int(x1 + dx))
        data = np.ascontiguousarray(array[y0:y1, x0:x1])
        return cls(box, data, score, stability, memory)


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The answers to one prompt, best first."""

    masks: tuple[Mask, ...]

    @property
    def best(self) -> Mask:
        """The mask with the highest predicted IoU."""
        return self.masks[0]


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """What an encoder returned for one part of a plane.

    Attributes
    ----------
    box : (y0, x0, y1, x1)
        The part of the plane that this tile covers.
    features : Any
        Opaque; only the model that made it can read it.
    """

    box: tuple[int, int, int, int]
    features: Any


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """A plane as one model sees it: a list of tiles (one for a small plane).

    Attributes
    ----------
    model : str
        Hash of its weights.
    shape : tuple of int
    tiles : tuple of Tile
    rounded : bool
        The features are as they are kept on a disk; never said of large planes.
    """

    model: str
    shape: tuple[int, int]
    tiles: tuple[Tile, ...]
    rounded: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Objects that a detector found on one plane, best first.

    Attributes
    ----------
    boxes : float32 array, shape (N, 4)
        (y0, x0, y1, x1) in data pixels.
    scores : float32 array, shape (N,)
    classes : int64 array, shape (N,)
        Indices into the detector's `class_names`.
    truncated : bool
        True when more objects were found than `max_det` allowed.
    masks : tuple of Mask, optional
        One for each box, from detectors that outline what they find; one may be
        empty.
    outlined : bool
        The masks are the answer: no model is to be asked about the boxes.
    """

    boxes: FloatArray
    scores: FloatArray
    classes: IntArray
    truncated: bool = False
    masks: tuple[Mask, ...] | None = None
    outlined: bool = False

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, chosen: IntArray) -> Detections:
        """Return some of these, in this order."""
        masks = self.masks
        return replace(
            self,
            boxes=self.boxes[chosen],
            scores=self.scores[chosen],
            classes=self.classes[chosen],
            masks=None if masks is None else tuple(masks[i] for i in chosen),
        )
