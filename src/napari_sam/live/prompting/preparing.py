"""All slices of an image are prepared ahead and kept on the disk. No Qt, no napari."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from napari_sam.images import LargePlane
from napari_sam.live.following.ahead import Ahead
from napari_sam.live.prompting.reading import Reader
from napari_sam.live.threads import say
from napari_sam.models.lane import OwnLane, Post, Priority
from napari_sam.models.tiles import TiledModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_sam.live.prompting.session import Session
    from napari_sam.live.source import Source
    from napari_sam.live.values import Index
    from napari_sam.models.lane import Request

Phase: TypeAlias = Literal["nothing", "preparing", "done", "stopped", "failed"]

NO_MODEL: Final = "the model is not loaded yet: try again in a moment"
NOT_KEPT: Final = "this model's slices cannot be kept on the disk"


@dataclass(frozen=True, slots=True)
class PreparingState:
    """How far it is.

    Attributes
    ----------
    phase : {"nothing", "preparing", "done", "stopped", "failed"}
        "stopped" and "failed": what was prepared before stays.
    done, total : int
        Slices.
    there : int
        Of those that are done: how many had been prepared before.
    part : float
        Of the slice that is being prepared, from 0 to 1.
    begun : float
        By `time.monotonic`.
    error : str
        One line for people, in the phase "failed".
    """

    phase: Phase = "nothing"
    done: int = 0
    total: int = 0
    there: int = 0
    part: float = 0.0
    begun: float = field(default=0.0, compare=False)
    error: str = ""

    @property
    def busy(self) -> bool:
        """Whether there is something to cancel."""
        return self.phase == "preparing"

    def seconds_left(self, now: float) -> float | None:
        """Return how long it will take; None where nobody can tell yet.

        Slices that had been prepared before cost next to nothing.
        """
        made = self.done - self.there + self.part
        if made <= 0:
            return None
        return (now - self.begun) / made * (self.total - self.done - self.part)


class Preparing:
    """Prepares all slices of a session's image; used on the thread that uses it.

    Clicks, and the slice on screen, go first.

    Parameters
    ----------
    session : Session
    post : callable
        Runs a function on that thread.

    Attributes
    ----------
    state : PreparingState
    source : Source or None
        What it is about.
    changed : callable
        Is called when `state` is another one.
    """

    def __init__(self, session: Session, post: Post) -> None:
        self._session = session
        self._lane = OwnLane(self, post)
        self._request: Request | None = None
        self.state = PreparingState()
        self.source: Source | None = None
        self.changed: Callable[[], None] = lambda: None

    def start(self) -> str:
        """Begin; return in one line why not, or ""."""
        source, model = self._session.source, self._session.model
        if self.state.busy or source is None:
            return ""
        if model is None:
            return NO_MODEL
        if not isinstance(model, TiledModel):
            return NOT_KEPT
        self.source, now = source, time.monotonic()
        self.state = PreparingState("preparing", total=len(source), begun=now)
        self._request = self._lane.on(model.info.device).submit_steps(
            lambda: _steps(source, model),
            slot="prepare all",
            priority=Priority.BATCH,
            each=partial(self._prepared, model),
            done=lambda _: self._end("done"),
            failed=self._fail,
            progress=self._part,
        )
        self.changed()
        return ""

    def stop(self) -> None:
        """Stop, at once; what was prepared stays."""
        if self.state.busy:
            self._end("stopped")

    def close(self) -> None:
        """End everything; it can be used again."""
        self.stop()
        self._lane.close()

    def _prepared(self, model: TiledModel, there: bool) -> None:
        state = self.state
        if state.busy and self._session.model is not model:
            self._end("stopped")  # another one was chosen
        elif state.busy:
            self.state = replace(
                state, done=state.done + 1, there=state.there + there, part=0.0
            )
            self.changed()

    def _part(self, share: float) -> None:
        if self.state.busy:
            self.state = replace(self.state, part=share)
            self.changed()

    def _fail(self, error: Exception) -> None:
        if self.state.busy:
            self.state = replace(self.state, error=say(error))
            self._end("failed")

    def _end(self, phase: Phase) -> None:
        request, self._request = self._request, None
        if request is not None:
            request.cancel()
        self.state = replace(self.state, phase=phase)
        self.changed()


def _steps(source: Source, model: TiledModel) -> Iterator[bool]:
    """Yield for every slice whether it had been prepared before; on the lane."""
    since, shape = time.time(), source.stack_shape

    def index_of(number: int) -> Index:
        return tuple(int(i) for i in np.unravel_index(number, shape)) if shape else ()

    # A reader of our own: the slices that the person looks at do not wait.
    with closing(Ahead(Reader(source), index_of, len(source))) as ahead:
        for number in range(len(source)):
            plane = ahead(number)
            if not isinstance(plane, LargePlane) and plane.is_flat():
                yield True  # nothing will be asked about it
            else:
                yield model.prepare(plane, since)
