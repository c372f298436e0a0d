"""Labels, in arrays or files, as objects that were found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_sam.images import open_image
from napari_sam.models.given.detector import Index, detections
from napari_sam.types import Detections, ImageError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from napari_sam.images import ImageStack


def from_array(labels: Any) -> Callable[[Index], Detections]:
    """Return what finds the labels' boxes on a plane."""
    shape = getattr(labels, "shape", ())
    if len(shape) < 2 or np.dtype(labels.dtype).kind not in "iub":
        raise ModelError(
            "labels must be an array of whole numbers or bool with at least two axes"
        )
    stack = tuple(shape[:-2])

    def find(index: Index) -> Detections:
        fits = len(index) == len(stack)
        if not fits or any(i >= n for i, n in zip(index, stack, strict=True)):
            raise ModelError(
                f"the labels have the shape {shape} and no plane {index}: they "
                "must have the image's shape without its channels"
            )
        return label_boxes(np.asarray(labels[index]))[0]

    return find


def label_boxes(plane: npt.NDArray[Any]) -> tuple[Detections, npt.NDArray[np.int64]]:
    """Return the box of every label of a plane (H, W), and the labels.

    Only values above 0 count; in a bool plane every connected piece is one.
    """
    if plane.dtype == np.bool_:
        plane, _ = ndimage.label(plane, np.ones((3, 3), bool))
    # Ids may be large and far apart: count through those that are there.
    values, places = np.unique(plane, return_inverse=True)
    found = ndimage.find_objects(places.reshape(plane.shape) + 1)
    objects = [
        (value, slices)
        for value, slices in zip(values.tolist(), found, strict=True)
        if value > 0
    ]
    boxes = [(y.start, x.start, y.stop, x.stop) for _, (y, x) in objects]
    return detections(boxes), np.array([value for value, _ in objects], np.int64)


def from_file(
    path: Path, stack: ImageStack, classes: Mapping[Index, Mapping[int, int]]
) -> Callable[[Index], Detections]:
    """Return what finds the labels' boxes on a plane of a file, read one by one.

    Parameters
    ----------
    path : Path
    stack : ImageStack
        The image; the labels must have its planes.
    classes : mapping
        Plane to label to class; what is not in it has the class 0.

    Raises
    ------
    ModelError, ImageError
        If the file cannot be read or does not fit the image.
    """
    with _opened(path, stack):
        pass  # says now whether it fits

    def find(index: Index) -> Detections:
        with _opened(path, stack) as labels:
            plane = labels.read(index)
        if plane.dtype.kind == "f" or plane.ndim != 2:
            raise ModelError(
                f"{path}: labels must be whole numbers in one channel; this is "
                f"{plane.dtype} of the shape {plane.shape}"
            )
        found, values = label_boxes(plane)
        known = classes.get(index, {})
        numbers = np.array([known.get(v, 0) for v in values.tolist()], np.int64)
        return Detections(found.boxes, found.scores, numbers)

    return find


def _opened(path: Path, stack: ImageStack) -> ImageStack:
    """Open labels, and check that they have the image's planes."""
    try:
        labels = open_image(path, axes=stack.label_axes)
    except ImageError:
        labels = open_image(path)
    ours = (*labels.stack_shape, *labels.plane_shape)
    theirs = (*stack.stack_shape, *stack.plane_shape)
    if ours != theirs:
        labels.close()
        raise ModelError(
            f"{path}: these labels have the shape {ours}, the image {stack.name} has "
            f"{theirs} without channels: give labels of that image"
        )
    return labels
