"""What a newcomer reads first, and the boxes that ask something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_sam.widgets.segment.keyboard.named import names_keys
from napari_sam.widgets.segment.words import HINT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Box(QFrame):
    """A framed text with buttons below it, hidden until it has something to say.

    Parameters
    ----------
    *buttons : (str, callable)
        What stands on each, and what it does; the box goes away first.
    """

    def __init__(self, *buttons: tuple[str, Callable[[], None]]) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._lines = QVBoxLayout(self)
        self._lines.setContentsMargins(8, 6, 8, 6)
        self._lines.setSpacing(4)
        self._texts: list[QLabel] = []
        row = QHBoxLayout()
        row.addStretch(1)
        self.buttons = {text: self._button(row, text, do) for text, do in buttons}
        self._lines.addLayout(row)
        self.hide()

    def say(self, lines: Sequence[str]) -> None:
        """Show these lines; they may name keys (`named.names_keys`)."""
        for label in self._texts:
            self._lines.removeWidget(label)
            label.deleteLater()
        self._texts = [QLabel() for _ in lines]
        for at, (label, line) in enumerate(zip(self._texts, lines, strict=True)):
            names_keys(label, line)
            label.setWordWrap(True)
            self._lines.insertWidget(at, label)
        self.show()

    @property
    def text(self) -> str:
        """What it says."""
        return "\n".join(label.text() for label in self._texts)

    def _button(
        self, row: QHBoxLayout, text: str, do: Callable[[], None]
    ) -> QPushButton:
        button = QPushButton(text)

        def pressed() -> None:
            self.hide()
            do()

        button.clicked.connect(pressed)
        row.addWidget(button)
        return button


def first_hint(wanted: bool, understood: Callable[[], None]) -> Box:
    """Return the three lines for who has not been here before.

    Parameters
    ----------
    wanted : bool
        False where they were read before.
    understood : callable
        Called when the person wants them no more.
    """
    box = Box(("Got it", understood))
    if wanted:
        box.say([f"{number}.  {line}" for number, line in enumerate(HINT, 1)])
    return box


def row_of(*widgets: QWidget) -> QWidget:
    """Return widgets side by side."""
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return row
