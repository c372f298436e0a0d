"""What stands on the panel and how it is arranged; nothing is decided here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

if TYPE_CHECKING:
    from napari_sam.widgets.auto_annotate.form import Form


class View:
    """The buttons, the progress and the words below the form.

    Parameters
    ----------
    panel : QWidget
        Filled with it all.
    form : Form
    """

    def __init__(self, panel: QWidget, form: Form) -> None:
        self.try_button = QPushButton("Try it on this slice")
        self.all_button = QPushButton("Find all objects")
        self.cancel_button = QPushButton("Cancel")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(10)
        self.plan, self.progress, self.status = (_text() for _ in range(3))
        self.all_button.setDefault(True)
        self._running = self._progress_row()
        counts = QGroupBox("What counts as an object")
        counts.setToolTip("Changes show at once, without a new search.")
        inside = QVBoxLayout(counts)
        inside.setContentsMargins(4, 4, 4, 4)
        inside.addWidget(form.counts)
        more = QCollapsible("More settings", collapsedIcon="▸", expandedIcon="▾")
        more.addWidget(form.more)
        layout = QVBoxLayout(panel)
        for widget in (form.what, counts, more):
            layout.addWidget(widget)
        layout.addWidget(self.plan)
        buttons = QHBoxLayout()
        buttons.addWidget(self.try_button)
        buttons.addWidget(self.all_button)
        layout.addLayout(buttons)
        layout.addWidget(self._running)
        layout.addWidget(self.status)
        layout.addStretch(1)
        panel.setMinimumWidth(300)

    def _progress_row(self) -> QWidget:
        row = QWidget()
        lines = QVBoxLayout(row)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.addWidget(self.bar)
        below = QHBoxLayout()
        below.addWidget(self.progress, 1)
        below.addWidget(self.cancel_button)
        lines.addLayout(below)
        row.hide()
        return row

    def show_idle(self, noun: str, count: int) -> None:
        """Offer to start on `count` planes, each called `noun`."""
        self._running.hide()
        self.try_button.setText(f"Try it on this {noun}")
        self.try_button.setVisible(count > 1)
        for button in (self.try_button, self.all_button):
            button.setEnabled(count > 0)

    def show_busy(self, done: int, total: int, text: str) -> None:
        """Show how far it is, and offer to cancel; without a total: that it runs."""
        self._running.show()
        self.try_button.setEnabled(False)
        self.all_button.setEnabled(False)
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        self.progress.setText(text)

    def say(self, text: str, *, bad: bool = False) -> None:
        """Say something below the buttons; bad news has a sign in front."""
        self.status.setText(f"⚠ {text}" if bad and text else text)
        self.status.setVisible(bool(text))


def _text() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
    return label
