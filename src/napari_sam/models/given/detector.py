"""Objects that somebody has already found: boxes, or labels to be outlined anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from napari_sam.models.protocol import ModelInfo
from napari_sam.types import Detections, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_sam.images import Plane

Index: TypeAlias = tuple[int, ...]
NAMES = ("object",)


class GivenDetector:
    """Boxes or labels, plane by plane; either is to be given.

    Parameters
    ----------
    boxes : array-like, mapping or sequence, optional
        For a single plane: (N, 4) of (y0, x0, y1, x1) in data pixels, or
        `Detections` with scores and classes. For a stack: a mapping from the
        plane's index ((t, z), or z alone) to one of these; planes that are not
        in it have no objects.
    labels : array-like of int, shape (…, H, W), optional
        0 is background; the leading axes are the stack's. Every label's box
        is an object; in a bool array every connected piece is one.
    conf : float
        Least score; boxes without one have 1.
    max_det : int, optional
        Most objects on a plane; None: as many as there are.
    classes : sequence of int, optional
        Only these.
    class_names : sequence of str
        In the order of the classes' numbers.
    info : ModelInfo, optional
        What goes into the records.

    Raises
    ------
    ModelError
        If both or neither are given, or the arrays are not as said above.
    """

    def __init__(
        self,
        boxes: Any = None,
        *,
        labels: Any = None,
        conf: float = 0.0,
        max_det: int | None = None,
        classes: Sequence[int] | None = None,
        class_names: Sequence[str] = NAMES,
        info: ModelInfo | None = None,
    ) -> None:
        if (boxes is None) == (labels is None):
            raise ModelError("give either boxes or labels, and not both")
        from napari_sam.models.given.labels import from_array

        find = from_boxes(boxes) if labels is None else from_array(labels)
        self._set(find, conf, max_det, classes, class_names, info)

    @classmethod
    def reading(
        cls,
        find: Callable[[Index], Detections],
        *,
        conf: float,
        max_det: int | None,
        classes: Sequence[int] | None,
        class_names: Sequence[str],
        info: ModelInfo,
    ) -> GivenDetector:
        """Return a detector that asks `find` for the objects of each plane."""
        detector = cls.__new__(cls)
        detector._set(find, conf, max_det, classes, class_names, info)
        return detector

    def _set(
        self,
        find: Callable[[Index], Detections],
        conf: float,
        max_det: int | None,
        classes: Sequence[int] | None,
        class_names: Sequence[str],
        info: ModelInfo | None,
    ) -> None:
        self._find = find
        self._conf, self._max_det, self._classes = conf, max_det, classes
        self._names = tuple(class_names)
        self._info = info or ModelInfo("given", "", "", "cpu")

    @property
    def info(self) -> ModelInfo:
        """Where the objects come from."""
        return self._info

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self._names

    @property
    def knows_planes(self) -> bool:
        """Pixels are not looked at, so it is no use to ask about tiles."""
        return True

    def detect(self, planes: Sequence[Plane]) -> list[Detections]:
        """Return the given objects of each plane, cut at its edges."""
        return [self._chosen(self._find(p.index), p.shape) for p in planes]

    def _chosen(self, found: Detections, shape: tuple[int, int]) -> Detections:
        height, width = shape
        boxes = np.clip(found.boxes, 0, [height, width, height, width])
        keep = (boxes[:, :2] < boxes[:, 2:]).all(1) & (found.scores >= self._conf)
        if self._classes is not None:
            keep &= np.isin(found.classes, self._classes)
        kept = np.flatnonzero(keep)
        kept = kept[np.argsort(-found.scores[kept], kind="stable")]
        best = kept[: self._max_det]
        return replace(
            found.take(best),
            boxes=boxes[best].astype(np.float32),
            truncated=len(best) < len(kept),
        )


def detections(boxes: Any, scores: Any = None, classes: Any = None) -> Detections:
    """Check boxes (N, 4), with scores (N,) or 1, and classes (N,) or 0.

    Raises
    ------
    ModelError
    """
    try:
        array = np.asarray(boxes, np.float32)
    except (TypeError, ValueError) as error:
        raise ModelError(f"boxes must be numbers (y0, x0, y1, x1): {error}") from error
    array = array.reshape(0, 4) if array.size == 0 else array
    if array.ndim != 2 or array.shape[1] != 4 or not np.isfinite(array).all():
        raise ModelError(
            f"boxes must be finite and have the shape (N, 4), each (y0, x0, y1, x1), "
            f"not {array.shape}"
        )
    count = len(array)
    return Detections(
        array,
        np.ones(count, np.float32) if scores is None else np.asarray(scores, "f4"),
        np.zeros(count, np.int64) if classes is None else np.asarray(classes, "i8"),
    )


def from_boxes(boxes: Any) -> Callable[[Index], Detections]:
    """Return what finds the boxes of a plane."""
    if not hasattr(boxes, "items"):
        boxes = {(): boxes}
    planes: Mapping[Index, Detections] = {
        _index(at): (found if isinstance(found, Detections) else detections(found))
        for at, found in boxes.items()
    }
    single = planes.keys() == {()}
    nothing = detections([])

    def find(index: Index) -> Detections:
        if single and index:
            raise ModelError(
                f"boxes were given for a single image, but this is plane {index} of a "
                "stack: give a mapping from plane to boxes"
            )
        return planes.get(index, nothing)

    return find


def _index(at: Any) -> Index:
    """Return a plane's index; a single number is one too."""
    return tuple(int(i) for i in (at if isinstance(at, tuple) else (at,)))
