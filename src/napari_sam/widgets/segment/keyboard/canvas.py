"""Keys that Qt would keep for itself: Tab reaches our layers from the canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QWidget

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

_CANVAS = ("QOpenGLWidget", "QGLWidget")
_KEYS = {Qt.Key.Key_Tab: "Tab", Qt.Key.Key_Backtab: "Shift+Tab"}
_OTHERS = (
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.AltModifier,
    Qt.KeyboardModifier.MetaModifier,
)


class CanvasKeys(QObject):
    """Offers Tab and Shift+Tab to a function before Qt moves the focus.

    Only while the canvas has the focus; everywhere else Tab goes on to the next
    control.

    Parameters
    ----------
    viewer : ViewerModel
        One without a window has no canvas: then nothing happens.
    pressed : callable
        Is called with "Tab" or "Shift+Tab" and whether the key is held down;
        returns whether it was used.
    """

    def __init__(
        self, viewer: ViewerModel, pressed: Callable[[str, bool], bool]
    ) -> None:
        super().__init__()
        self._pressed = pressed
        self._canvases = canvases(viewer)
        for canvas in self._canvases:
            canvas.installEventFilter(self)

    def eventFilter(self, canvas: QObject, event: QEvent) -> bool:
        """Use the key, or leave it to Qt."""
        if event.type() != QEvent.Type.KeyPress or event.key() not in _KEYS:
            return False
        if any(event.modifiers() & other for other in _OTHERS):
            return False
        name = _KEYS[event.key()]
        if name == "Tab" and event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            name = "Shift+Tab"
        return self._pressed(name, event.isAutoRepeat())

    def close(self) -> None:
        """Leave all keys to Qt again."""
        for canvas in self._canvases:
            canvas.removeEventFilter(self)
        self._canvases = []


def canvases(viewer: ViewerModel) -> list[QWidget]:
    """Return the widgets in which a viewer draws its layers."""
    menu = getattr(getattr(viewer, "window", None), "main_menu", None)
    middle = None if menu is None else menu.window().centralWidget()
    if middle is None:
        return []
    widgets = middle.findChildren(QWidget)
    return [w for w in widgets if any(w.inherits(name) for name in _CANVAS)]
