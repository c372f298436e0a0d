"""Find all objects: detector → boxes → prompts → masks → labels and a table."""

from __future__ import annotations

import warnings
from collections import defaultdict
from contextlib import contextmanager
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from napari_sam.images import ImageStack, Plane, open_image, stem_of
from napari_sam.models.lane import report
from napari_sam.models.protocol import Detector, PromptableModel, detector_for
from napari_sam.segment.link import StackLinker
from napari_sam.segment.propose import propose_plane, settle
from napari_sam.segment.recipe import Recipe, make_recipe
from napari_sam.segment.table import join_tables, with_plane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_sam.segment.result import PlaneResult
    from napari_sam.types import LabelArray, ObjectTable

_Part = TypeVar("_Part", PromptableModel, Detector)


class AnnotationWarning(UserWarning):
    """Something about the input or the result that a person should look at."""


def annotate_plane(
    plane: Plane,
    model: PromptableModel,
    detector: Detector,
    recipe: Recipe,
    told: Callable[[float], None] = report,
) -> PlaneResult:
    """Find the objects of one plane.

    The models run (`propose_plane`), then it is decided what counts (`settle`).
    A plane of one colour gives no objects and a warning, without running any
    model.

    Parameters
    ----------
    plane : Plane
    model : PromptableModel
    detector : Detector
    recipe : Recipe
        Its cleaning rules are used, and `max_det` in the warning; the detector
        applies its own options.
    told : callable
        See `propose_plane`.

    Returns
    -------
    PlaneResult
        With ids 1..n of this plane, best object first.
    """
    return settle(propose_plane(plane, model, detector, told=told), recipe)


def iter_annotate(
    source: Any,
    *,
    axes: str | None = None,
    detector: str | PathLike[str] | Detector = "nuclei",
    model: str | PathLike[str] | PromptableModel = "pocket",
    **options: Any,
) -> Iterator[PlaneResult]:
    """Find all objects of an image, one plane at a time, in constant memory.

    Parameters
    ----------
    source : str, Path, array-like or ImageStack
        What `napari_sam.images.open_image` takes.
    axes : str, optional
        Axes of the source, for example "ZYX"; by default what the file says.
    detector : str, Path or Detector
        What proposes objects: a name, a file, or one that is loaded already,
        which keeps the options that it was made with.
    model : str, Path or PromptableModel
        What outlines them: a name, a file, or one that is loaded already.
    **options
        The other fields of `Recipe`.

    Yields
    ------
    PlaneResult
        With ids that hold in the whole stack. The planes come in the stack's
        order; with link="stack" and T as the last stack axis before Y and X
        ("ZTYX") all z of one time point come first, and `index` tells where
        a plane belongs.

    Raises
    ------
    RecipeError
        At once, if an option is wrong.
    """
    recipe = make_recipe(
        axes=axes, detector=_name(detector), model=_name(model), **options
    )
    return _iterate(source, recipe, _loaded(model), _loaded(detector))


def annotate(
    source: Any,
    *,
    axes: str | None = None,
    detector: str | PathLike[str] | Detector = "nuclei",
    model: str | PathLike[str] | PromptableModel = "pocket",
    **options: Any,
) -> tuple[npt.NDArray[np.uint16 | np.uint32], ObjectTable]:
    """Find all objects of an image.

    Parameters
    ----------
    source, axes, detector, model, **options
        See `iter_annotate`.

    Returns
    -------
    labels : uint16 or uint32 array
        The source's shape without channels; 0 is background, uint32 only where
        an id is above 65535.
    objects : ObjectTable
        One row per object and plane: `plane` (number from 0), one column per
        stack axis (`z`, `t`) and those of `napari_sam.segment.table.COLUMNS`.

    Warns
    -----
    AnnotationWarning
        Once for each kind of warning, with the planes that it concerns.
    """
    recipe = make_recipe(
        axes=axes, detector=_name(detector), model=_name(model), **options
    )
    with _opened(source, recipe) as stack:
        labels = np.zeros(0, np.uint32)
        tables: dict[int, ObjectTable] = {}
        notes: dict[str, list[tuple[int, ...]]] = defaultdict(list)
        for plane in _iterate(stack, recipe, _loaded(model), _loaded(detector)):
            labels = _placed(labels, plane, stack)
            number = plane_number(plane.index, stack.stack_shape)
            tables[number] = with_plane(
                plane.objects, number, plane.index, stack.stack_axes
            )
            for note in plane.warnings:
                notes[note].append(plane.index)
        for note, where in notes.items():
            message = f"{stack.name}: {planes_text(where, stack.stack_axes)}{note}"
            warnings.warn(message, AnnotationWarning, stacklevel=2)
    objects = join_tables(tables[number] for number in sorted(tables))
    fits = labels.max(initial=0) <= np.iinfo(np.uint16).max
    return labels.astype(np.uint16) if fits else labels, objects


