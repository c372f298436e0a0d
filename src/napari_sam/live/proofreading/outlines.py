"""All outlines of a slice looser or tighter, behind whatever else is done."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from napari_sam.live.labels.moving import move_outlines
from napari_sam.live.threads import Threads, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.live.labels.moving import Moved
    from napari_sam.live.labels.store import LabelStore
    from napari_sam.live.prompting.session import Session
    from napari_sam.live.values import Index
    from napari_sam.models.lane import Post

NOTHING = "No outline on this slice can be moved."


class Outlines:
    """Moves the outlines of all objects of a slice, as a step that can be undone.

    Used on the thread that uses the session.

    Parameters
    ----------
    session : Session
    post : callable
        Runs a function on that thread.
    notice : callable
        Is called with one line for people.
    """

    def __init__(
        self, session: Session, post: Post, notice: Callable[[str], None]
    ) -> None:
        self._session, self._notice = session, notice
        self._threads = Threads(post)
        self._wanted: deque[tuple[LabelStore, Index, int]] = deque()

    def move(self, pixels: int) -> None:
        """Move those of the slice on screen outwards, inwards below 0."""
        store, index = self._session.store, self._session.index
        if store is None or index is None:
            return
        self._wanted.append((store, index, pixels))
        if len(self._wanted) == 1:
            self._begin()

    def close(self) -> None:
        """End everything; it can be used again."""
        self._wanted.clear()
        self._threads.close()

    def _begin(self) -> None:
        """Begin with what was wanted first; it stays in the queue until it is done."""
        store, index, pixels = self._wanted[0]
        self._threads.run(
            "outlines",
            partial(move_outlines, store.labels, index, pixels),
            self._done,
            self._failed,
        )

    def _done(self, moved: Moved | None) -> None:
        store = self._wanted[0][0]
        if store is self._session.store:
            if moved is None:
                self._notice(NOTHING)
            else:
                change = store.take_over(moved)
                if change is None:
                    self._begin()  # somebody was faster: from what is there now
                    return
                self._session.edit(change)
        self._next()

    def _failed(self, error: Exception) -> None:
        self._notice(say(error))
        self._next()

    def _next(self) -> None:
        self._wanted.popleft()
        if self._wanted:
            self._begin()
