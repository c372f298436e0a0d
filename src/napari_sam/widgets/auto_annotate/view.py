"""What stands on the panel and how it is arranged; nothing is decided here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtWidgets import (
    QGroupBox,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_sam.widgets.segment.view import Fold, paragraph, scrolled

if TYPE_CHECKING:
    from napari_sam.widgets.auto_annotate.form import Form

_FINE: Final = 1000  # steps of the bar


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
        self.plan, self.progress, self.status = (paragraph() for _ in range(3))
        self.all_button.setDefault(True)
        self._running = self._progress_row()
        counts = QGroupBox("What counts as an object")
        counts.setToolTip("Changes show at once, without a new search.")
        inside = QVBoxLayout(counts)
        inside.setContentsMargins(4, 4, 4, 4)
        inside.addWidget(form.counts)
        layout = scrolled(panel)
        for widget in (form.what, counts, Fold("More settings", form.more)):
            layout.addWidget(widget)
        self.sections = QVBoxLayout()
        layout.addLayout(self.sections)
        layout.addWidget(self.plan)
        buttons = QHBoxLayout()
        buttons.addWidget(self.try_button)
        buttons.addWidget(self.all_button)
        layout.addLayout(buttons)
        layout.addWidget(self._running)
        layout.addWidget(self.status)
        self.below = QVBoxLayout()
        layout.addLayout(self.below)
        layout.addStretch(1)
        panel.setMinimumWidth(330)

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

    def fold(self, title: str, inside: QWidget) -> None:
        """Add a section that is folded at first."""
        self.sections.addWidget(Fold(title, inside))

    def show_idle(self, noun: str, count: int) -> None:
        """Offer to start on `count` planes, each called `noun`."""
        self._running.hide()
        self.try_button.setText(f"Try it on this {noun}")
        self.try_button.setVisible(count > 1)
        for button in (self.try_button, self.all_button):
            button.setEnabled(count > 0)

    def show_busy(self, share: float | None, text: str) -> None:
        """Show how far it is, and offer to cancel; None: that it runs."""
        self._running.show()
        self.try_button.setEnabled(False)
        self.all_button.setEnabled(False)
        self.bar.setRange(0, 0 if share is None else _FINE)
        self.bar.setValue(round((share or 0) * _FINE))
        self.progress.setText(text)

    def say(self, text: str, *, bad: bool = False) -> None:
        """Say something below the buttons; bad news has a sign in front."""
        self.status.setText(f"⚠ {text}" if bad and text else text)
        self.status.setVisible(bool(text))
