"""Planes of files are encoded ahead, so that nobody waits for them later."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_sam.images import LargePlane, find_inputs, open_image
from napari_sam.models.tiles import TiledModel
from napari_sam.records.report import Progress
from napari_sam.types import ImageError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_sam.images import InputFile
    from napari_sam.models.protocol import PromptableModel
    from napari_sam.records.report import Kind, Listener
    from napari_sam.segment.recipe import Recipe

    Tell = Callable[[Kind, str, int, int], None]


@dataclass(slots=True)
class PrepareReport:
    """What was prepared.

    Attributes
    ----------
    images : int
        That were gone through to the end.
    planes, there : int
        Their planes, and how many of them had been prepared before. Those of one
        colour count as such: nothing will be asked about them.
    failures : list of str
        One line for every image that could not be read.
    """

    images: int = 0
    planes: int = 0
    there: int = 0
    failures: list[str] = field(default_factory=list)


def prepare_files(
    inputs: Sequence[str | Path],
    model: PromptableModel,
    recipe: Recipe,
    *,
    progress: Listener = lambda event: None,
) -> PrepareReport:
    """Make sure that all planes of some images are in a model's cache.

    Whoever opens them with the same model and recipe finds them there. What is there
    is not encoded again.

    Parameters
    ----------
    inputs : sequence of str or Path
        Files, folders, patterns, Zarr folders.
    model : PromptableModel
        Loaded with a cache.
    recipe : Recipe
        Its axes, channels, normalization and diameter.
    progress : callable
        Gets a `Progress` for everything that happens.

    Raises
    ------
    ImageError
        If there is no image.
    ModelError
        If this model's planes cannot be kept.
    OutputError
        If the cache has no room for more, or cannot be written to.
    """
    if not isinstance(model, TiledModel):
        raise ModelError(
            f'planes that the model "{model.info.name}" has encoded cannot be kept: '
            "use another model"
        )
    items = find_inputs(inputs)
    if not items:
        raise ImageError("no image to prepare: name files, folders or patterns")
    report, since = PrepareReport(), time.time()
    for number, item in enumerate(items, 1):

        def tell(
            kind: Kind,
            message: str,
            plane: int,
            planes: int,
            name: str = str(item.relative),
            number: int = number,
        ) -> None:
            progress(Progress(kind, name, message, number, len(items), plane, planes))

        try:
            planes, there = _prepare(item, model, recipe, since, tell)
        except ImageError as error:
            report.failures.append(str(error))
            tell("failed", str(error), 0, 0)
        else:
            report.images += 1
            report.planes += planes
            report.there += there
            says = f"{item.relative}: {planes - there} prepared, {there} before"
            tell("done", says, planes, planes)
    return report


def _prepare(
    item: InputFile, model: TiledModel, recipe: Recipe, since: float, tell: Tell
) -> tuple[int, int]:
    """Return how many planes an image has, and how many were there before."""
    if item.error is not None:
        raise item.error
    with open_image(item.path, axes=recipe.axes, channels=recipe.channels) as stack:
        contrast = recipe.contrast(stack)
        diameter = stack.pixels_of(recipe.diameter)
        there = 0
        tell("start", f"{item.relative}: {len(stack)} planes", 0, len(stack))
        for done, index in enumerate(stack.indices(), 1):
            plane = stack.plane(index, contrast, diameter)
            flat = not isinstance(plane, LargePlane) and plane.is_flat()
            there += flat or model.prepare(plane, since)
            tell("plane", "", done, len(stack))
        return len(stack), there
