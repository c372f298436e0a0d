"""Planes as the model sees them: prepared ahead, kept while there is room."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from napari_sam.live.prompting.reading import Look, Reader, around
from napari_sam.live.threads import Threads
from napari_sam.models.lane import Priority
from napari_sam.models.sizes import nbytes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_sam.images import Plane
    from napari_sam.live.source import Source
    from napari_sam.live.values import Index
    from napari_sam.models.lane import LaneHandle, Post, Request
    from napari_sam.models.protocol import PromptableModel
    from napari_sam.types import Embedding

BUDGET: Final = 1536 * 2**20
# Neighbours that are read and wait for the lane: one more than it works on.
_AHEAD: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A plane that can be asked about, or why it cannot."""

    embedding: Embedding | None
    problem: str = ""
    nbytes: int = 0


class _Job:
    """A plane that was read and is to be encoded."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.priority = Priority.NEIGHBOUR
        self.request: Request | None = None
        self.begun = False


class Planes:
    """Prepares planes and keeps those that were used last.

    One plane is read while another one is encoded on the lane.

    Parameters
    ----------
    post : callable
        Runs a function on the thread that uses this object.
    ready : callable
        Is told which plane is prepared.
    failed : callable
        Is told which plane cannot be prepared, and why.
    budget : int
        Bytes that prepared planes may take. The plane on screen and those that are
        needed are kept whatever they take.

    Attributes
    ----------
    budget : int
    """

    def __init__(
        self,
        post: Post,
        ready: Callable[[Index], None],
        failed: Callable[[Index, Exception], None],
        budget: int = BUDGET,
    ) -> None:
        self._ready, self._failed, self.budget = ready, failed, budget
        self._threads = Threads(post)
        self._reader: Reader | None = None
        self._model: tuple[PromptableModel, LaneHandle] | None = None
        self._kept: OrderedDict[Index, Prepared] = OrderedDict()
        self._wishes: dict[Index, Priority] = {}  # the most urgent first
        self._reading: Index | None = None
        self._jobs: dict[Index, _Job] = {}
        self._refused: set[Index] = set()  # failed, or there is no room for it
        self._on_screen: Index | None = None
        self._neighbours: list[Index] = []

    @property
    def kept(self) -> tuple[Index, ...]:
        """The planes that are prepared, the one that was used last at the end."""
        return tuple(self._kept)

    @property
    def nbytes(self) -> int:
        """What they take."""
        return sum(prepared.nbytes for prepared in self._kept.values())

    def open(self, source: Source | None) -> None:
        """Prepare planes of another image; what is known of this one is dropped."""
        self.stop()
        # What is being read of the last image may take long: nobody waits for it.
        self._threads.close()
        self._reading = self._on_screen = None
        self._reader = None if source is None else Reader(source)
        self._kept.clear()
        self._refused.clear()
        self._neighbours = []

    def see(self, source: Source) -> None:
        """Prepare the same planes anew: models are to see them in another way."""
        for index in tuple(self._jobs):
            self._drop(index)
        self._reader = Reader(source)
        self._kept.clear()
        self._refused.clear()

    def use(self, model: PromptableModel | None, lane: LaneHandle | None) -> None:
        """Prepare planes for another model; what is read stays."""
        for job in self._jobs.values():
            if job.request is not None:
                job.request.cancel()
            job.request = None
        self._kept.clear()
        self._refused.clear()
        self._model = None if model is None or lane is None else (model, lane)
        for index, job in tuple(self._jobs.items()):
            self._encode(index, job)

    def want(self, on_screen: Index | None, needed: Iterable[Index]) -> None:
        """Say what is to be prepared; what is not named any more is not.

        Parameters
        ----------
        on_screen : tuple of int or None
            Its neighbours, in the direction of the last move, come after it.
        needed : iterable of tuple of int
            Planes that someone waits for; they come first.
        """
        if self._reader is None:
            return
        if on_screen != self._on_screen:
            shape = self._reader.source.stack_shape
            self._neighbours = around(on_screen, self._on_screen, shape)
            self._on_screen = on_screen
            self._refused.clear()
        urgent = dict.fromkeys(needed, Priority.ON_SCREEN)
        if on_screen is not None:
            urgent[on_screen] = Priority.ON_SCREEN
        self._wishes = dict(urgent)
        for index in self._neighbours:
            self._wishes.setdefault(index, Priority.NEIGHBOUR)
        for index, job in tuple(self._jobs.items()):
            if index not in self._wishes:
                self._drop(index)
            elif self._wishes[index] < job.priority and not job.begun:
                self._encode(index, job)
        self._next()

    def retry(self, index: Index) -> None:
        """Prepare a plane although that has failed before."""
        self._refused.discard(index)

    def stop(self) -> None:
        """Prepare nothing, until the next `want`."""
        self._wishes = {}
        for index in tuple(self._jobs):
            self._drop(index)

    def get(self, index: Index) -> Prepared | None:
        """Return a plane; None where it is not prepared."""
        prepared = self._kept.get(index)
        if prepared is not None:
            self._kept.move_to_end(index)
        return prepared

    def look(
        self,
        index: Index,
        done: Callable[[Look], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Read a plane for somebody else; where there is no image nothing is told."""
        if self._reader is not None:
            work = partial(self._reader.look, index)
            self._threads.run("read", work, done, failed)

    def preparing(self, index: Index | None) -> bool:
        """Whether a plane is being prepared or waits for it."""
        known = (self._kept, self._refused)
        return index in self._wishes and not any(index in each for each in known)

    def close(self) -> None:
        """End everything; it can be used again."""
        self.open(None)
        self.use(None, None)

    def _drop(self, index: Index) -> None:
        request = self._jobs.pop(index).request
        if request is not None:
            request.cancel()

    def _next(self) -> None:
        """Read the most urgent plane."""
        if self._reading is not None or self._reader is None:
            return
        known = (self._kept, self._jobs, self._refused)
        for index, priority in self._wishes.items():
            if any(index in each for each in known):
                continue
            if priority >= Priority.NEIGHBOUR and len(self._jobs) >= _AHEAD:
                return
            self._reading = index
            self._threads.run(
                "read",
                partial(self._reader.look, index),
                partial(self._read, self._reader, index),
                partial(self._not_read, self._reader, index),
            )
            return

    def _read(self, reader: Reader, index: Index, look: Look) -> None:
        self._reading = None
        if index not in self._wishes or reader is not self._reader:
            self._next()
        elif look.plane is None:
            self._keep(index, Prepared(None, look.problem))
        else:
            job = self._jobs[index] = _Job(look.plane)
            self._encode(index, job)
            self._next()

    def _not_read(self, reader: Reader, index: Index, error: Exception) -> None:
        self._reading = None
        if reader is self._reader:
            self._fail(index, error)
        else:
            self._next()

    def _encode(self, index: Index, job: _Job) -> None:
        job.priority, job.begun = self._wishes[index], False
        if self._model is None:
            return
        model, lane = self._model

        def work() -> Embedding:
            job.begun = True
            return model.encode(job.plane)

        def done(embedding: Embedding) -> None:
            if self._jobs.get(index) is job:
                del self._jobs[index]
                self._keep(index, Prepared(embedding, "", nbytes_of(embedding)))

        def failed(error: Exception) -> None:
            if self._jobs.get(index) is job:
                del self._jobs[index]
                self._fail(index, error)

        job.request = lane.submit(
            work,
            slot=("prepare", index),
            priority=job.priority,
            done=done,
            failed=failed,
        )

    def _keep(self, index: Index, prepared: Prepared) -> None:
        self._kept[index] = prepared
        self._make_room(index)
        if index in self._kept:
            self._ready(index)
        self._next()

    def _fail(self, index: Index, error: Exception) -> None:
        self._refused.add(index)
        if index in self._wishes:
            self._failed(index, error)
        self._next()

    def _make_room(self, newest: Index) -> None:
        """Let those go that were used longest ago, the neighbours last."""
        for index in self.kept:
            if self.nbytes > self.budget and index not in self._wishes:
                del self._kept[index]
        for index in (newest, *self.kept):
            near = self._wishes.get(index) == Priority.NEIGHBOUR
            if near and self.nbytes > self.budget:
                # Not again as long as the same plane is shown: there is no room.
                self._refused.add(index)
                self._kept.pop(index, None)
