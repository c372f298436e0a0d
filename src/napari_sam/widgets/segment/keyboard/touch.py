"""What can be done with the object under the mouse, one key each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.live.labels.changes import Refusal
from napari_sam.live.threads import say
from napari_sam.types import NapariSamError
from napari_sam.widgets.segment.keyboard.keys import SHORTCUTS, Shortcut

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.live.labels.changes import Change
    from napari_sam.live.labels.store import LabelStore
    from napari_sam.live.prompting.session import Session
    from napari_sam.live.values import Index
    from napari_sam.widgets.segment.desk import Desk

NOTHING = "There is no object under the mouse."
# With Shift: without it these keys choose napari's own tools.
ALL_SHORTCUTS = (
    *SHORTCUTS,
    Shortcut("looser", ".", "Looser outline"),
    Shortcut("tighter", ",", "Tighter outline"),
    Shortcut("merge", "Shift+J", "Join two objects: once on each"),
    Shortcut("split", "Shift+S", "Split the object under the mouse"),
    Shortcut("fill", "Shift+F", "Fill its holes"),
    Shortcut("smooth", "Shift+G", "Smooth its outline"),
    Shortcut("follow", "Shift+T", "Follow it through the stack"),
    Shortcut("complete", "Shift+C", "This slice is complete, or is not"),
    Shortcut("next_open", "Shift+N", "Next slice that is not complete"),
    Shortcut("accept", "Y", "Proofreading: this object is right"),
    Shortcut("reject", "Shift+D", "Proofreading: delete this object"),
    Shortcut("refine", "Shift+R", "Proofreading: work on this object"),
    Shortcut("next_doubt", "J", "Next doubtful object"),
    Shortcut("previous_doubt", "K", "The doubtful object before"),
)


class Touch:
    """Changes the object under the mouse.

    Parameters
    ----------
    session : Session
    desk : callable
        Returns the layers around the image, None where there is no image.
    notice : callable
        Is called with one line where nothing can be done.
    """

    def __init__(
        self,
        session: Session,
        desk: Callable[[], Desk | None],
        notice: Callable[[str], None],
    ) -> None:
        self._session, self._desk, self._notice = session, desk, notice
        self._first: int | None = None  # of two that are to be joined

    def actions(self) -> dict[str, Callable[[], object]]:
        """Return what keys can do, by name."""
        return {
            "delete": self.delete,
            "reopen": self.reopen,
            "merge": self.merge,
            "split": lambda: self._change(lambda store, *at: store.split(*at)),
            "fill": lambda: self._change(lambda store, *at: store.fill(*at)),
            "smooth": lambda: self._change(lambda store, *at: store.smooth(*at)),
        }

    def delete(self) -> None:
        """Delete it, on all slices."""
        self._change(lambda store, number, _: store.delete([number]))

    def reopen(self) -> None:
        """Let it be a suggestion again."""
        at = self.object_under_mouse()
        if at is not None:
            try:
                self._session.reopen(*at)
            except NapariSamError as error:
                self._notice(say(error))

    def merge(self) -> None:
        """Join it with the one that was under the mouse the last time."""
        at, store = self.object_under_mouse(), self._session.store
        if at is None or store is None:
            return
        first, self._first = self._first, None
        if first is None or first == at[0] or first not in store.records:
            self._first = at[0]
            self._notice("Now the other one: point at it, and press the key again.")
            return
        self._session.edit(store.merge([first, at[0]]))

    def _change(
        self, what: Callable[[LabelStore, int, Index], Change | Refusal | None]
    ) -> None:
        at, store = self.object_under_mouse(), self._session.store
        if at is None or store is None:
            return
        change = what(store, *at)
        if isinstance(change, Refusal):
            self._notice(change.text)
        elif change is None:
            self._notice("There is nothing to change about it.")
        else:
            self._session.edit(change)

    def object_under_mouse(self) -> tuple[int, Index] | None:
        """Return the object there and its slice, or say that there is none."""
        desk, store = self._desk(), self._session.store
        at = None if desk is None else desk.under_mouse()
        number = 0 if at is None or store is None else store.at(*at)
        if at is None or not number:
            self._notice(NOTHING)
            return None
        return number, at[0]
