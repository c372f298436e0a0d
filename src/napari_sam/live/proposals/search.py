"""Models run for everything that could be an object, slice by slice."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from napari_sam.live.prompting.reading import Reader
from napari_sam.live.proposals.pile import Packed
from napari_sam.live.threads import say
from napari_sam.models.lane import Priority
from napari_sam.models.runtime import warm
from napari_sam.segment.propose import propose_plane

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.live.prompting.reading import Look
    from napari_sam.live.prompting.session import Session
    from napari_sam.live.proposals.found import Filters, Found, Tally
    from napari_sam.live.proposals.where import Where
    from napari_sam.live.threads import Threads
    from napari_sam.live.values import Index
    from napari_sam.models.lane import OwnLane, Request
    from napari_sam.models.protocol import Detector, ModelInfo, PromptableModel
    from napari_sam.segment.proposals import Proposals
    from napari_sam.types import Box, Embedding

T = TypeVar("T")

# Models run down to this confidence, so that the slider can be moved afterwards.
LEAST_CONFIDENCE: Final = 0.05
MOST: Final = 2000  # objects on a slice


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """What of a slice counts by these filters."""

    filters: Filters
    tally: Tally
    found: Found | None = None  # where it is to be seen


@dataclass(frozen=True, slots=True)
class Sought:
    """What looks for objects, and what it is asked for.

    Attributes
    ----------
    detector : str
    words : tuple of str
        Empty for a detector that finds what it always finds.
    examples : tuple of (y0, x0, y1, x1)
        Where there are any, what looks like these is looked for instead. They lie on
        the first slice that is searched.
    """

    detector: str
    words: tuple[str, ...] = ()
    examples: tuple[Box, ...] = ()

    def load(self, model: PromptableModel) -> Detector:
        """Load the detector, for a model that outlines what it finds."""
        # torch comes in this way only, or an open window may take the process down.
        warm("torchvision")
        from napari_sam.models.catalog import load_alike, load_detector

        device = model.info.device
        limits: dict[str, Any] = {"conf": LEAST_CONFIDENCE, "max_det": MOST}
        if self.examples:
            return load_alike(self.detector, self.examples, device=device, **limits)
        return load_detector(
            self.detector, model=model, device=device, words=self.words, **limits
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Whom a search tells how it goes on, on the thread of the session.

    Attributes
    ----------
    preparing, begun : callable
        Models are loaded (again); the models run.
    part : callable
        Gets how much of the slice is done.
    counting : callable
        Returns what decides, on the lane, what of a slice counts.
    found : callable
        Gets what there is on a slice; None where there is nothing to be seen.
    ended : callable
        Gets a problem in one line, or "".
    """

    preparing: Callable[[], None]
    begun: Callable[[ModelInfo], None]
    part: Callable[[float], None]
    counting: Callable[[Index, ModelInfo], Callable[[Proposals], Counted]]
    found: Callable[[Index, tuple[Packed, Counted] | None], None]
    ended: Callable[[str], None]