def load_parts(
    recipe: Recipe,
    model: PromptableModel | None = None,
    detector: Detector | None = None,
) -> tuple[PromptableModel, Detector]:
    """Load the model and the detector that a recipe names.

    Parameters
    ----------
    recipe : Recipe
    model : PromptableModel, optional
        Used instead of loading one.
    detector : Detector, optional
        Used instead of loading one; it keeps the options that it was made with.
    """
    from napari_sam.models.catalog import load_detector, load_model

    if model is None:
        model = load_model(recipe.model, device=recipe.device)
    if detector is None:
        detector = load_detector(
            recipe.detector,
            model=model,
            device=recipe.device,
            conf=recipe.conf,
            iou=recipe.iou,
            imgsz=recipe.imgsz,
            max_det=recipe.max_det,
            classes=recipe.classes,
            words=recipe.words or (),
            points_per_side=recipe.points_per_side,
            crop_layers=recipe.crop_layers,
        )
    return model, detector


def plane_number(index: tuple[int, ...], stack_shape: tuple[int, ...]) -> int:
    """Return the running number of a plane in its stack, from 0."""
    return int(np.ravel_multi_index(index, stack_shape)) if index else 0


def planes_text(indices: list[tuple[int, ...]], stack_axes: str, most: int = 5) -> str:
    """Name planes for people, the first few of many: "planes T=0 Z=3, T=1 Z=3: "."""
    if not stack_axes:
        return ""
    names = [
        " ".join(f"{a}={i}" for a, i in zip(stack_axes, index, strict=True))
        for index in indices[:most]
    ]
    more = f" and {len(indices) - most} more" if len(indices) > most else ""
    return f"plane{'s' * (len(indices) > 1)} {', '.join(names)}{more}: "


def _placed(labels: LabelArray, plane: PlaneResult, stack: ImageStack) -> LabelArray:
    """Put a plane among the others; one that is alone is not copied."""
    if len(stack) == 1:
        turned = stack.label_axes.index("X") < stack.label_axes.index("Y")
        alone = plane.labels.T if turned else plane.labels
        return alone.reshape(stack.label_shape)
    if labels.size == 0:
        labels = np.zeros(stack.label_shape, np.uint32)
    place(labels, plane.index, plane.labels, stack)
    return labels


def place(
    labels: npt.NDArray[np.uint32],
    index: tuple[int, ...],
    plane: LabelArray,
    stack: ImageStack,
) -> None:
    """Put a label plane (H, W) where it belongs in labels of the stack's shape."""
    axes = stack.label_axes
    turned = axes.index("X") < axes.index("Y")
    labels[stack.label_key(index)] = plane.T if turned else plane


def _iterate(
    source: Any,
    recipe: Recipe,
    model: PromptableModel | None,
    detector: Detector | None,
) -> Iterator[PlaneResult]:
    with _opened(source, recipe) as stack:
        model, detector = load_parts(recipe, model, detector)
        name = stack.name if stack.path is None else stem_of(stack.path)
        detector = detector_for(detector, name, stack)
        normalization = stack.normalization(recipe.normalization)
        diameter = stack.pixels_of(recipe.diameter)
        recipe = recipe.sized(diameter)
        linker = StackLinker(stack.stack_axes, recipe.link, min_iou=recipe.link_iou)
        for index in linker.order(stack.stack_shape):
            plane = stack.plane(index, normalization, diameter)
            result = annotate_plane(plane, model, detector, recipe)
            yield result.renumbered(linker.add(index, result.labels))


@contextmanager
def _opened(source: Any, recipe: Recipe) -> Iterator[ImageStack]:
    """Open a source, and close it again unless somebody else had opened it."""
    stack = open_image(source, axes=recipe.axes, channels=recipe.channels)
    try:
        yield stack
    finally:
        if stack is not source:
            stack.close()


def _name(part: str | PathLike[str] | PromptableModel | Detector) -> str:
    return fspath(part) if isinstance(part, (str, PathLike)) else part.info.name


def _loaded(part: str | PathLike[str] | _Part) -> _Part | None:
    return None if isinstance(part, (str, PathLike)) else part
