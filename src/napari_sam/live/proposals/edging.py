"""Edges of the slice on screen, looked for behind the viewer. No Qt, no napari."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.live.threads import say
from napari_sam.models.lane import LaneHandle, Post, Priority, Request, acquire
from napari_sam.segment.edges import find_edges

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.live.prompting.reading import Look
    from napari_sam.live.prompting.session import Session
    from napari_sam.live.values import Index
    from napari_sam.types import FloatArray

    Done = Callable[[Index, FloatArray], None]

NOT_READY = "this slice is still being prepared: try again in a moment"


class Edging:
    """Finds the edges of one slice with the model of a session.

    Used on the thread that uses the session.

    Parameters
    ----------
    session : Session
    post : callable
        Runs a function on that thread.
    changed : callable
        Is called when `part` is another one.

    Attributes
    ----------
    part : float or None
        How much is done, from 0 to 1, while it runs.
    """

    def __init__(
        self, session: Session, post: Post, changed: Callable[[], None]
    ) -> None:
        self._session, self._post, self._changed = session, post, changed
        self._lane: LaneHandle | None = None
        self._request: Request | None = None
        self._turn = 0
        self.part: float | None = None

    def find(self, done: Done, failed: Callable[[str], None]) -> None:
        """Begin.

        Parameters
        ----------
        done : callable
            Gets the slice and how strong its edges are, float32 (H, W), 0 to 1.
        failed : callable
            Gets one line for people.
        """
        index = self._session.index
        ready = None if index is None else self._session.prepared(index)
        if self.part is not None or index is None:
            return
        if ready is None or ready[1].embedding is None:
            failed(NOT_READY if ready is None else ready[1].problem)
            return
        self._turn, self.part = self._turn + 1, 0.0
        turn, (model, prepared) = self._turn, ready
        embedding = prepared.embedding

        def looked(look: Look) -> None:
            plane = look.plane
            if turn != self._turn:
                return
            if plane is None:
                self._end()
                failed(look.problem)
                return
            self._lane = acquire(model.info.device, owner=self, post=self._post)
            self._request = self._lane.submit(
                lambda: find_edges(plane, model, embedding=embedding),
                slot="edges",
                priority=Priority.BATCH,
                done=found,
                failed=trouble,
                progress=self._told,
            )

        def found(edges: FloatArray) -> None:
            if turn == self._turn:
                self._end()
                done(index, edges)

        def trouble(error: Exception) -> None:
            if turn == self._turn:
                self._end()
                failed(say(error))

        self._session.look(index, looked, trouble)
        self._changed()

    def stop(self) -> None:
        """Stop, at once."""
        if self.part is not None:
            self._end()

    def _told(self, part: float) -> None:
        if self.part is not None:
            self.part = part
            self._changed()

    def _end(self) -> None:
        self._turn += 1
        request, self._request = self._request, None
        if request is not None:
            request.cancel()
        lane, self._lane = self._lane, None
        if lane is not None:
            lane.close(timeout=0.0)
        self.part = None
        self._changed()
