"""The section "Follow through the stack": which objects, where to, how far."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from magicgui.widgets import ComboBox, SpinBox
from qtpy.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from napari_sam.live.following.following import NO_OBJECT, NO_STACK
from napari_sam.live.following.wanted import Wanted
from napari_sam.widgets.auto_annotate.words import plane_noun
from napari_sam.widgets.rows import Rows
from napari_sam.widgets.segment.sections import follow_words as words
from napari_sam.widgets.segment.sections.fill import Fill
from napari_sam.widgets.segment.sections.hint import row_of
from napari_sam.widgets.segment.view import paragraph, push
from napari_sam.widgets.segment.watch import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.live.labels.changes import Change
    from napari_sam.widgets.segment.bridge import Bridge

_WHOLE: Final = 0  # slices to go: to the end
_WAYS: Final = {words.BOTH: (1, -1), words.LATER: (1,), words.EARLIER: (-1,)}
_WHOM_TIP = (
    "Their outlines on the slice on screen are where it begins. The selected object is "
    "that of the Labels layer, see “label” in napari's controls."
)
_REACH_TIP = "Slices to go each way. 0: to the end, or until the objects have ended."
_FOLLOW_TIP = (
    "Outline the same objects on the slices before and behind this one. Slices that "
    "you have outlined yourself stay as they are; put a wrong one right, and follow "
    "again from there."
)

_GO_ON_TIP = (
    "What you have put right here leads on: only these objects are found anew, and "
    "only on the slices beyond this one. All others stay as they are."
)


class Follow(QWidget, Watcher):
    """Follows the objects of a slice through the stack.

    Parameters
    ----------
    bridge : Bridge
    notice : callable
        Is called with one line that says why nothing is done.
    """

    def __init__(self, bridge: Bridge, notice: Callable[[str], None]) -> None:
        super().__init__()
        self._bridge, self._following = bridge, bridge.following
        self._notice = notice
        self._offered = ""
        self.whom = ComboBox(
            label="Follow", choices=words.whom("slice"), tooltip=_WHOM_TIP
        )
        self.ways = ComboBox(label="Where to", choices=words.ways("slice"))
        self.axis = ComboBox(label="Through", choices=words.axes("Z"))
        self.reach = SpinBox(
            label="How far (0: all)", min=0, max=100_000, tooltip=_REACH_TIP
        )
        self.start = push("Follow", _FOLLOW_TIP)
        self.cancel = push("Cancel", "Stop; what was added so far stays.")
        self.go_on = push("", _GO_ON_TIP)
        self.says, self.bar = paragraph(), QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        self.fill = Fill(bridge, notice, lambda: self.axis.value)
        self.rows = Rows(self.whom, self.ways, self.reach, self.axis)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(8, 0, 0, 6)
        buttons = row_of(self.start, self.cancel)
        for part in (
            *(self.rows, buttons, self.go_on),
            *(self.bar, self.says, self.fill),
        ):
            lines.addWidget(part)
        self.start.clicked.connect(lambda _=False: self.follow())
        self.go_on.clicked.connect(
            lambda _=False: self._say(self._following.go_on(self.axis.value))
        )
        self.cancel.clicked.connect(lambda _=False: self._following.stop())
        self.whom.changed.connect(lambda _: self.show_state())
        bridge.followed = self.show_state
        bridge.watchers.append(self)
        self.work_changed()

    def follow(self) -> None:
        """Begin, or say why not."""
        numbers = self._numbers()
        if self.whom.value == words.SELECTED and not numbers:
            self._say("the selected object is not on this slice")
            return
        self._begin(numbers)

    def follow_one(self) -> None:
        """Follow the object under the mouse."""
        at = self._bridge.touch.object_under_mouse()
        if at is not None:
            self._begin((at[0],))

    def work_changed(self) -> None:
        """Offer what there is to follow objects through."""
        desk = self._bridge.desk
        axes = "" if desk is None else desk.source.stack_axes
        if axes != self._offered:
            self._offered = axes
            noun = plane_noun(axes)
            for box, offered in (
                (self.whom, words.whom(noun)),
                (self.ways, words.ways(noun)),
                (self.axis, words.axes(axes or "Z")),
            ):
                before = box.value
                with box.changed.blocked():
                    box.choices = offered
                    if before in (value for _, value in offered):
                        box.value = before
            # Through depth where there is depth, as everywhere else.
            self.axis.value = max(0, axes.find("Z"))
        self.rows.show_row(self.axis, len(axes) > 1)
        self.show_state()

    def labels_changed(self, change: Change) -> None:
        """Say how many objects would be followed now."""
        self._following.touched(change)
        self.show_state()

    def slice_changed(self) -> None:
        """Say how many objects would be followed from here."""
        self.show_state()

    def show_state(self) -> None:
        """Say how far it is."""
        desk, state = self._bridge.desk, self._following.state
        axes = "" if desk is None else desk.source.stack_axes
        busy = state.busy or self._bridge.filling.state.busy
        self.start.setEnabled(bool(axes) and not busy)
        self.start.setText(words.follow(len(self._numbers())))
        self.cancel.setEnabled(state.busy)
        corrected = len(self._following.corrected())
        self.go_on.setVisible(bool(corrected))
        self.go_on.setText(words.go_on(corrected, plane_noun(axes)))
        self.bar.setVisible(state.busy)
        self.bar.setRange(0, max(1, state.total) if state.done else 0)
        self.bar.setValue(state.done)
        seconds = time.monotonic() - state.since
        nothing = desk is not None and not axes
        self.says.setText(
            f"{NO_STACK[:1].upper()}{NO_STACK[1:]}."
            if nothing
            else words.following(state, seconds, axes)
        )
        self.says.setVisible(bool(self.says.text()))
        self.rows.setEnabled(bool(axes) and not busy)
        self.fill.show_state()

    def _numbers(self) -> tuple[int, ...]:
        here = self._following.here()
        if self.whom.value == words.ALL:
            return here
        desk = self._bridge.desk
        layer = None if desk is None or desk.labels is None else desk.labels.layer
        return tuple(n for n in here if layer and n == layer.selected_label)

    def _begin(self, numbers: tuple[int, ...]) -> None:
        if not numbers:
            self._say(NO_OBJECT)
            return
        reach = None if self.reach.value == _WHOLE else self.reach.value
        ways = _WAYS[self.ways.value]
        self._say(self._following.start(Wanted(numbers, self.axis.value, ways, reach)))

    def _say(self, problem: str) -> None:
        if problem:
            self._notice(f"{problem[:1].upper()}{problem[1:]}.")
