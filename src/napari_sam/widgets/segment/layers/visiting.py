"""Bringing an object to the middle of the screen, and saying which one it is."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from napari_sam.widgets.segment.keyboard.canvas import canvases
from napari_sam.widgets.segment.layers import outlines

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_sam.live.labels.changes import IntBox
    from napari_sam.live.values import Index
    from napari_sam.widgets.segment.layers.outlines import Picture, Placed

    Span = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]

_SHARE: Final = 1 / 3  # of the view that an object takes
_GOOD: Final = (0.2, 0.5)  # here the zoom stays: a jump each time would be tiring
_LEAST: Final = 24  # pixels; what is smaller is shown with more around it
_GAP, _THICK, _RIM, _ARM = 7.0, 2.5, 1.0, 24.0  # of the frame, in pixels on screen


def go_to(viewer: ViewerModel, layer: Layer, index: Index, box: IntBox) -> None:
    """Show the slice and move the camera over a box, close enough to judge it.

    Parameters
    ----------
    viewer : ViewerModel
    layer : Layer
        In whose pixels the place is meant.
    index : tuple of int
    box : (y0, x0, y1, x1)
    """
    dims = viewer.dims
    before = dims.ndim - layer.ndim
    middle = _middle(layer, index, box)
    hidden = [axis for axis in dims.not_displayed if axis >= before]
    if hidden:
        dims.set_point(hidden, [float(middle[axis - before]) for axis in hidden])
    shown = _shown(viewer, layer)
    if shown is None:
        return
    camera = viewer.scene.camera
    center = list(camera.center)
    center[-len(shown) :] = [float(middle[axis]) for axis in shown]
    camera.center = tuple(center)
    view = _view(viewer)
    if view is not None:
        camera.zoom = _zoom(layer, index, box, shown[-2:], view, camera.zoom)


def sees(viewer: ViewerModel, layer: Layer, index: Index, box: IntBox) -> bool:
    """Whether the middle of a box of the shown slice is in view."""
    shown, view = _shown(viewer, layer), _view(viewer)
    if shown is None or view is None or viewer.dims.ndisplay != 2:
        return True
    camera = viewer.scene.camera
    away = _middle(layer, index, box)[shown] - np.array(camera.center[-2:])
    return bool((np.abs(away) * camera.zoom <= view / 2).all())


def frame(box: IntBox, pixel: float) -> list[Placed]:
    """Return the four corners of a frame around a box, for `outlines.paste`.

    Parameters
    ----------
    box : (y0, x0, y1, x1)
    pixel : float
        How large a pixel of the plane is on the screen: frames look alike.
    """
    gap, thick, rim, longest = (
        max(1, round(part / pixel)) for part in (_GAP, _THICK, _RIM, _ARM)
    )
    away = gap + thick
    y0, x0, y1, x1 = box[0] - away, box[1] - away, box[2] + away, box[3] + away
    down, right = (
        max(2 * thick, min(longest, side // 4)) for side in (y1 - y0, x1 - x0)
    )
    corner: Picture = np.zeros((down + 2 * rim, right + 2 * rim), np.uint8)
    corner[: thick + 2 * rim] = corner[:, : thick + 2 * rim] = outlines.RIM
    corner[rim : rim + thick, rim:-rim] = outlines.LINE
    corner[rim:-rim, rim : rim + thick] = outlines.LINE
    top, left = y0 - rim, x0 - rim
    bottom, far = y1 - down - rim, x1 - right - rim
    return [
        (corner, (top, left)),
        (corner[:, ::-1], (top, far)),
        (corner[::-1], (bottom, left)),
        (corner[::-1, ::-1], (bottom, far)),
    ]


def _shown(viewer: ViewerModel, layer: Layer) -> list[int] | None:
    """Return the axes of a layer that are on the screen; None for those of others."""
    before = viewer.dims.ndim - layer.ndim
    shown = [axis - before for axis in viewer.dims.displayed]
    return None if min(shown) < 0 else shown


def _view(viewer: ViewerModel) -> npt.NDArray[np.float64] | None:
    """Return height and width of the canvas; None without a window."""
    sizes = [(one.height(), one.width()) for one in canvases(viewer)]
    return np.array(sizes[0], np.float64) if sizes else None


def _zoom(
    layer: Layer,
    index: Index,
    box: IntBox,
    shown: list[int],
    view: npt.NDArray[np.float64],
    now: float,
) -> float:
    """Return at which zoom an object takes its share of the view."""
    size = _size(layer, index, _at_least(box))[shown]
    whole = _size(layer, index, (0, 0, *layer.data.shape[-2:]))[shown]
    low, high = _GOOD
    if low <= float((size * now / view).max()) <= high:
        return now
    wanted = _SHARE / float((size / view).max())
    fits = float((view / whole).min())
    return max(wanted, fits)


def _at_least(box: IntBox) -> IntBox:
    y0, x0, y1, x1 = box
    more = [max(0, _LEAST - n + 1) // 2 for n in (y1 - y0, x1 - x0)]
    return y0 - more[0], x0 - more[1], y1 + more[0], x1 + more[1]


def _size(layer: Layer, index: Index, box: IntBox) -> npt.NDArray[np.float64]:
    low, high = _span(layer, index, box)
    return np.maximum(high - low, 1e-9)


def _middle(layer: Layer, index: Index, box: IntBox) -> npt.NDArray[np.float64]:
    low, high = _span(layer, index, box)
    return (low + high) / 2


def _span(layer: Layer, index: Index, box: IntBox) -> Span:
    """Return where a box begins and ends in the world, also in one that is turned."""
    y0, x0, y1, x1 = box
    corners: list[Any] = [
        layer.data_to_world((*index, y - 0.5, x - 0.5))
        for y, x in product((y0, y1), (x0, x1))
    ]
    world = np.array(corners, np.float64)
    return world.min(0), world.max(0)
