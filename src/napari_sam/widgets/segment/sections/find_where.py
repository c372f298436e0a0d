"""Where all objects are looked for: the slice, a part of it, or all slices."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Shapes

from napari_sam.live import rasters
from napari_sam.live.proposals.where import Where, outward
from napari_sam.widgets.segment.keyboard.canvas import canvases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_sam.live.labels.store import LabelStore
    from napari_sam.types import Box, FloatArray
    from napari_sam.widgets.segment.desk import Desk

NO_SHAPE = (
    "Select a rectangle, ellipse or polygon on this slice first: in the layer of the "
    "boxes, of the regions, or any other Shapes layer."
)
NO_EXAMPLE = (
    "Show what to look for first: outline an object or several on this slice, or "
    "select boxes around some."
)
BESIDE = "That part lies beside the image."
_CLOSED = ("rectangle", "ellipse", "polygon")
_HALF = 0.5  # napari's pixel centres are at whole numbers, ours at halves


class Choice(Enum):
    """What a person can choose."""

    SLICE = "slice"
    SCREEN = "screen"
    SHAPE = "shape"
    ALL = "all"


def where(choice: Choice, viewer: ViewerModel, desk: Desk) -> Where | str:
    """Return what is to be searched, or why nothing can be, for people."""
    index = desk.index
    if choice is Choice.SLICE:
        return Where((index,))
    if choice is Choice.ALL:
        return Where(outward(index, desk.source.stack_shape))
    if choice is Choice.SHAPE:
        outlines = _selected(viewer, desk) or _regions(viewer, desk)
        if not outlines:
            return NO_SHAPE
    else:
        outlines = _on_screen(viewer, desk)
    found = Where((index,), outlines)
    box = found.box((desk.source.shape[-2], desk.source.shape[-1]))
    if box is not None and (box[0] >= box[2] or box[1] >= box[3]):
        return BESIDE
    return found


def examples(viewer: ViewerModel, desk: Desk, store: LabelStore | None) -> list[Box]:
    """Return boxes around examples on the slice on screen: shapes, else objects."""
    chosen = [rasters.bounds_of(outline) for outline in _selected(viewer, desk)]
    if chosen or store is None:
        return chosen
    on_slice = (boxes.get(desk.index) for boxes in store.extents.values())
    return [box for box in on_slice if box is not None]


def _on_screen(viewer: ViewerModel, desk: Desk) -> tuple[FloatArray, ...]:
    """Return the corners of what the camera shows; nothing without a window."""
    camera = viewer.scene.camera
    for canvas in canvases(viewer):
        half = np.array([canvas.height(), canvas.width()]) / 2 / camera.zoom
        signs = np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)])
        corners = np.asarray(camera.center)[-2:] + signs * half
        return (_on_image(corners, viewer, desk.image),)
    return ()


def _selected(viewer: ViewerModel, desk: Desk) -> tuple[FloatArray, ...]:
    """Return the outlines of the shapes that are selected on the slice on screen."""
    shapes = [one for one in reversed(viewer.layers) if isinstance(one, Shapes)]

    def rank(layer: Shapes) -> tuple[bool, bool]:
        active = layer is viewer.layers.selection.active
        return not active, layer.name != _name_of_regions(desk)

    shapes.sort(key=rank)
    for layer in shapes:
        found = tuple(_outlines(layer, sorted(layer.selected_data), viewer, desk))
        if found:
            return found
    return ()


def _regions(viewer: ViewerModel, desk: Desk) -> tuple[FloatArray, ...]:
    """Return the outlines of all regions on the slice on screen."""
    for layer in viewer.layers:
        if isinstance(layer, Shapes) and layer.name == _name_of_regions(desk):
            return tuple(_outlines(layer, range(layer.nshapes), viewer, desk))
    return ()


def _name_of_regions(desk: Desk) -> str:
    return f"{desk.image.name}: regions"


def _outlines(
    layer: Shapes, rows: Any, viewer: ViewerModel, desk: Desk
) -> Iterator[FloatArray]:
    for row in rows:
        if row >= layer.nshapes or layer.shape_type[row] not in _CLOSED:
            continue
        data = np.asarray(layer.data[row], np.float64)
        world = np.array([layer.data_to_world(corner) for corner in data])
        places = _to_data(world, viewer, desk.image)
        on_slice = np.rint(places[:, :-2]) == desk.index
        if not (np.isfinite(places).all() and on_slice.all()):
            continue
        corners = places[:, -2:] + _HALF
        if layer.shape_type[row] == "ellipse":
            corners = rasters.ellipse(corners)
        yield corners.astype(np.float32)


def _on_image(
    world: npt.NDArray[np.float64], viewer: ViewerModel, image: Image
) -> FloatArray:
    corners = _to_data(world, viewer, image)[:, -2:] + _HALF
    return corners.astype(np.float32)


def _to_data(
    world: npt.NDArray[np.float64], viewer: ViewerModel, image: Image
) -> npt.NDArray[np.float64]:
    """Return places in an image's data; axes that are missing are as on screen."""
    point = np.asarray(viewer.dims.point, np.float64)
    missing = max(0, len(point) - world.shape[1])
    leading = np.broadcast_to(point[:missing], (len(world), missing))
    full = np.concatenate([leading, world], axis=1)[:, -image.ndim :]
    return np.array([image.world_to_data(place) for place in full], np.float64)
