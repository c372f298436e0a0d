"""How long a line is that somebody has drawn across an object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from napari.layers import Shapes
from napari.layers.base import ActionType
from qtpy.QtCore import QTimer

from napari_sam.widgets.layers import place_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Image, Layer

NAME: Final = "Diameter"
DRAW: Final = "Draw a line across a typical object: press, drag, let go."


class Line:
    """Takes a length from a line in a Shapes layer, or has one drawn.

    Parameters
    ----------
    viewer : ViewerModel
    measured : callable
        Gets the length, in pixels of the image.
    notice : callable
        Is called with one line that says what to do.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        measured: Callable[[float], None],
        notice: Callable[[str], None],
    ) -> None:
        self._viewer, self._measured, self._notice = viewer, measured, notice
        self._layer: Shapes | None = None
        self._image: Image | None = None
        self._before: Layer | None = None  # what was selected

    def take(self, image: Image) -> None:
        """Take the selected line; where there is none, have one drawn."""
        if self._layer is not None:
            self.end()
            return
        active = self._viewer.layers.selection.active
        ends = selected_line(active)
        if ends is not None and isinstance(active, Shapes):
            self._measured(length(image, active, ends))
            return
        layer = Shapes(
            ndim=image.ndim, name=NAME, edge_color="yellow", **place_of(image)
        )
        self._layer, self._image, self._before = layer, image, active
        self._viewer.add_layer(layer)
        self._viewer.layers.selection.active = layer
        layer.mode = "add_line"
        layer.events.data.connect(self._drawn)
        self._notice(DRAW)

    def end(self) -> None:
        """Take the layer away again, if there is one."""
        layer, self._layer = self._layer, None
        if layer is None:
            return
        layer.events.data.disconnect(self._drawn)
        layers = self._viewer.layers
        if layer in layers:
            layers.remove(layer)
        if self._before in layers:
            layers.selection.active = self._before
        self._image = self._before = None

    def _drawn(self, event: Any) -> None:
        layer, image = self._layer, self._image
        if event.action != ActionType.ADDED or layer is None or image is None:
            return
        found = length(image, layer, layer.data[-1])
        if found >= 1:  # a mere click is no line
            # napari is not done with the layer yet.
            QTimer.singleShot(0, self.end)
            self._measured(found)


def selected_line(layer: Layer | None) -> npt.NDArray[Any] | None:
    """Return both ends of the line that is selected, or the only one in its layer."""
    if not isinstance(layer, Shapes):
        return None
    among = layer.selected_data or range(len(layer.data))
    lines = [n for n in among if layer.shape_type[n] == "line"]
    return np.asarray(layer.data[lines[0]]) if len(lines) == 1 else None


def length(image: Image, layer: Shapes, ends: npt.NDArray[Any]) -> float:
    """Return the length of a line in pixels of an image's plane."""
    places = []
    for end in ends[[0, -1]]:
        world = np.zeros(max(image.ndim, layer.ndim))
        world[-layer.ndim :] = layer.data_to_world(end)
        places.append(np.asarray(image.world_to_data(world[-image.ndim :]))[-2:])
    return float(np.linalg.norm(places[1] - places[0]))
