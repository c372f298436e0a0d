"""How one joins a lane and hands in work."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TypeVar

from napari_sam.models.lane.request import Callbacks, Ending, Post, Priority, Request
from napari_sam.models.lane.thread import Lane, checkpoint, emit, on_lane
from napari_sam.types import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

T = TypeVar("T")

_AT_EXIT = 5.0  # seconds that the end of the program waits for a model


class LaneHandle:
    """One owner's access to a lane; made by `acquire`.

    All methods may be called from any thread.
    """

    def __init__(self, lane: Lane, owner: Hashable, post: Post):
        self._lane = lane
        self._owner = owner
        self._post = post
        self._open = True
        self._requests: list[Request] = []

    @property
    def device(self) -> str:
        """The device whose lane this is."""
        return self._lane.device

    @property
    def owner(self) -> Hashable:
        """Who asked for this handle."""
        return self._owner

    @property
    def idle(self) -> bool:
        """Whether every request of this handle has ended and been delivered."""
        with self._lane.changed:
            return not self._unended()

    def submit(
        self,
        work: Callable[[], T],
        *,
        slot: Hashable,
        priority: Priority,
        done: Callable[[T], None] | None = None,
        failed: Callable[[Exception], None] | None = None,
        cancelled: Callable[[], None] | None = None,
        stale: Callable[[], None] | None = None,
        progress: Callable[[Any], None] | None = None,
    ) -> Request:
        """Ask the lane to call `work()` and to tell how it ended.

        Exactly one of `done`, `failed`, `cancelled` and `stale` is called in the
        end, through the handle's `post`. Which one is decided there: after
        `cancel()`, or after a newer request of the same slot, on the receiver's
        thread, `done` is not called any more.

        Parameters
        ----------
        work : callable
            Runs on the lane under `torch.inference_mode`. More urgent work of
            others may run inside it wherever it calls `checkpoint`.
        slot : hashable
            What this is an answer to: a newer request of the same owner and
            slot makes this one stale.
        priority : Priority
        done : callable, optional
            Gets what `work` returned.
        failed : callable, optional
            Gets the error; a `ModelError` that says what to do where memory is
            gone. Without it the error is logged.
        cancelled, stale : callable, optional
        progress : callable, optional
            Gets what `work` gave to `report`; only the newest value if the
            receiver is slower than the work.

        Raises
        ------
        ModelError
            If the handle has been closed.
        """
        callbacks = Callbacks(done, failed, cancelled, stale, progress)
        request = Request(
            work, callbacks, self._post, slot, priority, self._lane.changed
        )
        self._enter(request)
        return request

    def submit_steps(
        self,
        steps: Callable[[], Iterator[T]],
        *,
        slot: Hashable,
        priority: Priority,
        each: Callable[[T], None],
        done: Callable[[int], None] | None = None,
        failed: Callable[[Exception], None] | None = None,
        cancelled: Callable[[], None] | None = None,
        stale: Callable[[], None] | None = None,
        progress: Callable[[Any], None] | None = None,
    ) -> Request:
        """Ask the lane to run an iterator step by step, with checkpoints between.

        As `submit`. What the iterator yields reaches `each` one by one, in
        order, through `post`; `done` gets the number of steps. What was yielded
        before a cancel but not delivered until then is dropped. A generator is
        closed on the lane, whatever happens. The lane does not wait for the
        receiver.
        """

        def work() -> int:
            count = 0
            iterator = steps()
            try:
                for value in iterator:
                    count += 1
                    emit(each, value)
                    checkpoint()
            finally:
                if isinstance(iterator, Generator):
                    iterator.close()
            return count

        return self.submit(
            work,
            slot=slot,
            priority=priority,
            done=done,
            failed=failed,
            cancelled=cancelled,
            stale=stale,
            progress=progress,
        )

    def cancel_all(self) -> None:
        """Cancel every request of this handle."""
        with self._lane.changed:
            requests = self._unended()
        for request in requests:
            request.cancel()

    def close(self, timeout: float = 2.0) -> None:
        """Cancel every request and leave the lane; the last to leave ends it.

        Parameters
        ----------
        timeout : float
            Seconds to wait, where this ends the lane, for the piece of work
            that runs. Work that takes longer ends by itself, later.
        """
        with self._lane.changed:
            was_open, self._open = self._open, False
        self.cancel_all()
        if was_open:
            _leave(self, timeout)

    def _enter(self, request: Request) -> None:
        with self._lane.changed:
            if not self._open:
                raise ModelError(
                    "this lane has been closed by its owner; acquire a new one"
                )
            older = [r for r in self._siblings() if r.slot == request.slot]
            self._requests = [*self._unended(), request]
            self._lane.add(request)
        for one in older:
            one.refuse(Ending.STALE)

    def _unended(self) -> list[Request]:
        self._requests = [r for r in self._requests if r.ending is None]
        return self._requests

    def _siblings(self) -> list[Request]:
        """Return what all handles of the same owner wait for."""
        handles = _members.get(self._lane, ())
        return [
            request
            for handle in handles
            if handle.owner == self._owner
            for request in handle._unended()
        ]


def acquire(device: str = "cpu", *, owner: Hashable, post: Post) -> LaneHandle:
    """Join the lane of a device; the first to come starts it.

    Starting it imports torch on the lane's thread, in such a way that the
    viewer does not feel it; this call returns at once.

    Parameters
    ----------
    device : str
        As in a loaded model's `info.device`: "cpu", "cuda:0", "mps".
    owner : hashable
        Whose slots these are, for example a widget or its id.
    post : callable
        Takes a function without arguments, from any thread, and has it called
        on the receiver's thread, in order. May raise when the receiver is gone.

    Returns
    -------
    LaneHandle
        To be closed when the owner goes.

    Raises
    ------
    ModelError
        If the device is "auto": a lane needs to know.
    """
    if device == "auto":
        raise ModelError(
            'a lane needs a device that is decided: load the model with "auto" and '
            "use its info.device"
        )
    device = "cuda:0" if device == "cuda" else device
    with _registry:
        lane = _lanes.get(device)
        if lane is None:
            before = _last.pop(device, None)
            lane = _lanes[device] = Lane(device, before)
        handle = LaneHandle(lane, owner, post)
        # A new tuple each time: others read it without the registry's lock.
        _members[lane] = (*_members.get(lane, ()), handle)
        return handle


_registry = threading.RLock()
_lanes: dict[str, Lane] = {}
_members: dict[Lane, tuple[LaneHandle, ...]] = {}
_last: dict[str, threading.Thread] = {}  # of a device whose lane has ended


def _leave(handle: LaneHandle, timeout: float) -> None:
    lane = handle._lane
    with _registry:
        _members[lane] = tuple(h for h in _members[lane] if h is not handle)
        if _members[lane]:
            return
        del _members[lane], _lanes[lane.device]
        _last[lane.device] = lane.thread
        lane.end()
    if not on_lane(lane):
        lane.thread.join(timeout)


@atexit.register
def _end_all() -> None:
    """Stop models before Python takes itself apart under them."""
    with _registry:
        handles = [handle for members in _members.values() for handle in members]
    for handle in handles:
        handle.close(_AT_EXIT)
