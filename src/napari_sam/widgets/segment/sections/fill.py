"""Below "Follow through the stack": slices between those with an object are filled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from napari_sam.widgets.segment.keyboard.named import names_keys
from napari_sam.widgets.segment.sections import follow_words as words
from napari_sam.widgets.segment.sections.hint import row_of
from napari_sam.widgets.segment.view import paragraph, push

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_sam.widgets.segment.bridge import Bridge


class Fill(QWidget):
    """Fills the slices on which objects are missing between others.

    Parameters
    ----------
    bridge : Bridge
    notice : callable
        Is called with one line that says why nothing is done.
    axis : callable
        Returns along which of the stack axes slices are in between.
    """

    def __init__(
        self,
        bridge: Bridge,
        notice: Callable[[str], None],
        axis: Callable[[], int],
    ) -> None:
        super().__init__()
        self._bridge, self._filling = bridge, bridge.filling
        self._notice, self._axis = notice, axis
        about = paragraph()
        names_keys(about, words.BETWEEN)
        self.one = push("", "The object that was kept, or selected, last.")
        self.all = push("Fill all objects", "Wherever one is missing in between.")
        self.cancel = push("Cancel", "Stop; what was filled so far stays.")
        self.says, self.bar = paragraph(), QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(0, 6, 0, 0)
        buttons = row_of(self.one, self.all, self.cancel)
        for part in (about, buttons, self.bar, self.says):
            lines.addWidget(part)
        self.one.clicked.connect(lambda _=False: self._fill_one())
        self.all.clicked.connect(lambda _=False: self._fill(None))
        self.cancel.clicked.connect(lambda _=False: self._filling.stop())

    def show_state(self) -> None:
        """Say how far it is, and what could be filled."""
        bridge, state = self._bridge, self._filling.state
        axes = "" if bridge.desk is None else bridge.desk.source.stack_axes
        store, target = bridge.session.store, bridge.target
        free = bool(axes) and not state.busy and not bridge.following.state.busy
        self.one.setText(words.fill(target))
        self.one.setEnabled(free and target is not None)
        self.all.setEnabled(free and store is not None and bool(store.records))
        self.cancel.setVisible(state.busy)
        self.bar.setVisible(state.busy)
        self.bar.setRange(0, max(1, state.total) if state.done else 0)
        self.bar.setValue(state.done)
        self.says.setText(words.filled(state, axes[self._axis()] if axes else ""))
        self.says.setVisible(bool(self.says.text()))

    def _fill_one(self) -> None:
        target = self._bridge.target
        if target is not None:
            self._fill((target,))

    def _fill(self, numbers: Iterable[int] | None) -> None:
        problem = self._filling.start(numbers, self._axis())
        if problem:
            self._notice(f"{problem[:1].upper()}{problem[1:]}.")
