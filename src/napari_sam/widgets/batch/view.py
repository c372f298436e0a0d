"""What stands on the panel and how it is arranged; nothing is decided here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtWidgets import (
    QGroupBox,
    QHBoxLayout,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from napari_sam.widgets.segment.view import Fold, paragraph, push, scrolled

if TYPE_CHECKING:
    from napari_sam.widgets.batch.form import BatchForm
    from napari_sam.widgets.batch.items import List
    from napari_sam.widgets.batch.places import Places
    from napari_sam.widgets.batch.tried import Slices

_FINE: Final = 1000  # steps of the bar


class View:
    """The buttons, the progress and the words around the forms.

    Parameters
    ----------
    panel : QWidget
        Filled with it all.
    places : Places
    form : BatchForm
    slices : Slices
    items : List
    """

    def __init__(
        self,
        panel: QWidget,
        places: Places,
        form: BatchForm,
        slices: Slices,
        items: List,
    ) -> None:
        self.try_button = push(
            "Try three slices",
            "Look at three slices that are drawn at random, before all are done.",
        )
        self.start_button = push("Start", "Find the objects of all images.")
        self.pause_button = push(
            "Pause", "End when what is in hand is finished; nothing is lost."
        )
        self.open_button = push(
            "Open in the viewer", "Open the image that is selected, and its objects."
        )
        self.report_button = push(
            "Report", "Write a page about the results, and open it in the browser."
        )
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(10)
        self.plan, self.progress, self.status = (paragraph() for _ in range(3))
        self._settings = [places, form.form.what, form.replace.native]
        counts = QGroupBox("What counts as an object")
        inside = QVBoxLayout(counts)
        inside.setContentsMargins(4, 4, 4, 4)
        inside.addWidget(form.form.counts)
        files = Fold("Files to write", form.files)
        more = Fold("More settings", form.more)
        self._settings += [counts, files, more]
        self._running = self._progress_row()
        self._results = QWidget()
        below = QVBoxLayout(self._results)
        below.setContentsMargins(0, 0, 0, 0)
        below.addWidget(items)
        below.addLayout(_row(self.open_button, self.report_button))
        layout = scrolled(panel)
        for widget in (places, form.form.what, counts, files, more, self.plan):
            layout.addWidget(widget)
        layout.addWidget(form.replace.native)
        layout.addLayout(_row(self.try_button, self.start_button))
        for widget in (self._running, self.status, slices, self._results):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.start_button.setDefault(True)
        self._results.hide()
        panel.setMinimumWidth(360)

    def _progress_row(self) -> QWidget:
        row = QWidget()
        lines = QVBoxLayout(row)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.addWidget(self.bar)
        below = QHBoxLayout()
        below.addWidget(self.progress, 1)
        below.addWidget(self.pause_button)
        lines.addLayout(below)
        row.hide()
        return row

    def show_busy(self, share: float | None, text: str, *, ours: bool) -> None:
        """Show how far it is; what runs elsewhere cannot be paused here."""
        self._running.show()
        self.pause_button.setVisible(ours)
        self.bar.setRange(0, 0 if share is None else _FINE)
        self.bar.setValue(round((share or 0) * _FINE))
        self.progress.setText(text)
        self._enable(False)

    def show_idle(self) -> None:
        """Let people say something else."""
        self._running.hide()
        self._enable(True)

    def show_results(self, count: int, *, reportable: bool) -> None:
        """Show the list, if there is something in it."""
        self._results.setVisible(count > 0)
        self.report_button.setVisible(reportable)

    def say(self, text: str, *, bad: bool = False) -> None:
        """Say something below the buttons; bad news has a sign in front."""
        self.status.setText(f"⚠ {text}" if bad and text else text)
        self.status.setVisible(bool(text))

    def _enable(self, on: bool) -> None:
        for part in (*self._settings, self.try_button, self.start_button):
            part.setEnabled(on)
        self.report_button.setEnabled(on)


def _row(*parts: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for part in parts:
        row.addWidget(part)
    return row
