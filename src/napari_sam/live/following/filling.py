"""Objects filled in between the slices on which they are. No Qt, no napari.

Shapes are made on a thread, from the boxes of the objects only; slices on which an
object is already stay as they are, and so do the pixels of all others.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from napari_sam.live.following.following import NO_STACK
from napari_sam.live.labels.access import pixels
from napari_sam.live.threads import Threads, say
from napari_sam.segment.between import clipped, fillings
from napari_sam.types import Mask, NapariSamError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from napari_sam.live.labels.access import LabelArray
    from napari_sam.live.labels.changes import IntBox
    from napari_sam.live.labels.store import LabelStore
    from napari_sam.live.prompting.session import Session
    from napari_sam.live.prompting.steps import Added
    from napari_sam.live.values import Index
    from napari_sam.models.lane import Post

    Extents: TypeAlias = Mapping[int, Mapping[Index, IntBox]]
    Shapes: TypeAlias = Mapping[Index, Mapping[int, Mask]]

Phase: TypeAlias = Literal["nothing", "filling", "done", "stopped", "failed"]

_WHAT: Final = "Fill between slices"
_OBJECTS: Final = 100  # that are written at once: more would be felt
_OFTEN: Final = 0.1  # seconds between two looks at how far it is
_AHEAD: Final = 2  # pieces on their way to whoever writes them


class _StoppedError(NapariSamError):
    """Somebody wants no more of it."""


@dataclass(frozen=True, slots=True)
class FillState:
    """How far it is.

    Attributes
    ----------
    phase : {"nothing", "filling", "done", "stopped", "failed"}
        "stopped" and "failed": what was added before stays.
    done, total : int
        Objects that were looked at, and all that are.
    outlines : int
        That were filled in, one for each object and slice.
    objects : frozenset of int
        Those that got some.
    in_the_way : int
        Outlines that were not, since other objects are there.
    error : str
        One line for people, in the phase "failed".
    """

    phase: Phase = "nothing"
    done: int = 0
    total: int = 0
    outlines: int = 0
    objects: frozenset[int] = field(default_factory=frozenset)
    in_the_way: int = 0
    error: str = ""

    @property
    def busy(self) -> bool:
        """Whether there is something to cancel."""
        return self.phase == "filling"


class Filling:
    """Fills in objects of a session, as one step; used on the thread that uses it.

    Where the objects go elsewhere meanwhile, or what was added is taken back, it
    ends.

    Parameters
    ----------
    session : Session
    post : callable
        Runs a function on that thread.
    changed : callable
        Is called when `state` is another one.

    Attributes
    ----------
    state : FillState
    """

    def __init__(
        self, session: Session, post: Post, changed: Callable[[], None]
    ) -> None:
        self._session, self._post, self._changed = session, post, changed
        self._threads = Threads(post)
        self._stop = threading.Event()
        self._store: LabelStore | None = None
        self._step: Added | None = None
        self.state = FillState()

    def start(self, numbers: Iterable[int] | None = None, axis: int = 0) -> str:
        """Begin; return in one line why not, or "".

        Parameters
        ----------
        numbers : iterable of int, optional
            Only these objects; by default all.
        axis : int
            Of the stack axes, from 0.
        """
        store = self._session.store
        if self.state.busy or store is None:
            return ""
        if not store.stack_shape or store.stack_shape[axis] < 2:
            return NO_STACK
        # What belongs to one object is replaced and never changed.
        extents: Extents = dict(store.extents)
        if numbers is not None:
            extents = {n: extents[n] for n in numbers if n in extents}
        self._store, self._step, self._stop = store, None, threading.Event()
        self.state = FillState("filling", total=len(extents))
        run = _Run(self._post, self._stop, self._looked_at, self._arrived)
        self._threads.close()
        self._threads.run(
            "fill",
            partial(run, store.labels, extents, axis),
            lambda _: self._end("done"),
            self._fail,
        )
        self._changed()
        return ""

    def stop(self) -> None:
        """Stop, at once; what was added stays."""
        if self.state.busy:
            self._end("stopped")

    def close(self) -> None:
        """End everything; it can be used again."""
        self.stop()
        self._threads.close()

    def _looked_at(self, stop: threading.Event, done: int) -> None:
        if self._goes_on(stop):
            self.state = replace(self.state, done=done)
            self._changed()

    def _arrived(
        self, stop: threading.Event, index: Index, masks: Mapping[int, Mask]
    ) -> None:
        if not self._goes_on(stop):
            return
        session, store = self._session, self._session.store
        taken_back = self._step is not None and self._step.undone
        if store is None or store is not self._store or taken_back:
            self._end("stopped")
            return
        # A person may have put one there meanwhile, or deleted it.
        new = {
            n: mask
            for n, mask in masks.items()
            if n in store.extents and index not in store.extents[n]
        }
        self._step, refused = session.follow_on(index, new, _WHAT, self._step)
        got = {n for n in new if index in store.extents.get(n, ())}
        self.state = replace(
            self.state,
            outlines=self.state.outlines + len(new) - len(refused),
            objects=self.state.objects | got,
            in_the_way=self.state.in_the_way + len(refused),
        )

    def _goes_on(self, stop: threading.Event) -> bool:
        return stop is self._stop and self.state.busy

    def _fail(self, error: Exception) -> None:
        if self.state.busy:
            self.state = replace(self.state, error=say(error))
            self._end("failed")

    def _end(self, phase: Phase) -> None:
        if self.state.busy:
            self._stop.set()
            self.state = replace(self.state, phase=phase)
            self._changed()


class _Run:
    """One run, on its thread; it ends when `stop` is set."""

    def __init__(
        self,
        post: Post,
        stop: threading.Event,
        looked_at: Callable[[threading.Event, int], None],
        arrived: Callable[[threading.Event, Index, Mapping[int, Mask]], None],
    ) -> None:
        self._post, self._stop = post, stop
        self._looked_at, self._arrived = looked_at, arrived
        self._room = threading.Semaphore(_AHEAD)

    def __call__(self, labels: LabelArray, extents: Extents, axis: int) -> None:
        shapes = self._shapes(labels, extents, axis)
        for index in sorted(shapes):
            for piece in _pieces(shapes[index]):
                while not self._room.acquire(timeout=_OFTEN):
                    self._go_on()
                self._post(partial(self._hand_over, index, piece))

    def _shapes(self, labels: LabelArray, extents: Extents, axis: int) -> Shapes:
        shapes: dict[Index, dict[int, Mask]] = defaultdict(dict)
        said = time.monotonic()
        for done, (number, on) in enumerate(extents.items(), 1):
            outline = partial(_outline, labels, number, on)
            for index, mask in fillings(on, axis, outline):
                self._go_on()
                inside = clipped(mask, labels.shape[-2:])
                if inside.area:
                    shapes[index][number] = inside
            self._go_on()
            if time.monotonic() - said >= _OFTEN:
                said = time.monotonic()
                self._post(partial(self._looked_at, self._stop, done))
        return shapes

    def _hand_over(self, index: Index, piece: Mapping[int, Mask]) -> None:
        self._room.release()
        self._arrived(self._stop, index, piece)

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise _StoppedError


def _outline(
    labels: LabelArray, number: int, on: Mapping[Index, IntBox], index: Index
) -> Mask:
    box = on[index]
    return Mask.from_array(pixels(labels, index, box) == number, box[:2])


def _pieces(masks: Mapping[int, Mask]) -> Iterator[dict[int, Mask]]:
    left = iter(masks.items())
    while piece := dict(islice(left, _OBJECTS)):
        yield piece
