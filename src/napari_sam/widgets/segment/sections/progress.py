"""The section "What is complete": of the slice, of regions on it, of the stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_sam.widgets.segment.keyboard.named import names_keys
from napari_sam.widgets.segment.sections import progress_words as words
from napari_sam.widgets.segment.sections.hint import row_of
from napari_sam.widgets.segment.view import paragraph, push

if TYPE_CHECKING:
    from napari_sam.live.proofreading.progress import Progress
    from napari_sam.widgets.segment.bridge import Bridge

_TIP: Final = (
    "Everything that is to be labelled here is labelled ({complete}). What lies "
    "between the objects is background then; elsewhere it is unknown, and Save says so."
)
_NEXT_TIP: Final = "Show the next one that is not complete ({next_open})."
_REGION_TIP: Final = (
    "Limit your work on this slice to a part of it. Drag a rectangle, or click the "
    "corners of an outline and press Esc; several are fine. Move or delete them with "
    "napari's own tools."
)
_CLEAR_TIP: Final = "The objects stay; the whole slice is worked on again."
_ROWS: Final = 5  # of the list of regions that are seen at once
_GAP: Final = 3  # around each of them
_NUMBER: Final = Qt.ItemDataRole.UserRole


class Completeness(QWidget):
    """Says what is complete, and lets a person say it.

    Parameters
    ----------
    bridge : Bridge
    """

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge, self._standing = bridge, bridge.standing
        self.here, self.count, self.limited = (paragraph() for _ in range(3))
        self.complete = QCheckBox()
        names_keys(self.complete, tip=_TIP)
        # A click must not take the keys from the image.
        self.complete.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.next = push("", _NEXT_TIP)
        self.rectangle = push("Draw a region", _REGION_TIP)
        self.outline = push("With corners", _REGION_TIP)
        self.clear = push("Take away", _CLEAR_TIP)
        self.regions = QListWidget()
        self.regions.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.regions.setSpacing(_GAP)
        self.regions.setSelectionMode(QListWidget.SelectionMode.NoSelection)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(8, 0, 0, 6)
        for part in (
            self.here,
            row_of(self.complete, self.next),
            self.count,
            row_of(self.rectangle, self.outline, self.clear),
            self.limited,
            self.regions,
        ):
            lines.addWidget(part)
        self._join()
        self.show_state()

    def _join(self) -> None:
        standing = self._standing
        self.complete.clicked.connect(standing.set_complete)
        for pressed, action in (
            (self.next, standing.next_open),
            (self.rectangle, lambda: standing.draw("rectangle")),
            (self.outline, lambda: standing.draw("polygon")),
            (self.clear, standing.remove_regions),
        ):
            pressed.clicked.connect(lambda _=False, action=action: action())
        self.regions.itemChanged.connect(self._checked)
        standing.changed = self.show_state

    def show_state(self) -> None:
        """Say how far the slice on the screen is."""
        desk, progress = self._bridge.desk, self._standing.progress
        for widget in (self.complete, self.next, self.rectangle, self.outline):
            widget.setEnabled(progress is not None)
        axes = "" if desk is None else desk.source.stack_axes
        name = words.noun(axes)
        self.complete.setText(f"This {name} is complete")
        self.next.setText(f"Next {name} that is not")
        self.next.setVisible(bool(axes))
        self._list(progress)
        if progress is None:
            for label in (self.here, self.count, self.limited):
                label.setText("")
            self.complete.setChecked(False)
            self.clear.setEnabled(False)
            return
        index = self._standing.index
        self.here.setText(words.here(progress, index, axes))
        self.count.setText(words.count(progress, axes))
        self.count.setVisible(bool(axes))
        self.complete.setChecked(progress.planes.get(index) == "complete")
        self.limited.setText(words.limited(progress, index))
        self.clear.setEnabled(bool(progress.on(index)))

    def _list(self, progress: Progress | None) -> None:
        """List the regions on this slice, each with a box to tick."""
        regions = () if progress is None else progress.regions
        here = () if progress is None else progress.on(self._standing.index)
        self.regions.blockSignals(True)
        while self.regions.count() > len(here):
            self.regions.takeItem(len(here))
        while self.regions.count() < len(here):
            self.regions.addItem(QListWidgetItem())
        for row, number in enumerate(here):
            state = regions[number].state
            item = self.regions.item(row)
            item.setText(words.region(number, state))
            item.setData(_NUMBER, number)
            states = Qt.CheckState
            done = states.Checked if state == "complete" else states.Unchecked
            item.setCheckState(done)
        self.regions.blockSignals(False)
        self.regions.setVisible(bool(here))
        self.limited.setVisible(bool(here))
        row = self.regions.sizeHintForRow(0) + 2 * _GAP
        height = row * min(len(here), _ROWS)
        self.regions.setFixedHeight(height + 2 * self.regions.frameWidth())

    def _checked(self, item: QListWidgetItem) -> None:
        done = item.checkState() == Qt.CheckState.Checked
        self._standing.set_region_complete(int(item.data(_NUMBER)), done)
