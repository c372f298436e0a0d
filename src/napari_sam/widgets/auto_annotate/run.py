"""One run over some planes: read ahead, hand to the lane, count, estimate."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from napari_sam.types import ImageError

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
    contrast : Normalization or None
        What was dark and bright; None until `begin`.
    live : bool
        Whether it goes on.
    done, total : int
        Planes.

    Parameters
    ----------
    source : Source
    indices : sequence of tuple of int
    priority : Priority
    read : Read
    progress : callable
        Is called with what was found on one more plane.
    advanced : callable
        Is called where planes take long, when more of one is done.
    """

    def __init__(
        self,
        source: Source,
        indices: Sequence[tuple[int, ...]],
        priority: Priority,
        read: Read,
        progress: Callable[[Run, PlaneResult], None],
        advanced: Callable[[Run], None] = lambda run: None,
    ) -> None:
        self.source = source
        self.objects: Objects | None = None
        self.contrast: Normalization | None = None
        self.live = True
        self.done, self.total = 0, len(indices)
        self.finished: Callable[[Run], None] = lambda run: None
        self.failed: Callable[[Exception], None] = lambda error: None
        self._waiting = list(reversed(indices))
        self._priority = priority
        self._read, self._progress, self._advanced = read, progress, advanced
        self._parts: dict[tuple[int, ...], float] = {}
        self._requests: set[Request] = set()
        self._started = 0.0

    def begin(
        self,
        lane: LaneHandle,
        objects: Objects,
        ready: Ready,
    ) -> None:
        """Start, now that everything is there."""
        self.objects, self.contrast = objects, ready.normalization
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

    @property
    def part(self) -> float:
        """How much of the planes that are not finished is done: 1 is a plane."""
        return sum(self._parts.values())

    def seconds_left(self) -> float | None:
        """Estimate how long the rest takes."""
        done = self.done + self.part
        if not done:
            return None
        elapsed = time.monotonic() - self._started
        return elapsed / done * (self.total - done)

    def _next(self) -> None:
        if self._waiting:
            index = self._waiting.pop()
            run = partial(self._run, index)
            self._read(partial(self._plane, index), run, self._error)

    def _plane(self, index: tuple[int, ...]) -> Plane | ImageError:
        """Read a plane; one that is damaged does not end the others."""
        try:
            return self.source.plane(index, self._ready.normalization)
        except ImageError as error:
            return error

    def _run(self, index: tuple[int, ...], plane: Plane | ImageError) -> None:
        if not self.live or self.objects is None:
            return
        ready = self._ready
        work = (
            partial(self.objects.leave_out, index, plane)
            if isinstance(plane, ImageError)
            else partial(self.objects.find, plane, ready.model, ready.detector)
        )
        request = self._lane.submit(
            work,
            slot=("plane", id(self), index),
            priority=self._priority,
            done=lambda result: self._found(request, result),
            failed=self._error,
            progress=partial(self._reached, index),
        )
        self._requests.add(request)

    def _reached(self, index: tuple[int, ...], part: float) -> None:
        if self.live:
            self._parts[index] = part
            self._advanced(self)

    def _found(self, request: Request, result: PlaneResult) -> None:
        if not self.live:
            return
        self._requests.discard(request)
        self._parts.pop(result.index, None)
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
