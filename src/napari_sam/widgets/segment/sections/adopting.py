"""The button that asks about what lies in other layers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari.layers import Points, Shapes
from qtpy.QtWidgets import QHBoxLayout, QMenu, QWidget

from napari_sam.widgets.segment.layers.parsing import count
from napari_sam.widgets.segment.sections import model_words as words
from napari_sam.widgets.segment.view import push

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_sam.widgets.segment.bridge import Bridge

NONE = "There is no other Points or Shapes layer"


class Adopting(QWidget):
    """Makes prompts of the points or shapes in a layer that is not ours.

    Parameters
    ----------
    viewer : ViewerModel
    bridge : Bridge
    notice : callable
        Is called with one line about what came of it.
    """

    def __init__(
        self, viewer: ViewerModel, bridge: Bridge, notice: Callable[[str], None]
    ) -> None:
        super().__init__()
        self._viewer, self._bridge, self._notice = viewer, bridge, notice
        self.button = push(
            "Use a layer's points or shapes…",
            "Each point and shape is another object; the layer stays as it is.",
        )
        self.menu = QMenu(self.button)
        self.menu.aboutToShow.connect(self.offer)
        self.button.setMenu(self.menu)
        lines = QHBoxLayout(self)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.addWidget(self.button)

    def layers(self) -> list[Points | Shapes]:
        """Return the layers that can be chosen, the topmost first."""
        desk = self._bridge.desk
        ours = () if desk is None else desk.prompts.layers
        return [
            layer
            for layer in reversed(self._viewer.layers)
            if isinstance(layer, (Points, Shapes)) and layer not in ours
        ]

    def offer(self) -> None:
        """Fill the menu with the layers of now."""
        self.menu.clear()
        for layer in self.layers():
            # "&" would underline the letter behind it.
            text = f"{layer.name.replace('&', '&&')} ({count(layer):,})"
            self.menu.addAction(text).triggered.connect(partial(self._take, layer))
        if self.menu.isEmpty():
            self.menu.addAction(NONE).setEnabled(False)

    def _take(self, layer: Points | Shapes, _: bool = False) -> None:
        desk = self._bridge.desk
        if desk is None or layer not in self._viewer.layers:
            return
        desk.use("click")
        taken = desk.prompts.adopt(layer)
        self._notice(words.adopted(taken, count(layer), layer.name))
