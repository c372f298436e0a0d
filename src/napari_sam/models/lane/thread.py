"""The thread of a device, and what work can say to it."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from napari_sam.models import runtime
from napari_sam.models.lane.request import Cancelled, Priority, Request, Surround
from napari_sam.types import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

T = TypeVar("T")


class _Here(threading.local):
    """The lane whose thread this is."""

    lane: Lane | None = None


_here = _Here()


class Lane:
    """The thread of one device and what waits for it."""

    def __init__(self, device: str, predecessor: threading.Thread | None):
        self.device = device
        self.changed = threading.Condition(threading.RLock())
        self._waiting: dict[Priority, deque[Request]] = {
            priority: deque() for priority in Priority
        }
        self._running: list[Request] = []  # the innermost is last
        self._ending = False
        self._predecessor = predecessor
        self._surround: Surround = nullcontext
        self.thread = threading.Thread(
            target=self._serve, name=f"napari-sam lane {device}", daemon=True
        )
        self.thread.start()

    def add(self, request: Request) -> None:
        """Put a request in the queue of its priority."""
        with self.changed:
            self._waiting[request.priority].append(request)
            self.changed.notify_all()

    def end(self) -> None:
        """Let the thread end as soon as nothing runs; all requests are refused."""
        with self.changed:
            self._ending = True
            self.changed.notify_all()

    def wake(self) -> None:
        """Have a waiting lane look again at what it waits for."""
        with self.changed:
            self.changed.notify_all()

    def checkpoint(self) -> None:
        """End or interrupt what runs here; on the lane's thread only."""
        request = self.current
        if request is None:
            return
        while not request.unwanted and (urgent := self._pick(request.priority)):
            self._run(urgent)
        if request.unwanted:
            raise Cancelled

    @property
    def current(self) -> Request | None:
        """What runs, the innermost; on the lane's thread only."""
        return self._running[-1] if self._running else None

    def wait(self, future: Future[T]) -> T:
        """Wait for something that another thread does; urgent work goes on."""
        future.add_done_callback(lambda _: self.wake())
        while not future.done():
            self.checkpoint()
            with self.changed:
                self.changed.wait_for(lambda: future.done() or self._must_look())
        self.checkpoint()
        return future.result()

    def _must_look(self) -> bool:
        request = self._running[-1]
        return request.unwanted or self._first(request.priority) is not None

    def _first(self, below: int) -> Request | None:
        """Return the most urgent request that waits, of a priority before `below`."""
        for priority, queue in self._waiting.items():
            if priority >= below:
                return None
            while queue:
                if not queue[0].unwanted:
                    return queue[0]
                queue.popleft()
        return None

    def _pick(self, below: int) -> Request | None:
        with self.changed:
            request = self._first(below)
            if request is not None:
                self._waiting[request.priority].popleft()
            return request

    def _run(self, request: Request) -> None:
        self._running.append(request)
        try:
            request.run(self._surround)
        finally:
            self._running.pop()

    def _serve(self) -> None:
        _here.lane = self
        runtime.stand_back()
        if self._predecessor is not None:
            # The last lane of this device may still be finishing its last piece.
            self._predecessor.join()
            self._predecessor = None
        self._surround = _prepare(self.device)
        everything = len(Priority)
        while True:
            with self.changed:
                self.changed.wait_for(
                    lambda: self._ending or self._first(everything) is not None
                )
                request = self._pick(everything)
            if request is None:
                return
            self._run(request)
            del request  # or its answer stays in memory until the next one


def checkpoint() -> None:
    """Between two pieces of work: stop if unwanted, let urgent requests pass.

    On a lane it raises `Cancelled` if the running request was cancelled or
    replaced, and otherwise runs waiting requests of higher priority before it
    returns. Elsewhere it does nothing. Models call it between blocks that take
    some 10 to 100 ms. Whatever they keep across it must be their call's own:
    another call of the same model may run inside.
    """
    if _here.lane is not None:
        _here.lane.checkpoint()


def report(value: object) -> None:
    """Tell the running request's `progress` how far the work is.

    Elsewhere than on a lane it does nothing.
    """
    if _here.lane is not None and _here.lane.current is not None:
        _here.lane.current.report(value)


def wait(future: Future[T]) -> T:
    """Return a future's result; on a lane, urgent requests run meanwhile.

    So work can wait for planes that an I/O thread reads without keeping anyone
    waiting. Must be called from inside work, or off the lane.

    Raises
    ------
    Cancelled
        If the running request is not wanted any more.
    Exception
        What the future raises.
    """
    return future.result() if _here.lane is None else _here.lane.wait(future)


def emit(receive: Callable[[T], None], value: T) -> None:
    """Bring one value of the running request to `receive`."""
    if _here.lane is not None and _here.lane.current is not None:
        _here.lane.current.emit(receive, value)


def on_lane(lane: Lane) -> bool:
    """Whether this is the thread of `lane`."""
    return _here.lane is lane


def _prepare(device: str) -> Surround:
    """Make this thread ready for models; work that needs torch fails without."""
    try:
        return runtime.enter(device)
    except Exception as error:
        reason = error

    def refuse() -> Any:
        raise ModelError(
            f"models cannot run on {device}, since PyTorch does not start ({reason}); "
            "install torch again"
        ) from reason

    return refuse
