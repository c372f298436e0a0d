"""One piece of work for the lane, from the question to its one ending."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from napari_sam.types import ModelError

if TYPE_CHECKING:
    import threading

Post: TypeAlias = Callable[[Callable[[], None]], None]
Surround: TypeAlias = Callable[[], AbstractContextManager[object]]

_log = logging.getLogger(__name__)
_NOTHING = object()
# What torch says when memory is gone: on the GPU, on the CPU, in the C++ library.
_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate", "bad_alloc")


class Priority(IntEnum):
    """What goes first: the smaller number."""

    DRAWING = 0  # the prompt that is being drawn
    ON_SCREEN = 1  # the plane that is shown
    NEIGHBOUR = 2  # the planes beside it
    BATCH = 3  # whole stacks


class Ending(Enum):
    """How a request ended."""

    DONE = "done"
    STALE = "stale"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Cancelled(BaseException):
    """Raised by `checkpoint` where the work is not wanted any more.

    It is no `Exception`, as `asyncio.CancelledError` is none: models that catch
    what can go wrong inside them must let it pass.
    """


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Whom to tell; None where nobody asks."""

    done: Callable[[Any], None] | None = None
    failed: Callable[[Exception], None] | None = None
    cancelled: Callable[[], None] | None = None
    stale: Callable[[], None] | None = None
    progress: Callable[[Any], None] | None = None


class Request:
    """One piece of work; made by `LaneHandle.submit`.

    It ends in exactly one of done, stale, cancelled and failed. Which one is
    decided at the very end, where the receiver runs: once `cancel` has returned
    on the receiver's thread, `done` is not called any more, even if the answer
    was on its way.

    Parameters
    ----------
    work : callable
    callbacks : Callbacks
    post : callable
        Brings a function to the receiver's thread and calls it there.
    slot : hashable
        Newer requests of a slot replace older ones.
    priority : Priority
    lock : lock
        The lane's.
    """

    def __init__(
        self,
        work: Callable[[], Any],
        callbacks: Callbacks,
        post: Post,
        slot: Hashable,
        priority: Priority,
        lock: threading.Condition,
    ):
        self.slot = slot
        self.priority = priority
        self._work: Callable[[], Any] | None = work
        self._callbacks = callbacks
        self._post = post
        self._lock = lock
        self._refused: Ending | None = None
        self._result: Any = None
        self._error: Exception | None = None
        self._progress: Any = _NOTHING
        self._ending: Ending | None = None

    @property
    def ending(self) -> Ending | None:
        """How it ended; None while it is waiting, running or being delivered."""
        return self._ending

    @property
    def unwanted(self) -> bool:
        """Whether it was cancelled or replaced."""
        return self._refused is not None

    def cancel(self) -> None:
        """Ask for an end. It comes as `cancelled`, unless it has ended already.

        Work that runs stops at its next `checkpoint`.
        """
        self.refuse(Ending.CANCELLED)

    def refuse(self, ending: Ending) -> None:
        """Mark it as unwanted: stale or cancelled, whichever is said first."""
        with self._lock:
            if self._refused is not None or self._ending is not None:
                return
            self._refused = ending
            waiting, self._work = self._work, None
            self._lock.notify_all()  # the lane may be waiting inside this request
        if waiting is not None:  # it has not begun and never will
            self._deliver()

    def run(self, surround: Surround) -> None:
        """Do the work inside `surround()`, on the lane. Never raises."""
        with self._lock:
            work, self._work = self._work, None
        if work is None:  # refused, and told so
            return
        try:
            with surround():
                self._result = work()
        except Cancelled:
            with self._lock:
                self._refused = self._refused or Ending.CANCELLED
        except Exception as error:
            self._error = _explained(error)
        except BaseException as error:  # SystemExit: the lane outlives it
            self._error = RuntimeError(f"the work tried to end its thread: {error!r}")
        self._deliver()

    def report(self, value: Any) -> None:
        """Bring the newest value to `progress`; values nobody fetched are dropped."""
        if self._callbacks.progress is None:
            return
        with self._lock:
            fetched, self._progress = self._progress is _NOTHING, value
        if fetched:
            self._hand_over(self._deliver_progress)

    def emit(self, receive: Callable[[Any], None], value: Any) -> None:
        """Bring one value to `receive`; every value, in order."""

        def deliver() -> None:
            if not self.unwanted:
                receive(value)

        self._hand_over(deliver)

    def _deliver_progress(self) -> None:
        with self._lock:
            value, self._progress = self._progress, _NOTHING
        if self._callbacks.progress is not None and not self.unwanted:
            self._callbacks.progress(value)

    def _deliver(self) -> None:
        if not self._hand_over(self._settle):
            self._settle(tell=False)  # nobody listens; it has ended all the same

    def _hand_over(self, deliver: Callable[[], None]) -> bool:
        try:
            self._post(deliver)
        except Exception:
            # The viewer is gone, or (with a `post` that calls at once) the
            # receiver failed: either way the lane has others to serve.
            _log.warning("an answer could not be handed over", exc_info=True)
            return False
        return True

    def _settle(self, *, tell: bool = True) -> None:
        """Decide the ending and tell it, on the receiver's thread."""
        with self._lock:
            if self._ending is not None:
                return
            produced = Ending.DONE if self._error is None else Ending.FAILED
            self._ending = ending = self._refused or produced
            callbacks, self._callbacks = self._callbacks, Callbacks()
            result, error = self._result, self._error
            self._result = self._error = None  # they may be large
            self._lock.notify_all()
        if tell:
            _tell(callbacks, ending, result, error)


def _explained(error: Exception) -> Exception:
    """Say what to do where memory is gone, and let go of what filled it."""
    text = str(error)
    told = isinstance(error, RuntimeError) and any(s in text for s in _NO_MEMORY)
    if not told and not isinstance(error, MemoryError):
        return error
    traceback.clear_frames(error.__traceback__)  # they hold the large arrays
    return ModelError(
        "there is not enough memory for this: close other programs, or take a "
        f"smaller image or model ({text.splitlines()[0] if text else 'MemoryError'})"
    )


def _tell(
    callbacks: Callbacks, ending: Ending, result: Any, error: Exception | None
) -> None:
    if ending is Ending.DONE and callbacks.done is not None:
        callbacks.done(result)
    elif ending is Ending.STALE and callbacks.stale is not None:
        callbacks.stale()
    elif ending is Ending.CANCELLED and callbacks.cancelled is not None:
        callbacks.cancelled()
    elif ending is Ending.FAILED and error is not None:
        if callbacks.failed is None:
            _log.error("work on the lane failed, and nobody asked", exc_info=error)
        else:
            callbacks.failed(error)
