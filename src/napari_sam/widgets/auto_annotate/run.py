"""One run over some planes: read ahead, hand to the lane, count, estimate."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam.images import Normalization, Plane
    from napari_sam.live.source import Source
    from napari_sam.models.lane import LaneHandle, Priority, Request
    from napari_sam.models.protocol import Detector, PromptableModel
    from napari_sam.segment.result import PlaneResult
    from napari_sam.widgets.auto_annotate.objects import Objects

# Planes that are read or wait for the lane: one more than it works on, so that it
# never waits for the disk, and memory holds no more than these.
_AHEAD = 2


class Read(Protocol):
    """Runs `work` on the reading thread, and tells the outcome here."""

    def __call__(
        self,
        work: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Read."""


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """What a run needs besides pixels."""

    model: PromptableModel
    detector: Detector
    normalization: Normalization


class Run:
    """Finds the objects of planes, one after the other, in their order.

    Attributes
    ----------
    objects : Objects or None
        What was found; None until `begin`.
    live : bool
        Whether it goes on.
    done, total : int
        Planes.
    """

    def __init__(
        self,
        source: Source,
        indices: Sequence[tuple[int, ...]],
        priority: Priority,
        read: Read,
        progress: Callable[[Run, PlaneResult], None],
    ) -> None:
        self.source = source
        self.objects: Objects | None = None
        self.live = True
        self.done, self.total = 0, len(indices)
        self.finished: Callable[[Run], None] = lambda run: None
        self.failed: Callable[[Exception], None] = lambda error: None
        self._waiting = list(reversed(indices))
        self._priority = priority
        self._read, self._progress = read, progress
        self._requests: set[Request] = set()
        self._started = 0.0

    def begin(
        self,
        lane: LaneHandle,
        objects: Objects,
        ready: Ready,
    ) -> None:
        """Start, now that everything is there."""
        self.objects = objects
        self._lane, self._ready = lane, ready
        self._started = time.monotonic()
        for _ in range(_AHEAD):
            self._next()

    def stop(self) -> None:
        """Run nothing more; what is being run is dropped."""
        self.live = False
        self._waiting.clear()
        for request in tuple(self._requests):
            request.cancel()
        self._requests.clear()

    def seconds_left(self) -> float | None:
        """Estimate how long the rest takes."""
        if not self.done:
            return None
        elapsed = time.monotonic() - self._started
        return elapsed / self.done * (self.total - self.done)

    def _next(self) -> None:
        if self._waiting:
            index = self._waiting.pop()
            work = partial(self.source.plane, index, self._ready.normalization)
            self._read(work, self._run, self._error)

    def _run(self, plane: Plane) -> None:
        if not self.live or self.objects is None:
            return
        ready = self._ready
        request = self._lane.submit(
            partial(self.objects.find, plane, ready.model, ready.detector),
            slot=("plane", id(self), plane.index),
            priority=self._priority,
            done=lambda result: self._found(request, result),
            failed=self._error,
        )
        self._requests.add(request)

    def _found(self, request: Request, result: PlaneResult) -> None:
        if not self.live:
            return
        self._requests.discard(request)
        self.done += 1
        self._progress(self, result)
        if not self.live:
            return
        if self.done == self.total:
            self.live = False
            self.finished(self)
        else:
            self._next()

    def _error(self, error: Exception) -> None:
        if self.live:
            self.failed(error)
