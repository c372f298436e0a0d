"""Gets models of others when a person asks for it, one at a time. No Qt, no napari.

First it is said what would be fetched; only what a person agreed to after that is. A
download runs on a thread, ends at once when it is stopped, and is gone on with later.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypeVar

from napari_sam.live.threads import Threads, say
from napari_sam.models.store import Store
from napari_sam.types import NapariSamError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.models.known import Known
    from napari_sam.models.lane import Post
    from napari_sam.models.store import Checked, Plan

Phase: TypeAlias = Literal[
    "nothing", "looking", "offered", "getting", "done", "stopped", "failed"
]

T = TypeVar("T")
_THREAD: Final = "get"
_OFTEN: Final = 0.1  # seconds between two looks at how far it is


class _StoppedError(NapariSamError):
    """Somebody wants no more of it."""


@dataclass(frozen=True, slots=True)
class State:
    """How far it is.

    Attributes
    ----------
    phase : {"nothing", "looking", "offered", "getting", "done", "stopped", "failed"}
        "looking": it is looked up what would be fetched. "offered": that is known,
        and nobody has agreed to it yet.
    known : Known or None
        Which model it is about.
    plan : Plan or None
        What would be, or is, fetched.
    have : int
        Bytes that are here.
    total : int or None
        Those there will be; None until that is known.
    waits : bool
        Somebody else on this computer fetches the same file just now.
    begun : int
        How many were here when it began.
    since : float
        When the first of them came (`time.monotonic`).
    found : Checked or None
        The file, in the phase "done".
    error : str
        One line for people, in the phase "failed".
    """

    phase: Phase = "nothing"
    known: Known | None = None
    plan: Plan | None = None
    have: int = 0
    total: int | None = None
    waits: bool = False
    begun: int = 0
    since: float = 0.0
    found: Checked | None = None
    error: str = ""

    @property
    def busy(self) -> bool:
        """Whether there is something to stop."""
        return self.phase in ("looking", "getting")

    @property
    def checking(self) -> bool:
        """Whether all of it is here, and only its hash is still to be compared."""
        return self.phase == "getting" and bool(self.total) and self.have == self.total

    def seconds_left(self, now: float) -> float | None:
        """Return about how long it will take, if so much can be said."""
        if self.phase != "getting" or not self.have or not self.total:
            return None
        came, seconds = self.have - self.begun, now - self.since
        if came <= 0 or seconds < 1:
            return None
        return seconds * (self.total - self.have) / came


class Getting:
    """Gets one model after the other; used on the thread that `post` leads to.

    Parameters
    ----------
    post : callable
        Runs a function on that thread.
    changed : callable
        Is called when `state` is another one.
    store : callable
        Returns where models are kept; called anew each time.

    Attributes
    ----------
    state : State
    """

    def __init__(
        self,
        post: Post,
        changed: Callable[[], None],
        store: Callable[[], Store] = Store,
    ) -> None:
        self._post, self._changed, self._store = post, changed, store
        self._threads = Threads(post)
        self._stop = threading.Event()
        self.state = State()

    def ask(self, known: Known) -> None:
        """Find out what would be fetched; fetches nothing."""
        if self.state.busy:
            return
        store = self._begin(State("looking", known))

        def offered(plan: Plan) -> None:
            self._put(replace(self.state, phase="offered", plan=plan))

        self._run(partial(store.plan, known), offered)

    def agree(self) -> None:
        """Fetch what was offered, or go on with what was stopped or has failed.

        Whoever calls this has seen whether the file can be verified.
        """
        known, plan = self.state.known, self.state.plan
        if self.state.busy or known is None or plan is None:
            return
        store = self._begin(State("getting", known, plan, have=plan.have))
        told = _Told(self._post, self._came, self._stop)

        def done(found: Checked) -> None:
            self._put(replace(self.state, phase="done", found=found))

        work = partial(store.download, known, told, lambda _: True, told.waits)
        self._run(work, done)

    def stop(self) -> None:
        """Stop at once; what came is kept."""
        if self.state.busy:
            self._stop.set()
            phase: Phase = "stopped" if self.state.phase == "getting" else "nothing"
            self._put(replace(self.state, phase=phase))

    def put_away(self) -> None:
        """Think no more of what was offered or has ended."""
        if not self.state.busy:
            self._put(State())

    def close(self) -> None:
        """End everything, and tell nobody; it can be used again."""
        self._stop.set()
        self._threads.close()
        if self.state.busy:
            self.state = State()

    def _begin(self, state: State) -> Store:
        self._stop = threading.Event()
        self._put(state)
        return self._store()

    def _run(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        stop = self._stop

        def told(result: T) -> None:
            if not stop.is_set():
                done(result)

        def failed(error: Exception) -> None:
            if not stop.is_set():
                self._put(replace(self.state, phase="failed", error=say(error)))

        # A thread of its own for each: one that was stopped may have to end still.
        self._threads.close()
        self._threads.run(_THREAD, work, told, failed)

    def _came(
        self, stop: threading.Event, have: int, total: int | None, waits: bool
    ) -> None:
        state = self.state
        if stop is not self._stop or stop.is_set() or state.phase != "getting":
            return
        if total and not state.total:
            state = replace(state, begun=have, since=time.monotonic())
        self._put(replace(state, have=have, total=total, waits=waits))

    def _put(self, state: State) -> None:
        self.state = state
        self._changed()


class _Told:
    """Passes on how far it is, not too often; on the thread that fetches."""

    def __init__(
        self, post: Post, came: Callable[..., None], stop: threading.Event
    ) -> None:
        self._post, self._came, self._stop = post, came, stop
        self._last, self._waits = 0.0, False

    def waits(self) -> None:
        self._waits = True

    def __call__(self, have: int, total: int | None) -> None:
        if self._stop.is_set():
            raise _StoppedError
        now, waits = time.monotonic(), self._waits
        self._waits = False
        if now - self._last >= _OFTEN or have == total:
            self._last = now
            self._post(partial(self._came, self._stop, have, total, waits))
