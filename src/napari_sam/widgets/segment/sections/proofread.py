"""The section "Proofread": one doubtful object after the other, one key each."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final

from magicgui.widgets import CheckBox
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QLabel, QProgressBar, QVBoxLayout, QWidget

from napari_sam.widgets.segment.layers import visiting
from napari_sam.widgets.segment.layers.look import pixel_on_screen
from napari_sam.widgets.segment.sections import proofread_words as words
from napari_sam.widgets.segment.sections.hint import row_of
from napari_sam.widgets.segment.view import Fold, paragraph, push

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.components import ViewerModel

    from napari_sam.live.labels.changes import IntBox
    from napari_sam.live.values import Index, Key
    from napari_sam.widgets.segment.bridge import Bridge
    from napari_sam.widgets.segment.layers.outlines import Placed

_TICK_MS: Final = 500
_ASK_TIP = (
    "The model outlines every object once more, behind whatever else you do. Where it "
    "comes to something else, the object is doubtful."
)
_MOVE_TIP = (
    "Move the outlines of all objects of this slice by one pixel {}. One step to undo."
)


class Proofread(QWidget):
    """Shows doubtful objects one by one, and says why they are doubtful.

    Parameters
    ----------
    viewer : ViewerModel
    bridge : Bridge
    notice : callable
        Is called with one line for people.
    """

    def __init__(
        self, viewer: ViewerModel, bridge: Bridge, notice: Callable[[str], None]
    ) -> None:
        super().__init__()
        self._viewer, self._bridge, self._notice = viewer, bridge, notice
        self._reader = bridge.proofreader
        self._framed: tuple[int, IntBox] | None = None
        self.start = push(
            "Look for doubtful objects", "Look through all objects. Nothing is changed."
        )
        self.cancel = push("Cancel", "Stop looking, and stop asking the model.")
        self.accept = push("Accept ({accept})", "This object is right.")
        self.delete = push("Delete", "Delete this object on all slices ({reject}).")
        self.refine = push("Refine", "Work on this object with clicks ({refine}).")
        self.previous = push("Previous ({previous_doubt})", "Back to the one before.")
        self.tighter = push("Tighter", _MOVE_TIP.format("inwards"))
        self.looser = push("Looser", _MOVE_TIP.format("outwards, until they meet"))
        self.next = push("Next ({next_doubt})", "Leave it as it is for now.")
        self.ask = CheckBox(label="", text="Ask the model too", tooltip=_ASK_TIP)
        self.says, self.asked, self.bar = paragraph(), paragraph(), QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        # So that the buttons stay below the mouse when a reason takes two lines.
        self.says.setMinimumHeight(3 * self.says.fontMetrics().height() + 4)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(8, 0, 0, 6)
        for part in (
            row_of(self.start, self.cancel),
            self.says,
            row_of(self.accept, self.delete, self.refine),
            row_of(self.previous, self.next),
            row_of(QLabel("All outlines here"), self.tighter, self.looser),
            self.ask.native,
            self.bar,
            self.asked,
        ):
            lines.addWidget(part)
        self._tick = QTimer(self)
        self._tick.setInterval(_TICK_MS)
        self._tick.timeout.connect(self.changed)
        self._join()
        self.changed()

    def _join(self) -> None:
        reader = self._reader
        move = self._bridge.outlines.move
        for pressed, action in (
            (self.tighter, partial(move, -1)),
            (self.looser, partial(move, 1)),
            (self.start, reader.start),
            (self.cancel, reader.cancel),
            (self.accept, reader.accept),
            (self.delete, reader.delete),
            (self.refine, reader.refine),
            (self.previous, reader.previous),
            (self.next, reader.next),
        ):
            pressed.clicked.connect(lambda _=False, action=action: action())
        self.ask.changed.connect(reader.ask_too)
        reader.screen = self
        self._bridge.framed = self.frames

    # What the proofreader tells.

    def changed(self) -> None:
        """Say how far it is."""
        reader, store = self._reader, self._bridge.session.store
        objects = 0 if store is None else len(store.records)
        state, asked, review = reader.state, reader.asking.state, reader.review
        looking = state.phase == "looking"
        here = reader.current is not None
        self.says.setText(words.state(state, review, objects))
        self.start.setEnabled(bool(objects) and not looking)
        self.cancel.setEnabled(looking or asked.busy)
        for button in (self.tighter, self.looser):
            button.setEnabled(bool(objects))
        for button in (self.accept, self.delete, self.refine):
            button.setEnabled(here)
        for button in (self.previous, self.next):
            button.setEnabled(review is not None and bool(review.doubtful))
        seconds = time.monotonic() - asked.since
        self.asked.setText(words.asking(asked, seconds))
        self.asked.setVisible(bool(self.asked.text()))
        self.bar.setVisible(asked.busy)
        self.bar.setRange(0, asked.total if asked.phase == "asking" else 0)
        self.bar.setValue(asked.done)
        if asked.busy != self._tick.isActive():
            (self._tick.start if asked.busy else self._tick.stop)()
        self._draw()

    def show_place(self, index: Index, box: IntBox) -> None:
        """Bring a place to the middle of the screen."""
        desk, current = self._bridge.desk, self._reader.current
        if desk is None or desk.labels is None or current is None:
            return
        fold, layer = self.parent(), desk.labels.layer
        if isinstance(fold, Fold):
            fold.button.setChecked(True)  # a key brought us here: say why
        visiting.go_to(self._viewer, layer, index, box)
        layer.selected_label = current.id
        self._draw(anew=True)

    def sees(self, index: Index, box: IntBox) -> bool:
        """Whether a place is on the screen."""
        desk = self._bridge.desk
        if desk is None or desk.labels is None:
            return False
        return visiting.sees(self._viewer, desk.labels.layer, index, box)

    def opened(self, key: Key) -> None:
        """Let the next clicks refine this suggestion."""
        desk = self._bridge.desk
        if desk is not None:
            desk.prompts.current = key
            if desk.tool is None:
                desk.use("click")

    def notice(self, text: str) -> None:
        """Say a line."""
        self._notice(text)

    # The frame around the object.

    def frames(self, index: Index) -> Sequence[Placed]:
        """Return what is drawn on a slice around the object that is shown."""
        desk, at = self._bridge.desk, self._at(index)
        if desk is None or at is None:
            return ()
        return visiting.frame(at[1], pixel_on_screen(self._viewer, desk.image))

    def _at(self, index: Index) -> tuple[int, IntBox] | None:
        """Return the object that is shown, and where it is on a slice."""
        current, store = self._reader.current, self._bridge.session.store
        if current is None or store is None:
            return None
        box = store.extents.get(current.id, {}).get(index)
        return None if box is None else (current.id, box)

    def _draw(self, *, anew: bool = False) -> None:
        """Draw the frame where it is another one now."""
        desk = self._bridge.desk
        if desk is None:
            return
        framed = self._at(desk.index)
        if anew or framed != self._framed:
            self._framed = framed
            self._bridge.suggestions_changed({desk.index})

    def end(self) -> None:
        """Show nothing any more that moves."""
        self._tick.stop()
