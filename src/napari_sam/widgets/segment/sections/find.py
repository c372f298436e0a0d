"""The section "Find all objects": what is looked for, what counts, what is added."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from magicgui.widgets import CheckBox, ComboBox, FloatSlider
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog, QProgressBar, QVBoxLayout, QWidget

from napari_sam.live.proposals.finding import LEAST_CONFIDENCE
from napari_sam.live.proposals.found import Filters
from napari_sam.widgets.auto_annotate.words import plane_noun
from napari_sam.widgets.rows import Rows
from napari_sam.widgets.seeking import Seeking
from napari_sam.widgets.segment.sections import find_words as words
from napari_sam.widgets.segment.sections.find_layers import FindLayers
from napari_sam.widgets.segment.sections.find_where import (
    NO_EXAMPLE,
    Choice,
    examples,
    where,
)
from napari_sam.widgets.segment.sections.hint import row_of
from napari_sam.widgets.segment.view import paragraph, push
from napari_sam.widgets.size import Size, pixel_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.components import ViewerModel

    from napari_sam.live.labels.changes import Refusal
    from napari_sam.models.lane import Post
    from napari_sam.widgets.segment.bridge import Bridge

_ANY: Final = 0  # of the largest size: no limit
_SOON: Final = 0.4  # seconds; what takes less does not flash up
_TICK_MS: Final = 500
_DETECTOR_TIP = (
    "What looks for objects. What it finds is outlined by the model above. “Anything” "
    "asks that model about a grid of points: try it where the others find nothing. A "
    "file can be a detector of ultralytics, or one that understands words."
)
_WHERE_TIP = (
    "All slices are searched from the one on screen outward; you can go on working "
    "meanwhile. Objects of different slices are not linked: that is done by "
    "Auto-annotate."
)
_CONFIDENCE_TIP = "How sure it must be of an object. It is not a probability."
_STABILITY_TIP = (
    "How clear the outline must be: whether it stays where it is when the model is "
    "a little stricter or laxer. From 0 (any) to 1."
)
_SIZE_TIP = "The area: smaller and larger objects are left out."
_RECORDS_TIP = (
    "What was found, added or not, as files that programs which train on SA-1B read: "
    "one for each slice, with every outline, its confidence and its stability."
)
_LIKE_TIP = (
    "Looks on this slice for what looks like the objects that are outlined on it, or "
    "like what lies in the shapes that are selected. No words are needed."
)
_BORDER_TIP = "Objects that the edge of the image has cut."


class Find(QWidget):
    """Looks for all objects, and adds those that the person wants.

    Parameters
    ----------
    viewer : ViewerModel
    bridge : Bridge
    post : callable
        Runs a function on the viewer's thread.
    notice : callable
        Is called with one line about what was added.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        bridge: Bridge,
        post: Post,
        notice: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._viewer = viewer
        self._offered: tuple[str, bool] | None = None
        self._bridge, self._finder, self._notice = bridge, bridge.finder, notice
        usual = Filters()
        self.seeking = Seeking(
            self,
            post,
            chosen=self._sought,
            said=lambda: None,
            notice=notice,
            tooltip=_DETECTOR_TIP,
        )
        self.detector = self.seeking.detector
        self.where = ComboBox(
            label="Where",
            choices=words.choices("slice", stack=True),
            tooltip=_WHERE_TIP,
        )
        self.confidence = _slider("Confidence", usual.confidence, _CONFIDENCE_TIP)
        self.confidence.min = LEAST_CONFIDENCE
        self.stability = _slider("Stability", usual.stability, _STABILITY_TIP)
        self.smallest = _size("Smallest", usual.smallest)
        self.largest = _size("Largest", _ANY, unset="any")
        self.border = CheckBox(
            label="", text="Also those cut by the border", tooltip=_BORDER_TIP
        )
        self.border.value = usual.border
        self.start = push("Find", "Look for objects, and outline them.")
        self.like = push("More like these", _LIKE_TIP)
        self.like.hide()
        self.cancel = push("Cancel", "Stop; what was found or added so far stays.")
        self.add = push("Add them", "Make objects of all that were found, in one step.")
        self.drop = push("Drop them", "Take the outlines away.")
        self.save = push("Save records…", _RECORDS_TIP)
        self.layers = FindLayers(viewer, bridge, post, notice, self.show_state)
        self.says, self.bar = paragraph(), QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        self.counts = Rows(
            *(self.confidence, self.stability),
            *(self.smallest.box, self.largest.box, self.border),
        )
        self.what = Rows(self.detector, self.seeking.words, self.where)
        self.seeking.join(self.what)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(8, 0, 0, 6)
        for part in (
            self.what,
            row_of(self.start, self.cancel),
            self.like,
            self.bar,
            self.says,
            self.counts,
            row_of(self.add, self.drop),
            self.layers,
            self.save,
        ):
            lines.addWidget(part)
        self._tick = QTimer(self)
        self._tick.setInterval(_TICK_MS)
        self._tick.timeout.connect(self.show_state)
        self._join()
        self.show_state()
        self.seeking.look()

    def _join(self) -> None:
        for pressed, action in (
            (self.start, self._find),
            (self.like, self._find_alike),
            (self.cancel, self._cancel),
            (self.add, self._add),
            (self.drop, self._finder.drop),
            (self.save, self._save),
        ):
            pressed.clicked.connect(lambda _=False, action=action: action())
        for widget in self.counts.widgets:
            widget.changed.connect(lambda _: self._finder.filter(self.filters()))
        self.where.changed.connect(lambda _: self.show_state())
        self._bridge.found_changed = self.show_state

    def filters(self) -> Filters:
        """Return what is set."""
        return Filters(
            confidence=round(self.confidence.value, 4),
            stability=round(self.stability.value, 4),
            smallest=round(self.smallest.pixels),
            largest=max(1, round(self.largest.pixels)) if self.largest.pixels else None,
            border=self.border.value,
        )

    def _find(self) -> None:
        desk = self._bridge.desk
        if desk is None:
            return
        if lacking := self.seeking.lacking:
            self._notice(lacking)
            return
        wanted = where(self.where.value, self._viewer, desk)
        if isinstance(wanted, str):
            self._notice(wanted)
            return
        self._finder.filter(self.filters())
        self._finder.find(self.detector.value, wanted, self.seeking.said or ())

    def _find_alike(self) -> None:
        desk = self._bridge.desk
        if desk is None:
            return
        boxes = examples(self._viewer, desk, self._bridge.session.store)
        if not boxes:
            self._notice(NO_EXAMPLE)
            return
        self._finder.filter(self.filters())
        self._finder.find(self.detector.value, examples=boxes)

    def _sought(self) -> None:
        """Say what is still needed, now that something else is to look."""
        self.like.setVisible(self.seeking.asked.examples)
        if lacking := self.seeking.lacking:
            self._notice(lacking)

    def _cancel(self) -> None:
        self._finder.cancel()
        self.layers.edging.stop()

    def _add(self) -> None:
        self._finder.add(self._added)

    def _added(self, count: int, refused: Sequence[Refusal]) -> None:
        self._notice(words.added(count, [one.text for one in refused]))

    def _save(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "A folder for the records")
        if chosen:
            folder = Path(chosen)
            self._notice("Saving…")
            self._finder.save(
                folder,
                lambda count: self._notice(words.recorded(count, folder)),
                lambda why: self._notice(f"⚠ {why}"),
            )

    def show_state(self) -> None:
        """Say how far the search is, and what it found."""
        desk, state = self._bridge.desk, self._finder.state
        axes = "" if desk is None else desk.source.stack_axes
        noun = plane_noun(axes)
        self._offer(noun, stack=desk is None or bool(axes))
        for size in (self.smallest, self.largest):
            size.suit(None if desk is None else pixel_of(desk.image))
        for button in (self.start, self.like):
            button.setEnabled(desk is not None and not state.busy)
        slices = 1 if desk is None else len(desk.source)
        self.start.setText(words.find_on(self.where.value, noun, slices))
        seconds = time.monotonic() - state.since
        edging = self.layers.edging.part
        felt = (state.busy and seconds > _SOON) or edging is not None
        part = state.whole if edging is None else edging
        self.cancel.setEnabled(state.busy or edging is not None)
        self.bar.setVisible(felt)
        self.bar.setRange(0, 0 if part is None else 1000)
        self.bar.setValue(round(1000 * (part or 0)))
        self.says.setText(
            self._text(seconds, noun, axes)
            if edging is None
            else words.edges(edging, noun)
        )
        count = self._finder.total.objects
        self.add.setEnabled(bool(count) and not state.busy)
        self.add.setText(words.add_them(count))
        self.save.setEnabled(bool(count) and not state.busy)
        self.layers.boxes.setEnabled(bool(count) and not state.busy)
        self.layers.edges.setEnabled(
            desk is not None and not state.busy and edging is None
        )
        self.drop.setEnabled(self._finder.searched > 0 and state.phase != "adding")
        self.counts.setEnabled(state.phase != "adding")
        if state.busy != self._tick.isActive():
            (self._tick.start if state.busy else self._tick.stop)()

    def _text(self, seconds: float, noun: str, axes: str) -> str:
        finder, desk = self._finder, self._bridge.desk
        found = finder.found
        elsewhere = found is not None and desk is not None and found.index != desk.index
        if not finder.where.stack:
            return words.finding(
                finder.state, found, seconds, noun, elsewhere=elsewhere
            )
        return words.finding_all(
            finder.state,
            finder.total,
            finder.searched,
            seconds,
            axes,
            here=None if found is None or elsewhere else len(found.objects),
            counted=finder.counted,
        )

    def _offer(self, noun: str, *, stack: bool) -> None:
        """Offer what there is to be searched."""
        if self._offered == (noun, stack):
            return
        self._offered = noun, stack
        before = self.where.value
        offered = words.choices(noun, stack=stack)
        with self.where.changed.blocked():
            self.where.choices = offered
            known = [choice for _, choice in offered]
            self.where.value = before if before in known else Choice.SLICE

    def end(self) -> None:
        """Show nothing any more that moves."""
        self._tick.stop()
        self.seeking.end()
        self.layers.end()


def _slider(label: str, value: float, tip: str) -> FloatSlider:
    return FloatSlider(
        label=label, min=0, max=0.99, step=0.01, value=value, tooltip=tip
    )


def _size(label: str, pixels: int, unset: str = "") -> Size:
    return Size(label, pixels=pixels, power=2, tooltip=_SIZE_TIP, unset=unset)