class Search:
    """Searches slices one after the other; the next is read while one is searched.

    Parameters
    ----------
    session : Session
        The first slice is prepared by it, with its model.
    threads : Threads
    lane : OwnLane
    where : Where
    sought : Sought
    told : Told
    """

    def __init__(
        self,
        session: Session,
        threads: Threads,
        lane: OwnLane,
        where: Where,
        sought: Sought,
        told: Told,
    ) -> None:
        self._session, self._threads, self._lane = session, threads, lane
        self._where, self._sought, self._told = where, sought, told
        self._left: deque[Index] = deque()
        self._model: PromptableModel | None = None  # once it has begun
        self._detector: Detector | None = None
        self._reader: Reader | None = None
        self._reading = False
        self._read: tuple[Index, Look] | None = None  # waits for the lane
        self._request: Request | None = None
        self._turn = 0  # what belongs to an earlier one is not wanted any more

    def start(self) -> None:
        """Begin, or begin again."""
        self.end()
        self._told.preparing()
        self._session.need(self._where.indices[0])
        self._begin()

    def end(self) -> None:
        """Stop, at once; nothing is told any more."""
        self._turn += 1
        request, self._request = self._request, None
        if request is not None:
            request.cancel()
        self._model = self._detector = self._read = None
        self._reading = False
        self._left.clear()
        self._session.need(None)

    def prepared(self) -> None:
        """Go on, or begin again where another model has been chosen."""
        if self._model is not None and self._session.model is not self._model:
            self.start()
        else:
            self._begin()

    def _begin(self) -> None:
        ready = self._session.prepared(self._where.indices[0])
        if self._model is not None or ready is None:
            return
        model, plane = ready
        if plane.embedding is None and not self._where.stack:
            self._told.ended(plane.problem)
            return
        self._model = model
        self._run_thread("find", partial(self._sought.load, model), self._loaded)

    def _loaded(self, detector: Detector) -> None:
        self._detector = detector
        self._left.extend(self._where.indices)
        if self._model is not None:
            self._told.begun(self._model.info)
        self._read_next()

    def _read_next(self) -> None:
        """Read one slice ahead."""
        source = self._session.source
        if self._reading or self._read is not None or not self._left or source is None:
            return
        self._reading, index = True, self._left.popleft()
        looked = partial(self._looked, index)
        if index == self._where.indices[0]:
            turn = self._turn
            self._session.look(index, partial(self._now, turn, looked), self._failed())
            return
        # A reader of our own: the slices that the person looks at do not wait.
        if self._reader is None or self._reader.source is not source:
            self._reader = Reader(source)
        self._run_thread("find: read", partial(self._reader.look, index), looked)

    def _looked(self, index: Index, look: Look) -> None:
        self._reading, self._read = False, (index, look)
        self._run_next()

    def _run_next(self) -> None:
        """Run the models on the slice that is read; one at a time."""
        if self._request is not None:
            return
        if self._read is None:
            if not self._left and not self._reading:
                self._told.ended("")
            return
        (index, look), self._read = self._read, None
        self._read_next()
        if look.plane is not None:
            self._run(index, look)
        elif self._where.stack:
            self._tell(index, None)
        else:
            self._told.ended(look.problem)

    def _run(self, index: Index, look: Look) -> None:
        model, detector, where = self._model, self._detector, self._where
        plane = look.plane
        if model is None or detector is None or plane is None:
            return
        embedding = self._embedding(index)
        count, named = self._told.counting(index, model.info), bool(self._sought.words)

        def work() -> tuple[Packed, Counted]:
            region = where.box(plane.shape)
            proposals = propose_plane(
                plane, model, detector, embedding=embedding, region=region
            )
            proposals = replace(where.within(proposals), named=named)
            return Packed.of(proposals), count(proposals)

        def done(outcome: tuple[Packed, Counted]) -> None:
            self._request = None
            self._tell(index, outcome)

        turn = self._turn
        self._request = self._lane.on(model.info.device).submit(
            work,
            slot="find",
            priority=Priority.BATCH if where.stack else Priority.ON_SCREEN,
            done=partial(self._now, turn, done),
            failed=self._failed(),
            progress=partial(self._now, turn, self._told.part),
        )

    def _tell(self, index: Index, outcome: tuple[Packed, Counted] | None) -> None:
        turn = self._turn
        self._told.found(index, outcome)
        if turn == self._turn:  # whoever was told may have ended it
            self._run_next()

    def _embedding(self, index: Index) -> Embedding | None:
        ready = self._session.prepared(index)
        if ready is None or ready[0] is not self._model:
            return None
        return ready[1].embedding

    def _run_thread(
        self, name: str, work: Callable[[], T], done: Callable[[T], None]
    ) -> None:
        self._threads.run(
            name, work, partial(self._now, self._turn, done), self._failed()
        )

    def _now(self, turn: int, done: Callable[[T], None], value: T) -> None:
        """Tell what came, unless nobody waits for it any more."""
        if turn == self._turn:
            done(value)

    def _failed(self) -> Callable[[Exception], None]:
        def failed(error: Exception) -> None:
            self._told.ended(say(error))

        return partial(self._now, self._turn, failed)
