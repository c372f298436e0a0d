"""Objects followed from the slice on screen through the stack. No Qt, no napari.

Slices on which an object is already stay as they are, and say where it is there; but
what an earlier run has put there, and nobody changed since, is found anew.
"""

from __future__ import annotations

import zlib
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam.live.following.ahead import Ahead
from napari_sam.live.following.wanted import Phase, State, Wanted, moved
from napari_sam.live.prompting.reading import Reader
from napari_sam.live.threads import say
from napari_sam.models.lane import OwnLane, Post, Priority, Request
from napari_sam.segment.propagate import Course
from napari_sam.types import Prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from napari_sam.live.labels.changes import Change, IntBox
    from napari_sam.live.labels.store import LabelStore
    from napari_sam.live.prompting.session import Session
    from napari_sam.live.prompting.steps import Added
    from napari_sam.live.values import Index
    from napari_sam.models.protocol import PromptableModel
    from napari_sam.types import Embedding, Mask

    Said = dict[int, dict[int, Mask]]
    Shape = tuple[IntBox, int]

NO_OBJECT: Final = "there is no object to follow on this slice: add one first"
NO_STACK: Final = "there is one slice only: nothing to follow objects through"
NO_MODEL: Final = "the model is still being loaded: try again in a moment"

_GONE: Final = 5  # slices in a row without any of the objects: they have ended
_OBJECTS: Final = 100  # of one piece, which holds up whoever sits there


