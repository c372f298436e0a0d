"""What happens when a window with unsaved objects is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMessageBox, QWidget

if TYPE_CHECKING:
    from collections.abc import Callable

Answer: TypeAlias = Literal["save", "leave", "stay"]


class Leaving(QObject):
    """Asks before a person closes the window that a widget is in.

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
    """

    def __init__(
        self,
        widget: QWidget,
        unsaved: Callable[[], int],
        save: Callable[[], bool],
        ask: Callable[[QWidget], Answer],
    ) -> None:
        super().__init__(widget)
        self._widget = widget
        self._unsaved, self._save, self._ask = unsaved, save, ask
        self._window: QWidget | None = None

    def watch(self) -> None:
        """Attend to the window that the widget is in now."""
        window = self._widget.window()
        if window is self._window or window is self._widget:
            return
        self.ignore()
        self._window = window
        window.installEventFilter(self)

    def ignore(self) -> None:
        """Attend to no window."""
        if self._window is not None:
            self._window.removeEventFilter(self)
        self._window = None

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keep the window open where the person wants that."""
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
