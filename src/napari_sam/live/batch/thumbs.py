"""Small pictures of images, with the outlines of what was found in them."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam.images import Normalization, open_image
from napari_sam.images.planes import is_large
from napari_sam.models.tiles.large import reduced
from napari_sam.records.layout import Layout
from napari_sam.records.overlays import Panel, fitted, render
from napari_sam.records.sources import open_labels
from napari_sam.records.work import TRIAL, Workspace

if TYPE_CHECKING:
    from PIL.Image import Image

    from napari_sam.records.status import Item
    from napari_sam.records.trial import Tried
    from napari_sam.segment.recipe import Recipe
    from napari_sam.types import IntBox

_FINE: Final = 2  # pixels that are read for each of the picture


def draw_item(item: Item, output: Path, recipe: Recipe, side: int) -> Image:
    """Draw the slice in the middle of an image, with outlines where it is done.

    Of a large plane it is the part in the middle.

    Parameters
    ----------
    item : Item
    output : Path
        Where results are.
    recipe : Recipe
        Says which axes and channels the image has.
    side : int
        Pixels of the longer side.

    Raises
    ------
    NapariSamError
        If the image cannot be read.
    """
    with ExitStack() as opened:
        stack = opened.enter_context(
            open_image(Path(item.path), axes=recipe.axes, channels=recipe.channels)
        )
        index = tuple(n // 2 for n in stack.stack_shape)
        record = Workspace(output).input(item.name).record()
        contrast = None
        if record is not None:
            contrast = Normalization.from_dict(record.normalization)
        plane = stack.plane(index, contrast)
        box, step = part_of(plane.shape, side * _FINE)
        found = None
        if item.state == "done":
            place = Layout(output, ()).labels(PurePosixPath(item.name))
            labels = opened.enter_context(open_labels(place, stack.label_axes))
            found = labels.read(index, box)[::step, ::step]
        panel = Panel(reduced(plane, box, step).pixels, found=found)
        return render(panel, fitted(panel.pixels.shape, side))


def draw_tried(one: Tried, output: Path, side: int) -> Image:
    """Draw a slice that was tried, with what was found on it.

    Raises
    ------
    NapariSamError
        If its files are not there any more.
    """
    folder = output / TRIAL
    with (
        open_image(folder / one.picture) as picture,
        open_labels(folder / one.labels, "YX") as labels,
    ):
        pixels, found = picture.read(()), labels.read(())
        step = max(1, max(found.shape) // (_FINE * side))
        panel = Panel(
            np.ascontiguousarray(pixels[::step, ::step]), found[::step, ::step]
        )
        return render(panel, fitted(found.shape, side))


def part_of(shape: tuple[int, int], side: int) -> tuple[IntBox, int]:
    """Return what of a plane is shown at a size, and how many pixels become one."""
    height, width = shape
    if not is_large(shape):
        return (0, 0, height, width), max(1, max(shape) // side)
    y0, x0 = (max(0, (n - side) // 2) for n in shape)
    return (y0, x0, min(height, y0 + side), min(width, x0 + side)), 1
