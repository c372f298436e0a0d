"""The section "Find all objects": what is looked for, what counts, what is added."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from magicgui.widgets import CheckBox, ComboBox, FloatSlider, SpinBox
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from napari_sam.live.proposals.finding import LEAST_CONFIDENCE
from napari_sam.live.proposals.found import Filters
from napari_sam.models.catalog import list_models
from napari_sam.widgets.auto_annotate.words import plane_noun, title_of
from napari_sam.widgets.rows import Rows
from napari_sam.widgets.segment import words
from napari_sam.widgets.segment.sections.hint import row_of
from napari_sam.widgets.segment.view import paragraph, push

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.widgets.segment.bridge import Bridge

_ANY: Final = 0  # of the largest size: no limit
_SOON: Final = 0.4  # seconds; what takes less does not flash up
_TICK_MS: Final = 500
_DETECTOR_TIP = (
    "What looks for objects. What it finds is outlined by the model above. “Anything” "
    "asks that model about a grid of points: try it where the others find nothing."
)
_CONFIDENCE_TIP = "How sure it must be of an object. It is not a probability."
_STABILITY_TIP = (
    "How clear the outline must be: whether it stays where it is when the model is "
    "a little stricter or laxer. From 0 (any) to 1."
)
_SIZE_TIP = "Smaller and larger objects are left out. It counts pixels."
_BORDER_TIP = "Objects that the edge of the image has cut."


class Find(QWidget):
    """Looks for all objects on the slice, and adds those that the person wants.

    Parameters
    ----------
    bridge : Bridge
    notice : callable
        Is called with one line about what was added.
    """

    def __init__(self, bridge: Bridge, notice: Callable[[str], None]) -> None:
        super().__init__()
        self._bridge, self._finder, self._notice = bridge, bridge.finder, notice
        usual = Filters()
        self.detector = ComboBox(
            label="Find",
            choices=[
                (title_of(e), e.name) for e in list_models() if e.kind == "detector"
            ],
            value="nuclei",
            tooltip=_DETECTOR_TIP,
        )
        self.confidence = _slider("Confidence", usual.confidence, _CONFIDENCE_TIP)
        self.confidence.min = LEAST_CONFIDENCE
        self.stability = _slider("Stability", usual.stability, _STABILITY_TIP)
        self.smallest = _size("Smallest (pixels)", usual.smallest)
        self.largest = _size("Largest (0: any)", _ANY)
        self.border = CheckBox(
            label="", text="Also those cut by the border", tooltip=_BORDER_TIP
        )
        self.border.value = usual.border
        self.start = push("Find", "Look for objects on what is on the screen.")
        self.cancel = push("Cancel", "Stop looking.")
        self.add = push("Add them", "Make objects of all that are outlined.")
        self.drop = push("Drop them", "Take the outlines away.")
        self.says, self.bar = paragraph(), QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        self.counts = Rows(
            self.confidence, self.stability, self.smallest, self.largest, self.border
        )
        lines = QVBoxLayout(self)
        lines.setContentsMargins(8, 0, 0, 6)
        for part in (
            Rows(self.detector),
            row_of(self.start, self.cancel),
            self.bar,
            self.says,
            self.counts,
            row_of(self.add, self.drop),
        ):
            lines.addWidget(part)
        self._tick = QTimer(self)
        self._tick.setInterval(_TICK_MS)
        self._tick.timeout.connect(self.show_state)
        self._join()
        self.show_state()

    def _join(self) -> None:
        for pressed, action in (
            (self.start, self._find),
            (self.cancel, self._finder.cancel),
            (self.add, self._add),
            (self.drop, self._finder.drop),
        ):
            pressed.clicked.connect(lambda _=False, action=action: action())
        for widget in self.counts.widgets:
            widget.changed.connect(lambda _: self._finder.filter(self.filters()))
        self._bridge.found_changed = self.show_state

    def filters(self) -> Filters:
        """Return what is set."""
        return Filters(
            confidence=round(self.confidence.value, 4),
            stability=round(self.stability.value, 4),
            smallest=self.smallest.value,
            largest=None if self.largest.value == _ANY else self.largest.value,
            border=self.border.value,
        )

    def _find(self) -> None:
        self._finder.filter(self.filters())
        self._finder.find(self.detector.value)

    def _add(self) -> None:
        added, refused = self._finder.add()
        self._notice(words.added(added, [one.text for one in refused]))

    def show_state(self) -> None:
        """Say how far the search is, and what it found."""
        desk, state, found = self._bridge.desk, self._finder.state, self._finder.found
        count = 0 if found is None else len(found.objects)
        self.start.setEnabled(desk is not None and not state.busy)
        noun = plane_noun("" if desk is None else desk.source.stack_axes)
        whole = desk is None or not desk.source.stack_axes
        self.start.setText(f"Find on this {'image' if whole else noun}")
        seconds = time.monotonic() - state.since
        felt = state.busy and seconds > _SOON
        self.cancel.setEnabled(state.busy)
        self.bar.setVisible(felt)
        self.bar.setRange(0, 0 if state.part is None else 100)
        self.bar.setValue(round(100 * (state.part or 0)))
        elsewhere = found is not None and desk is not None and found.index != desk.index
        self.says.setText(
            words.finding(state, found, seconds, noun, elsewhere=elsewhere)
        )
        self.add.setEnabled(bool(count))
        self.add.setText(words.add_them(count))
        self.drop.setEnabled(found is not None)
        if state.busy != self._tick.isActive():
            (self._tick.start if state.busy else self._tick.stop)()

    def end(self) -> None:
        """Show nothing any more that moves."""
        self._tick.stop()


def _slider(label: str, value: float, tip: str) -> FloatSlider:
    return FloatSlider(
        label=label, min=0, max=0.99, step=0.01, value=value, tooltip=tip
    )


def _size(label: str, value: int) -> SpinBox:
    return SpinBox(label=label, min=0, max=100_000_000, value=value, tooltip=_SIZE_TIP)
