"""What stands on the panel and how it is arranged; nothing is decided here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_sam.widgets.segment.keyboard.named import names_keys
from napari_sam.widgets.segment.sections.hint import Box, row_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari_sam.widgets.segment.form import Form

TOOLS = {
    "click": ("Click", "Click on an object."),
    "box": ("Box", "Drag a box around an object. Several boxes are several objects."),
    "outline": ("Outline", "Drag around an object."),
    "scribble": ("Scribble", "Drag along a line through the object."),
}
_SIGNS = {
    True: ("+  Part of it", "What you draw next belongs to the object."),
    False: ("−  Not part of it", "What you draw next is to be left out (or Shift)."),
}


class View:
    """Everything on the panel below and above the form.

    Parameters
    ----------
    panel : QWidget
        Filled with it all.
    form : Form
    hint, left : Box
        For newcomers; what could be restored.
    """

    def __init__(self, panel: QWidget, form: Form, hint: Box, left: Box) -> None:
        self.tools = {name: _toggle(*words) for name, words in TOOLS.items()}
        self.signs = {sign: _toggle(*words) for sign, words in _SIGNS.items()}
        self.add = push("Add ({add})", "Make an object of every open suggestion.")
        self.add_to = push(
            "",
            "Give what is suggested to the object that was kept last, or that is "
            "selected in the Labels layer: slice by slice, or piece by piece.",
        )
        self.next = push("Next ({next})", "Show the next larger or smaller outline.")
        self.drop = push("Drop ({drop})", "Take all open suggestions away.")
        self.undo, self.redo = push("Undo", ""), push("Redo", "")
        self.save = push("Save…", "Write the objects, their table and your clicks.")
        self.save.setEnabled(False)
        self.load = push("Open saved…", "Go on with what was saved of this image.")
        self.cancel = QPushButton("Cancel")
        self.suggestion, self.status, self.notice, self.count = (
            paragraph() for _ in range(4)
        )
        self.notice.hide()
        keep = self.cancel.sizePolicy()
        keep.setRetainSizeWhenHidden(True)  # nothing below it jumps
        self.cancel.setSizePolicy(keep)
        self.cancel.hide()
        self.signs[True].setChecked(True)
        self._groups = [_exclusive(panel, self.tools), _exclusive(panel, self.signs)]
        self.shortcuts = QGridLayout()
        self.sections = QVBoxLayout()
        layout = scrolled(panel)
        for widget in (left, hint, form.what, row_of(*self.tools.values())):
            layout.addWidget(widget)
        layout.addWidget(row_of(*self.signs.values()))
        layout.addWidget(form.how)
        layout.addWidget(self._answer())
        layout.addWidget(self.notice)
        layout.addWidget(row_of(self.undo, self.redo, self.save, self.load))
        layout.addWidget(self.count)
        layout.addLayout(self.sections)
        running = QHBoxLayout()
        running.addWidget(self.status, 1)
        running.addWidget(self.cancel)
        layout.addLayout(running)
        layout.addWidget(self._shortcut_list())
        layout.addWidget(Fold("More settings", form.more))
        layout.addStretch(1)
        panel.setMinimumWidth(320)

    def _answer(self) -> QGroupBox:
        box = QGroupBox("Suggestion")
        lines = QVBoxLayout(box)
        lines.setContentsMargins(6, 6, 6, 6)
        lines.addWidget(self.suggestion)
        lines.addWidget(row_of(self.add, self.next, self.drop))
        lines.addWidget(self.add_to)
        # So that nothing below it jumps when a second line comes and goes.
        self.suggestion.setMinimumHeight(2 * self.suggestion.fontMetrics().height() + 4)
        self.suggestion.setAlignment(Qt.AlignmentFlag.AlignTop)
        return box

    def _shortcut_list(self) -> Fold:
        inside = QWidget()
        inside.setLayout(self.shortcuts)
        self.shortcuts.setContentsMargins(8, 0, 0, 0)
        self.shortcuts.setColumnStretch(1, 1)
        return Fold("Shortcuts", inside)

    def list_shortcuts(self, shortcuts: Iterable[tuple[str, str]]) -> None:
        """Show which key does what."""
        while (item := self.shortcuts.takeAt(0)) is not None:
            item.widget().deleteLater()
        for row, (key, what) in enumerate(shortcuts):
            name = QLabel(key)
            name.setStyleSheet("font-weight: bold")
            does = QLabel(what)
            does.setWordWrap(True)
            self.shortcuts.addWidget(name, row, 0, Qt.AlignmentFlag.AlignTop)
            self.shortcuts.addWidget(does, row, 1)

    def fold(self, title: str, inside: QWidget) -> Fold:
        """Add a section that is folded at first."""
        fold = Fold(title, inside)
        self.sections.addWidget(fold)
        return fold

    def show_tool(self, tool: str | None, positive: bool) -> None:
        """Press the buttons of what the mouse does now; None for something else."""
        group = self._groups[0]
        group.setExclusive(False)  # so that none can be pressed
        for name, button in self.tools.items():
            button.setChecked(name == tool)
        group.setExclusive(True)
        self.signs[positive].setChecked(True)

    def offer(self, *, any_open: bool, several: bool, image: bool) -> None:
        """Let those buttons be pressed that would do something."""
        self.add.setEnabled(any_open)
        self.drop.setEnabled(any_open)
        self.next.setEnabled(several)
        for button in (*self.tools.values(), *self.signs.values(), self.load):
            button.setEnabled(image)

    def say(self, text: str, *, bad: bool = False) -> None:
        """Say something below the suggestion; bad news has a sign in front."""
        self.notice.setText(f"⚠ {text}" if bad and text else text)
        self.notice.setVisible(bool(text))


class Fold(QWidget):
    """A title that shows and hides what is below it."""

    def __init__(self, title: str, inside: QWidget) -> None:
        super().__init__()
        self._title, self._inside = title, inside
        self.button = push("", "")
        self.button.setCheckable(True)
        self.button.setFlat(True)
        self.button.setStyleSheet("text-align: left")
        self.button.toggled.connect(self._show)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.addWidget(self.button)
        lines.addWidget(inside)
        self._show(False)

    def _show(self, on: bool) -> None:
        self._inside.setVisible(on)
        self.button.setText(f"{'▾' if on else '▸'}  {self._title}")


def scrolled(panel: QWidget) -> QVBoxLayout:
    """Return a layout that a low window shows a part of."""
    area, inside = QScrollArea(), QWidget()
    area.setWidgetResizable(True)
    area.setFrameShape(QScrollArea.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(inside)
    around = QVBoxLayout(panel)
    around.setContentsMargins(0, 0, 0, 0)
    around.addWidget(area)
    return QVBoxLayout(inside)


def push(text: str, tip: str) -> QPushButton:
    """Return a button that leaves the keys to the image, and may name some."""
    button = QPushButton()
    names_keys(button, text, tip)
    # A click on the button must not take the keys from the image.
    button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return button


def _toggle(text: str, tip: str) -> QPushButton:
    button = push(text, tip)
    button.setCheckable(True)
    return button


def _exclusive(parent: QWidget, buttons: Mapping[Any, QPushButton]) -> QButtonGroup:
    group = QButtonGroup(parent)
    for button in buttons.values():
        group.addButton(button)
    return group


def paragraph() -> QLabel:
    """Return an empty text of as many lines as it needs."""
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
    return label