class Following:
    """Follows objects with the model of a session, behind all else that models do.

    Used on the thread that uses the session. What a person does meanwhile becomes a
    step of its own in between; where the objects go elsewhere now, or what was added
    is taken back, it ends.

    Parameters
    ----------
    session : Session
    post : callable
        Runs a function on that thread.
    changed : callable
        Is called when `state` is another one.

    Attributes
    ----------
    state : State
    """

    def __init__(
        self, session: Session, post: Post, changed: Callable[[], None]
    ) -> None:
        self._session, self._changed = session, changed
        self._lane = OwnLane(self, post)
        self._request: Request | None = None
        self._reader: Reader | None = None
        self._store: LabelStore | None = None
        self._step: Added | None = None
        # What was put somewhere, to tell it from what a person has drawn.
        self._put: dict[tuple[int, Index], Shape] = {}
        self._touched: set[tuple[int, Index]] = set()  # of these, what was edited
        self.state = State()

    def here(self) -> tuple[int, ...]:
        """Return the objects on the slice on screen."""
        store, index = self._session.store, self._session.index
        if store is None or index is None:
            return ()
        return tuple(n for n, planes in store.extents.items() if index in planes)

    def touched(self, change: Change) -> None:
        """Note what an edit may have put right."""
        for patch in change.patches:
            numbers = {*np.unique(patch.before), *np.unique(patch.after)}
            places = {(int(n), patch.index) for n in numbers}
            self._touched |= places & self._put.keys()

    def corrected(self) -> tuple[int, ...]:
        """Return followed objects that were put right on the slice on screen."""
        store, index = self._session.store, self._session.index
        if store is None or store is not self._store or self.state.busy:
            return ()
        found = []
        for number, where in sorted(one for one in self._touched if one[1] == index):
            there = store.extents.get(number, {})
            mask = store.mask_of(number, where) if where in there else None
            if mask is None or self._put.get((number, where)) == _shape(mask):
                self._touched.discard((number, where))
            else:
                found.append(number)
        return tuple(found)

    def go_on(self, axis: int) -> str:
        """Follow what was put right on from here; return in one line why not, or "".

        Only these objects, and away from where somebody has drawn them before: what
        lies between is as it should be.
        """
        store, index = self._session.store, self._session.index
        numbers = self.corrected()
        if store is None or index is None:
            return ""
        drawn = [
            place
            for number in numbers
            for place in self._said(store, number, index, axis)
            if place != index[axis]
        ]
        beyond = tuple(
            way
            for way in (1, -1)
            if not any((place - index[axis]) * way > 0 for place in drawn)
        )
        problem = self.start(Wanted(numbers, axis, beyond or (1, -1)))
        if not problem:  # from now on it is what a person has drawn
            for number in numbers:
                self._put.pop((number, index), None)
                self._touched.discard((number, index))
        return problem

    def start(self, wanted: Wanted) -> str:
        """Begin; return in one line why not, or ""."""
        session = self._session
        source, store, index = session.source, session.store, session.index
        if self.state.busy or source is None or store is None or index is None:
            return ""
        if not source.stack_shape or source.stack_shape[wanted.axis] < 2:
            return NO_STACK
        present = set(self.here())
        numbers = tuple(n for n in wanted.numbers if n in present)
        if not numbers:
            return NO_OBJECT
        if session.model is None:
            return NO_MODEL
        if store is not self._store:
            self._put.clear()
            self._touched.clear()
        wanted = replace(wanted, numbers=numbers)
        said = {n: self._said(store, n, index, wanted.axis) for n in numbers}
        # A reader of our own: the slices that the person looks at do not wait.
        if self._reader is None or self._reader.source is not source:
            self._reader = Reader(source)
        job = _Job(session.model, self._reader, index, wanted, said)
        total = sum(map(len, job.ranges)) - 1
        self._store, self._step = store, None
        self.state = State("following", objects=len(numbers), total=total)
        self._request = self._lane.on(session.model.info.device).submit_steps(
            job.steps,
            slot="follow",
            priority=Priority.BATCH,
            each=partial(self._arrived, job),
            done=lambda _: self._end("done"),
            failed=self._fail,
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
        self._lane.close()

    def _said(
        self, store: LabelStore, number: int, here: Index, axis: int
    ) -> dict[int, Mask]:
        """Return where an object is, along the axis, because somebody says so."""
        said = {}
        for index in store.extents[number]:
            mask = store.mask_of(number, index)
            if mask is None or moved(index, axis, here[axis]) != here:
                continue
            if index == here or self._put.get((number, index)) != _shape(mask):
                said[index[axis]] = mask
        return said

    def _arrived(self, job: _Job, step: tuple[int, dict[int, Mask]]) -> None:
        session, (place, masks) = self._session, step
        store = session.store
        if not self.state.busy:
            return
        taken_back = self._step is not None and self._step.undone
        if store is None or store is not self._store or taken_back:
            self._end("stopped")
            return
        index = moved(job.index, job.wanted.axis, place)
        what = _follow(job.wanted.numbers)
        self._step, refused = session.follow_on(index, masks, what, self._step)
        for number in masks:
            mask = store.mask_of(number, index) if number in store.extents else None
            if mask is None:
                self._put.pop((number, index), None)
            else:
                self._put[number, index] = _shape(mask)
        some = sum(1 for mask in masks.values() if mask.area)
        self.state = replace(
            self.state,
            done=abs(place - job.at) + (place < job.at) * job.forwards,
            outlines=self.state.outlines + some - len(refused),
            in_the_way=self.state.in_the_way + len(refused),
        )
        self._changed()

    def _fail(self, error: Exception) -> None:
        if self.state.busy:
            self.state = replace(self.state, error=say(error))
            self._end("failed")

    def _end(self, phase: Phase) -> None:
        request, self._request = self._request, None
        if request is not None:
            request.cancel()
        self.state = replace(self.state, phase=phase)
        self._changed()


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """One run; its steps are made on the lane."""

    model: PromptableModel
    reader: Reader
    index: Index
    wanted: Wanted
    said: Said

    @property
    def at(self) -> int:
        return self.index[self.wanted.axis]

    @property
    def count(self) -> int:
        return self.reader.source.stack_shape[self.wanted.axis]

    @property
    def ranges(self) -> list[range]:
        return self.wanted.ranges(self.at, self.count)

    @property
    def forwards(self) -> int:
        """How many slices were gone through before it turns."""
        return sum(len(one) - 1 for one in self.ranges if one.step > 0)

    def steps(self) -> Iterator[tuple[int, dict[int, Mask]]]:
        """Yield slices and what there is to be put on them, in pieces."""
        height, width = self.reader.source.shape[-2:]
        shape = height, width
        with closing(Ahead(self.reader, self._index_of, self.count)) as ahead:

            def encode(place: int) -> Embedding:
                return self.model.encode(ahead(place))

            course = Course(self.model, encode, self.count)
            for number, said in self.said.items():
                for place, mask in said.items():
                    course.prompt(number, place, Prompt(mask=mask.full(shape)))
            for planes in self.ranges:
                for place, found in self._one_way(course, planes):
                    for piece in _pieces(found):
                        yield place, piece

    def _one_way(
        self, course: Course, planes: range
    ) -> Iterator[tuple[int, dict[int, Mask]]]:
        known = [place for said in self.said.values() for place in said]
        last = max(known) if planes.step > 0 else min(known)
        gone = 0
        for place, masks in course.along(planes, self.wanted.numbers):
            yield (
                place,
                {n: m for n, m in masks.items() if place not in self.said[n]},
            )
            beyond = (place - last) * planes.step > 0
            absent = not any(mask.area for mask in masks.values())
            gone = gone + 1 if beyond and absent else 0
            if gone == _GONE:
                return

    def _index_of(self, place: int) -> Index:
        return moved(self.index, self.wanted.axis, place)


def _pieces(found: dict[int, Mask]) -> Iterator[dict[int, Mask]]:
    """Yield the surest first; nothing at all is a piece, too."""
    ordered = iter(sorted(found.items(), key=lambda one: -one[1].score))
    yield dict(islice(ordered, _OBJECTS))
    while piece := dict(islice(ordered, _OBJECTS)):
        yield piece


def _shape(mask: Mask) -> Shape:
    return mask.box, zlib.crc32(mask.data.tobytes())


def _follow(numbers: Iterable[int]) -> str:
    count = len(tuple(numbers))
    return f"Follow {count:,} object{'s' * (count != 1)}"
