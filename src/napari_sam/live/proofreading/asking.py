"""Asking the model about all objects, slice by slice, behind everything else.

A slice that is prepared already is not prepared again. What a person edits meanwhile
is left out: the answer would be about what is not there any more.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from napari_sam.images import Plane
from napari_sam.live.labels.access import pixels
from napari_sam.live.prompting.session import STOPPED
from napari_sam.live.proofreading.agreement import opinions
from napari_sam.live.threads import Threads, say
from napari_sam.models.lane import OwnLane, Post, Priority, Request
from napari_sam.types import Mask

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from napari_sam.live.labels.access import LabelArray
    from napari_sam.live.labels.changes import IntBox
    from napari_sam.live.prompting.reading import Look
    from napari_sam.live.prompting.session import Session
    from napari_sam.live.proofreading.doubts import Opinion, Size
    from napari_sam.live.values import Index
    from napari_sam.models.protocol import PromptableModel
    from napari_sam.types import Embedding

Phase: TypeAlias = Literal["nothing", "loading", "asking", "done", "stopped", "failed"]
# The objects of a slice, and where they are on it.
Slice: TypeAlias = tuple["Index", list[tuple[int, "IntBox"]]]
# How many were asked about, and what came of it.
Part: TypeAlias = tuple[int, dict[int, "Opinion"]]

_AT_ONCE: Final = 32  # objects; the first values come soon, and a cancel acts soon


@dataclass(frozen=True, slots=True)
class Asked:
    """How far it is.

    Attributes
    ----------
    phase : str
    done, total : int
        Objects.
    since : float
        When the first one was asked about, by `time.monotonic`.
    error : str
        One line for people.
    """

    phase: Phase = "nothing"
    done: int = 0
    total: int = 0
    since: float = 0.0
    error: str = ""

    @property
    def busy(self) -> bool:
        """Whether something runs."""
        return self.phase in ("loading", "asking")


class _Job:
    """All that is to be asked about, with one model."""

    def __init__(self, labels: LabelArray, slices: Sequence[Slice]) -> None:
        self.labels, self.slices = labels, slices
        self.left = deque(slices)
        self.model: PromptableModel | None = None
        self.request: Request | None = None
        self.edited: set[int] = set()  # since the slice was begun


class Asking:
    """Asks the model of a session what it makes of objects.

    Used on the thread that uses the session.

    Parameters
    ----------
    session : Session
        What its `on_prepared` led to is still told.
    post : callable
        Runs a function on that thread.
    told : callable
        Gets opinions of some objects, as soon as they are there.
    changed : callable
        Is called when `state` is another one.

    Attributes
    ----------
    state : Asked
    """

    def __init__(
        self,
        session: Session,
        post: Post,
        told: Callable[[Mapping[int, Opinion]], None],
        changed: Callable[[], None],
    ) -> None:
        self._session, self._post = session, post
        self._told, self._changed = told, changed
        self._threads = Threads(post)
        self._lane = OwnLane(self, post)
        self._job: _Job | None = None
        self.state = Asked()
        others = session.on_prepared

        def prepared(problem: str) -> None:
            others(problem)
            self._prepared(problem)

        session.on_prepared = prepared

    def ask(
        self,
        labels: LabelArray,
        sizes: Mapping[int, Size],
        leave_out: Collection[int] = (),
    ) -> None:
        """Begin with all objects that were measured.

        Parameters
        ----------
        labels : integer array, shape (..., H, W)
            May be written meanwhile: say so with `edited`.
        sizes : mapping of int to Size
            Each is asked about on the slice on which it is largest.
        leave_out : collection of int
            Those that nobody doubts any more.
        """
        self._end()
        first = self._session.index
        begun = self._job = _Job(labels, ())
        self.state = Asked("loading", total=len(sizes))

        def planned(slices: list[Slice]) -> None:
            if self._job is begun:
                self._job = _Job(labels, slices)
                self._begin(self._job)

        work = partial(_by_slice, sizes, leave_out, first)
        self._threads.run("proofread", work, planned, self._failed(begun))
        self._changed()

    def edited(self, touched: set[int]) -> None:
        """Hear that these are not what they were."""
        if self._job is not None:
            self._job.edited |= touched

    def stop(self) -> None:
        """Ask no more; what was said stays."""
        if self.state.busy:
            self._end()
            self._tell(replace(self.state, phase="stopped"))

    def drop(self) -> None:
        """Ask no more, and forget that something was asked."""
        self._end()
        self.state = Asked()

    def close(self) -> None:
        """End everything; it can be used again."""
        self.drop()
        self._threads.close()
        self._lane.close()

    # One model, slice by slice.

    def _begin(self, job: _Job) -> None:
        model = self._session.model
        total = sum(len(objects) for _, objects in job.slices)
        if model is None:
            self._tell(Asked("loading", total=total))
            if self._session.index is not None:
                self._session.look_at(self._session.index)  # loads one
            return
        job.model = model
        self._tell(Asked("asking", total=total, since=time.monotonic()))
        self._next(job, model)

    def _next(self, job: _Job, model: PromptableModel) -> None:
        if not job.left:
            self._end()
            self._tell(replace(self.state, phase="done"))
            return
        index, objects = job.left.popleft()
        job.edited.clear()
        ready = self._session.prepared(index)
        if ready is not None and ready[0] is model:
            embedding = ready[1].embedding
            if embedding is None:
                self._pass_over(job, model, len(objects))
            else:
                self._run(job, model, embedding, index, objects)
            return

        def looked(look: Look) -> None:
            if self._job is not job or job.model is not model:
                return
            if look.plane is None:
                self._pass_over(job, model, len(objects))
            else:
                self._run(job, model, look.plane, index, objects)

        self._session.look(index, looked, self._failed(job))

    def _pass_over(self, job: _Job, model: PromptableModel, count: int) -> None:
        """Go on where there is nothing to be seen on a slice."""
        self._count(count)

        def go_on() -> None:
            if self._job is job and job.model is model:
                self._next(job, model)

        self._post(go_on)

    def _run(
        self,
        job: _Job,
        model: PromptableModel,
        seen: Plane | Embedding,
        index: Index,
        objects: list[tuple[int, IntBox]],
    ) -> None:
        def each(part: Part) -> None:
            if self._job is job and job.model is model:
                count, values = part
                self._told({n: v for n, v in values.items() if n not in job.edited})
                self._count(count)

        def done(_: int) -> None:
            if self._job is job and job.model is model:
                self._next(job, model)

        job.request = self._lane.on(model.info.device).submit_steps(
            partial(_answers, model, seen, job.labels, index, objects),
            slot="agree",
            priority=Priority.BATCH,
            each=each,
            done=done,
            failed=self._failed(job),
        )

    def _prepared(self, problem: str) -> None:
        """Go on when a model is there; begin again when it is another one."""
        job = self._job
        if job is None:
            return
        if problem == STOPPED:
            self.stop()
        elif job.model is None and problem:
            self._fail(problem)
        elif job.model is not self._session.model and job.slices:
            self._end()
            self._job = _Job(job.labels, job.slices)
            self._begin(self._job)

    def _count(self, more: int) -> None:
        self._tell(replace(self.state, done=self.state.done + more))

    def _failed(self, job: _Job) -> Callable[[Exception], None]:
        def failed(error: Exception) -> None:
            if self._job is job:
                self._fail(say(error))

        return failed

    def _fail(self, text: str) -> None:
        self._end()
        self._tell(replace(self.state, phase="failed", error=text))

    def _end(self) -> None:
        job, self._job = self._job, None
        if job is not None and job.request is not None:
            job.request.cancel()

    def _tell(self, state: Asked) -> None:
        self.state = state
        self._changed()


def _by_slice(
    sizes: Mapping[int, Size], leave_out: Collection[int], first: Index | None
) -> list[Slice]:
    """Sort objects by their slices, the one on screen first."""
    found: dict[Index, list[tuple[int, IntBox]]] = {}
    for number, size in sizes.items():
        if number not in leave_out:
            found.setdefault(size.index, []).append((number, size.box))
    return sorted(found.items(), key=lambda one: (one[0] != first, one[0]))


def _answers(
    model: PromptableModel,
    seen: Plane | Embedding,
    labels: LabelArray,
    index: Index,
    objects: list[tuple[int, IntBox]],
) -> Iterator[Part]:
    """Ask about the objects of one slice; on the lane."""
    embedding = model.encode(seen) if isinstance(seen, Plane) else seen
    for start in range(0, len(objects), _AT_ONCE):
        part = objects[start : start + _AT_ONCE]
        masks = {
            number: Mask(box, pixels(labels, index, box) == number, 1.0)
            for number, box in part
        }
        masks = {number: mask for number, mask in masks.items() if mask.data.any()}
        values = opinions(model, embedding, list(masks.values()))
        yield len(part), dict(zip(masks, values, strict=True))
