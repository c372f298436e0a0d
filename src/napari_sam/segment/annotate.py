"""Find all objects: detector → boxes → prompts → masks → labels and a table."""

from __future__ import annotations

import warnings
import zlib
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from napari_sam.images import ImageStack, Plane, open_image, stem_of
from napari_sam.models.lane import report
from napari_sam.models.protocol import Detector, PromptableModel, detector_for
from napari_sam.segment.number import check_link, new_linker, number_objects
from napari_sam.segment.propose import propose_plane, settle
from napari_sam.segment.recipe import Recipe, make_recipe
from napari_sam.segment.table import join_tables, with_plane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_sam.models.cache import EmbeddingCache
    from napari_sam.segment.result import PlaneResult
    from napari_sam.types import LabelArray, ObjectTable

_Part = TypeVar("_Part", PromptableModel, Detector)


_NO_LABELS: Final = np.zeros((0, 0), np.uint32)


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
        a plane belongs. Objects are linked as the planes come, so that none is
        left out or cut for what is found later; `annotate` does that. With
        link="time" the first plane comes when all are finished, and these are
        held, packed, until then.

    Raises
    ------
    RecipeError
        At once, if an option is wrong.
    TrackError
        If objects cannot be followed through time.
    """
    recipe = make_recipe(
        axes=axes, detector=_name(detector), model=_name(model), **options
    )
    check_link(recipe)
    if recipe.link == "time":
        return _through_time(source, recipe, _loaded(model), _loaded(detector))
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
        stack axis (`z`, `t`), those of `napari_sam.segment.table.COLUMNS` and, with
        linking, of `napari_sam.segment.table.with_links`.

    Warns
    -----
    AnnotationWarning
        Once for each kind of warning, with the planes that it concerns.
    """
    recipe = make_recipe(
        axes=axes, detector=_name(detector), model=_name(model), **options
    )
    check_link(recipe)
    with _opened(source, recipe) as stack:
        labels = np.zeros(0, np.uint32)
        found: dict[tuple[int, ...], PlaneResult] = {}
        notes: dict[str, list[tuple[int, ...]]] = defaultdict(list)
        for plane in _find(stack, recipe, _loaded(model), _loaded(detector)):
            labels = _placed(labels, plane, stack)
            found[plane.index] = replace(plane, labels=_NO_LABELS, clicks=None)
            for note in plane.warnings:
                notes[note].append(plane.index)
        numbers = number_objects(
            lambda index: label_plane(labels, index, stack),
            stack.stack_axes,
            stack.stack_shape,
            recipe,
            stack.pixel_size,
        )
        for index, linked in numbers.linked.items():
            if not linked.as_before:
                plane_labels = label_plane(labels, index, stack)
                place(labels, index, linked.ids[plane_labels], stack)
        lines = [f"{planes_text(i, stack.stack_axes)}{n}" for n, i in notes.items()]
        for line in (*lines, *numbers.notes):
            warnings.warn(f"{stack.name}: {line}", AnnotationWarning, stacklevel=2)
    objects = join_tables(
        with_plane(
            found[index].renumbered(numbers.linked[index]).objects,
            number,
            index,
            stack.stack_axes,
        )
        for number, index in enumerate(stack.indices())
    )
    fits = labels.max(initial=0) <= np.iinfo(np.uint16).max
    return labels.astype(np.uint16) if fits else labels, objects


def load_parts(
    recipe: Recipe,
    model: PromptableModel | None = None,
    detector: Detector | None = None,
    *,
    cache: EmbeddingCache | None = None,
) -> tuple[PromptableModel, Detector]:
    """Load the model and the detector that a recipe names.

    Parameters
    ----------
    recipe : Recipe
    model : PromptableModel, optional
        Used instead of loading one.
    detector : Detector, optional
        Used instead of loading one; it keeps the options that it was made with.
    cache : EmbeddingCache, optional
        For the model that is loaded.
    """
    from napari_sam.models.catalog import load_detector, load_model

    if model is None:
        model = load_model(recipe.model, device=recipe.device, cache=cache)
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


def label_plane(
    labels: npt.NDArray[np.uint32], index: tuple[int, ...], stack: ImageStack
) -> LabelArray:
    """Return the label plane (H, W) from where `place` put it."""
    axes = stack.label_axes
    plane: LabelArray = labels[stack.label_key(index)]
    return plane.T if axes.index("X") < axes.index("Y") else plane


def _find(
    stack: ImageStack,
    recipe: Recipe,
    model: PromptableModel | None,
    detector: Detector | None,
) -> Iterator[PlaneResult]:
    """Find the objects of all planes, in the order in which they can be linked."""
    check_link(recipe, stack.stack_axes, stack.name)
    model, detector = load_parts(recipe, model, detector)
    name = stack.name if stack.path is None else stem_of(stack.path)
    detector = detector_for(detector, name, stack)
    normalization = recipe.contrast(stack)
    diameter = stack.pixels_of(recipe.diameter)
    recipe = recipe.sized(diameter)
    linker = new_linker(stack.stack_axes, recipe)
    for index in linker.order(stack.stack_shape):
        plane = stack.plane(index, normalization, diameter)
        yield annotate_plane(plane, model, detector, recipe)


def _iterate(
    source: Any,
    recipe: Recipe,
    model: PromptableModel | None,
    detector: Detector | None,
) -> Iterator[PlaneResult]:
    with _opened(source, recipe) as stack:
        linker = new_linker(stack.stack_axes, recipe)
        for result in _find(stack, recipe, model, detector):
            yield result.renumbered(linker.add(result.index, result.labels))


def _through_time(
    source: Any,
    recipe: Recipe,
    model: PromptableModel | None,
    detector: Detector | None,
) -> Iterator[PlaneResult]:
    with _opened(source, recipe) as stack:
        found: dict[tuple[int, ...], PlaneResult] = {}
        packed: dict[tuple[int, ...], bytes] = {}
        for result in _find(stack, recipe, model, detector):
            packed[result.index] = zlib.compress(result.labels.tobytes(), 1)
            found[result.index] = replace(result, labels=_NO_LABELS)

        def load(index: tuple[int, ...]) -> LabelArray:
            pixels = np.frombuffer(zlib.decompress(packed[index]), np.uint32)
            return pixels.reshape(stack.plane_shape)

        numbers = number_objects(
            load, stack.stack_axes, stack.stack_shape, recipe, stack.pixel_size
        )
        for index, linked in numbers.linked.items():
            yield replace(found[index], labels=load(index)).renumbered(linked)


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
