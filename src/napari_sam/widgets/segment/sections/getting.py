"""The box in the section "Models" in which a model of others is downloaded."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFrame, QProgressBar, QVBoxLayout

from napari_sam.live.disk.getting import Getting
from napari_sam.widgets.segment.sections import getting_words as words
from napari_sam.widgets.segment.sections.hint import row_of
from napari_sam.widgets.segment.view import paragraph, push

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_sam.models.known import Known
    from napari_sam.models.lane import Post

_TICK_MS: Final = 500
_PARTS: Final = 1000  # of the bar: bytes may be more than it can count


class GettingBox(QFrame):
    """Says what would be downloaded, and does it when that is wanted.

    Parameters
    ----------
    post : callable
        Runs a function on the thread that draws.
    came : callable
        Is called when a model has come.
    use : callable
        Is called with its path when it is to be used.
    changed : callable
        Is called when there is something to stop, or nothing any more.
    """

    def __init__(
        self,
        post: Post,
        came: Callable[[], None],
        use: Callable[[Path], None],
        changed: Callable[[], None],
    ) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._came, self._use_path, self._changed = came, use, changed
        self._phase = "nothing"
        self.getting = Getting(post, self._show)
        self.says, self.bar = paragraph(), QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        self.agree = push("", "Begins only now.")
        self.use = push("Use it now", "Outline objects with it from now on.")
        self.stop = push("Cancel", "Stop at once; what came is kept.")
        self.away = push("Not now", "Nothing is downloaded.")
        inside = QVBoxLayout(self)
        inside.setContentsMargins(8, 6, 8, 6)
        for part in (
            self.says,
            self.bar,
            row_of(self.agree, self.use, self.stop, self.away),
        ):
            inside.addWidget(part)
        for button, action in (
            (self.agree, self.getting.agree),
            (self.use, self._use),
            (self.stop, self.getting.stop),
            (self.away, self.getting.put_away),
        ):
            button.clicked.connect(lambda _=False, action=action: action())
        self._tick = QTimer(self)
        self._tick.setInterval(_TICK_MS)
        self._tick.timeout.connect(self._say)
        self._show()

    @property
    def busy(self) -> bool:
        """Whether there is something to stop."""
        return self.getting.state.busy

    def ask(self, known: Known) -> None:
        """Say what would be downloaded; nothing is."""
        self.getting.ask(known)

    def selected(self, what: object) -> None:
        """Hear that a person looks at this model now: an offer of another one goes."""
        state = self.getting.state
        if not state.busy and what is not state.known:
            self.getting.put_away()

    def end(self) -> None:
        """Stop, and download nothing any more; also when Qt's side is gone."""
        self.getting.close()
        with suppress(RuntimeError):
            self._show()

    def _use(self) -> None:
        found = self.getting.state.found
        self.getting.put_away()
        if found is not None:
            self._use_path(found.path)

    def _show(self) -> None:
        state = self.getting.state
        self._say()
        self.setVisible(state.phase != "nothing")
        self.bar.setVisible(state.phase == "getting")
        unknown = not state.total or state.checking
        self.bar.setRange(0, 0 if unknown else _PARTS)
        if not unknown and state.total:
            self.bar.setValue(round(_PARTS * state.have / state.total))
        self.agree.setText(words.agree(state))
        # Where there is no plan, it failed before anything was offered.
        self.agree.setVisible(bool(words.agree(state)) and state.plan is not None)
        self.use.setVisible(state.phase == "done")
        self.stop.setVisible(state.busy)
        self.away.setVisible(not state.busy)
        self.away.setText("Not now" if state.phase == "offered" else "Close")
        if state.phase != self._phase:
            self._phase = state.phase
            (self._tick.start if state.busy else self._tick.stop)()
            self._changed()
            if state.phase == "done":
                self._came()

    def _say(self) -> None:
        said = words.lines(self.getting.state, time.monotonic())
        self.says.setText("\n".join(said))
