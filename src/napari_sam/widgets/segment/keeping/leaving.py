"""What happens when a window is closed, or Python ends with one that is open."""

from __future__ import annotations

import atexit
import contextlib
from typing import TYPE_CHECKING, Literal, TypeAlias

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMessageBox, QWidget

if TYPE_CHECKING:
    from collections.abc import Callable

Answer: TypeAlias = Literal["save", "leave", "stay"]


class Leaving(QObject):
    """Asks before a person closes the window that a widget is in, and ends its work.

    A program that closes its viewer is not asked: it knows what it does.

    Parameters
    ----------
    widget : QWidget
    unsaved : callable
        Returns how many changes are not saved.
    save : callable
        Saves, and returns whether it was done.
    ask : callable
        Returns what the person wants.
    end : callable
        Ends the work of the widget, while all of the window is still there.
    """

    def __init__(
        self,
        widget: QWidget,
        unsaved: Callable[[], int],
        save: Callable[[], bool],
        ask: Callable[[QWidget], Answer],
        end: Callable[[], None],
    ) -> None:
        super().__init__(widget)
        self._widget = widget
        self._unsaved, self._save, self._ask = unsaved, save, ask
        self._end = end
        self._window: QWidget | None = None
        self._watching = False

    def watch(self) -> None:
        """Attend to the window that the widget is in now."""
        window = self._widget.window()
        if window is self._widget or (self._watching and window is self._window):
            return
        self.ignore()
        # Kept when it is ignored, too: Python would free it while Qt still gives
        # it the event that ends it.
        self._window, self._watching = window, True
        window.installEventFilter(self)
        # Once Python has ended, Qt's objects are deleted in no order.
        atexit.register(self._end)

    def ignore(self) -> None:
        """Attend to no window."""
        if self._window is None or not self._watching:
            return
        self._watching = False
        atexit.unregister(self._end)
        with contextlib.suppress(RuntimeError):  # Qt has deleted it
            self._window.removeEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keep the window open where the person wants that."""
        if event.type() == QEvent.Type.DeferredDelete:
            self._end()  # the canvas is deleted before the widget
            return False
        if (
            event.type() != QEvent.Type.Close
            or not event.spontaneous()
            or not self._unsaved()
        ):
            return False
        answer = self._ask(self._widget)
        if answer == "leave" or (answer == "save" and self._save()):
            return False
        event.ignore()
        return True


def ask(parent: QWidget) -> Answer:
    """Ask in a box of its own."""
    box = QMessageBox(parent.window())
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("Objects are not saved")
    box.setText("Save the objects before the window closes?")
    box.setInformativeText(
        "Without saving they are offered again when the image is opened the next time."
    )
    buttons = QMessageBox.StandardButton
    box.setStandardButtons(buttons.Save | buttons.Close | buttons.Cancel)
    box.button(buttons.Close).setText("Close without saving")
    box.setDefaultButton(buttons.Save)
    chosen = box.exec()
    if chosen == buttons.Save:
        return "save"
    return "leave" if chosen == buttons.Close else "stay"
