"""The way back to the main thread."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt, Signal

if TYPE_CHECKING:
    from collections.abc import Callable


class Poster(QObject):
    """Runs functions on the thread that made it, in the order they come.

    Parameters
    ----------
    parent : QObject
        With its end nothing is run any more.
    """

    _posted = Signal(object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        # Also on the same thread: napari tells of a layer or a mark while it is still
        # being added.
        self._posted.connect(self._call, Qt.ConnectionType.QueuedConnection)

    def post(self, function: Callable[[], None]) -> None:
        """Run a function when what goes on now is over; from any thread."""
        with suppress(RuntimeError):  # Qt's side of it has ended with the window
            self._posted.emit(function)

    def _call(self, function: Callable[[], None]) -> None:
        function()
