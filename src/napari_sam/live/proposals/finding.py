"""All objects of a slice or a stack: found, filtered, added. No Qt, no napari.

Models run once, for everything that could be an object. What counts is decided
afterwards, as often as the person moves a slider.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from napari_sam.live.prompting.session import STOPPED
from napari_sam.live.proposals.adding import Adding
from napari_sam.live.proposals.found import (
    Filters,
    Found,
    Phase,
    State,
    Tally,
    found_in,
    undrawn,
)
from napari_sam.live.proposals.pile import Packed, Pile
from napari_sam.live.proposals.records import write_records
from napari_sam.live.proposals.search import (
    LEAST_CONFIDENCE,
    Counted,
    Search,
    Sought,
    Told,
)
from napari_sam.live.proposals.where import Where
from napari_sam.live.threads import Threads, say
from napari_sam.models.lane import OwnLane, Post, Priority, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from napari_sam.live.labels.changes import Refusal
    from napari_sam.live.prompting.session import Session
    from napari_sam.live.proposals.found import Draw
    from napari_sam.live.values import Index
    from napari_sam.models.protocol import ModelInfo
    from napari_sam.segment.proposals import Proposals
    from napari_sam.types import Box

__all__ = ["LEAST_CONFIDENCE", "Finder", "Where"]

BUDGET: Final = 2**30
_FULL: Final = (
    "what was found fills 1 GB of memory: add it or drop it, and search on from there"
)


class Finder:
    """Finds the objects of slices, with the model of a session.

    A prepared slice is not encoded again. A stack is searched behind everything else
    that models do. Used on the thread that uses the session.

    Parameters
    ----------
    session : Session
        Its `on_prepared` leads here from now on.
    post : callable
        Runs a function on that thread.
    changed : callable
        Is called when `state`, `found` or `total` is another one.
    drawing : callable, optional
        Returns what draws masks off this thread: its answer is `Found.pictures`.

    Attributes
    ----------
    state : State
    found : Found or None
        What counts as an object by the filters of now, on the slice that was looked
        at last among those that were searched.
    searched : int
        Slices of the search that are done.
    filters : Filters
    """

    def __init__(
        self,
        session: Session,
        post: Post,
        changed: Callable[[], None],
        drawing: Callable[[], Draw] = lambda: undrawn,
    ) -> None:
        self._session, self._changed = session, changed
        self._drawing = drawing
        self._threads = Threads(post)
        self._lane = OwnLane(self, post)
        self._search: Search | None = None
        self._adding: Adding | None = None
        self._where = Where(())
        self._pile: Pile | None = None
        self._at: Index | None = None  # whose objects are to be seen
        self.searched = 0
        self._counting: Request | None = None
        self.state = State()
        self.found: Found | None = None
        self.filters = Filters()
        session.on_prepared = self._prepared

    @property
    def total(self) -> Tally:
        """How much was found on all slices, by the filters or nearly so."""
        return Tally() if self._pile is None else self._pile.total

    @property
    def counted(self) -> bool:
        """Whether `total` is by the filters of now."""
        return self._pile is None or not self._pile.to_count(self.filters)

    @property
    def where(self) -> Where:
        """What was searched last."""
        return self._where

    def find(
        self,
        detector: str,
        where: Where | None = None,
        words: Sequence[str] = (),
        examples: Sequence[Box] = (),
    ) -> None:
        """Look for all objects; what was found is dropped.

        Parameters
        ----------
        detector : str
        where : Where, optional
            By default the slice on screen.
        words : sequence of str
            What to look for, for a detector that understands words; each becomes the
            class of what it finds.
        examples : sequence of (y0, x0, y1, x1)
            Look for what looks like these, of the slice on screen, instead.
        """
        session = self._session
        if session.source is None or session.index is None:
            return
        self._clear()
        self._where = where or Where((session.index,))
        told = Told(
            preparing=self._preparing,
            begun=self._begun,
            part=self._part,
            counting=self._count,
            found=self._arrived,
            ended=self._ended,
        )
        search = Search(
            session,
            self._threads,
            self._lane,
            self._where,
            Sought(detector, tuple(words), tuple(examples)),
            told,
        )
        self._search = search
        search.start()

    def filter(self, filters: Filters) -> None:
        """Let something else count as an object; no model runs."""
        if filters != self.filters:
            self.filters = filters
            self._settle()

    def look_at(self, index: Index) -> None:
        """Show what was found on the slice that is on screen now."""
        if self._pile is not None and index in self._pile and index != self._at:
            self._show(self._pile, index)

    def cancel(self) -> None:
        """Stop searching or adding, at once; what was found or added stays."""
        if self._adding is not None:
            self._adding.stop()
        elif self.state.busy:
            self._end()
            self._tell("stopped")

    def drop(self) -> None:
        """Forget what was found, and stop looking for it."""
        known = self.state.phase != "nothing" or self.found is not None
        self._clear()
        self.state = State()
        if known:
            self._changed()

    def add(
        self, done: Callable[[int, Sequence[Refusal]], None] = lambda count, why: None
    ) -> None:
        """Make objects of all that count, as one step.

        Parameters
        ----------
        done : callable, optional
            Gets how many were added, and why others were not. A few of one slice are
            added at once.
        """
        pile, known = self._pile, self.found
        if pile is None or self.state.busy:
            return
        indices = pile.wanted(self.filters)
        if known is not None and known.index in indices:
            indices.remove(known.index)
        else:
            known = None
        total = len(indices) + (known is not None)

        def told(finished: int) -> None:
            self.state = replace(self.state, done=finished)
            self._changed()

        def ended(count: int, refused: Sequence[Refusal]) -> None:
            finished = self.state.done == total
            self._adding = None
            if finished:
                self.drop()
            else:
                self._tell("found")
            done(count, refused)

        self.state = State("adding", total=total)
        self._adding = Adding(
            self._session, self._threads, told, ended, self._not_added
        )
        work = [self._unpacking(pile, index) for index in indices]
        self._adding.start(known, work)
        self._changed()

    def each(self) -> list[Callable[[], Found]]:
        """Return for every slice what works out, on any thread, what counts on it."""
        pile = self._pile
        if pile is None:
            return []
        return [self._unpacking(pile, index) for index in sorted(pile)]

    def save(
        self, folder: Path, done: Callable[[int], None], failed: Callable[[str], None]
    ) -> None:
        """Write what counts as records, see `write_records`.

        `done` gets how many objects they are, `failed` one line for people.
        """
        source = self._session.source
        if source is None:
            return
        work = partial(write_records, folder, source, self.each())
        self._threads.run("save", work, done, lambda error: failed(say(error)))

    def close(self) -> None:
        """End everything; it can be used again."""
        self.drop()
        self._threads.close()
        self._lane.close()

    # What the search tells.

    def _prepared(self, problem: str) -> None:
        if self._search is None:
            return
        if problem == STOPPED:
            self.cancel()
        elif problem:
            self._fail(problem)
        else:
            self._search.prepared()

    def _preparing(self) -> None:
        self._pile = self.found = self._at = None
        self.searched = 0
        self.state = State("preparing", total=len(self._where.indices))
        self._changed()

    def _begun(self, model: ModelInfo) -> None:
        self._pile = Pile(model)
        self.state = State("searching", total=len(self._where.indices))
        self._changed()

    def _part(self, part: float) -> None:
        self.state = replace(self.state, part=part)
        self._changed()

    def _count(self, index: Index, model: ModelInfo) -> Callable[[Proposals], Counted]:
        filters = self.filters
        if self._where.stack and index != self._session.index:
            return partial(_tallied, filters=filters, model=model)
        draw = self._drawing()
        return partial(_seen, filters=filters, model=model, draw=draw)

    def _arrived(self, index: Index, outcome: tuple[Packed, Counted] | None) -> None:
        pile = self._pile
        self.searched += 1
        self.state = replace(self.state, done=self.searched, part=None)
        if outcome is not None and pile is not None:
            packed, counted = outcome
            pile.put(index, packed)
            pile.count(index, counted.filters, counted.tally)
            seen = not self._where.stack or index == self._session.index
            if seen and counted.found is not None:
                self._at, self.found = index, counted.found
            elif seen:
                self._show(pile, index)
            if counted.filters != self.filters:
                self._settle()
            if pile.nbytes > BUDGET:
                self._fail(_FULL)
                return
        self._changed()

    def _ended(self, problem: str) -> None:
        if problem:
            self._fail(problem)
        else:
            self._end()
            self._tell("found")

    # What counts.

    def _settle(self) -> None:
        """Decide again what counts, on the lane: first where it is to be seen."""
        pile, filters = self._pile, self.filters
        if self._counting is not None:
            self._counting.cancel()
        self._counting = None
        if pile is None:
            return
        if self._at is not None:
            self._show(pile, self._at)
        rest = [index for index in pile.to_count(filters) if index != self._at]
        if not rest:
            return
        packed = [(index, pile[index]) for index in rest]

        def steps() -> Iterator[tuple[Index, Counted]]:
            for index, one in packed:
                yield index, _tallied(one.proposals(), filters, pile.model)

        def each(counted: tuple[Index, Counted]) -> None:
            if self._pile is pile:
                pile.count(counted[0], counted[1].filters, counted[1].tally)
                self._changed()

        self._counting = self._lane.on(pile.model.device).submit_steps(
            steps,
            slot="count",
            priority=Priority.NEIGHBOUR,
            each=each,
            failed=self._not_counted(pile),
        )

    def _show(self, pile: Pile, index: Index) -> None:
        """Decide what counts on one slice, and draw it; there may be many outlines."""
        self._at = index
        filters, draw, packed = self.filters, self._drawing(), pile[index]

        def work() -> Found:
            return found_in(packed.proposals(), filters, pile.model, draw)

        def done(found: Found) -> None:
            if self._pile is pile and self._at == index:
                pile.count(index, filters, found.tally)
                self.found = found
                self._changed()

        self._lane.on(pile.model.device).submit(
            work,
            slot="show",
            # As a click: it is felt while a slider moves, and takes as little.
            priority=Priority.DRAWING,
            done=done,
            failed=self._not_counted(pile),
        )

    def _unpacking(self, pile: Pile, index: Index) -> Callable[[], Found]:
        packed, filters, model = pile[index], self.filters, pile.model
        return lambda: found_in(packed.proposals(), filters, model)

    def _not_counted(self, pile: Pile) -> Callable[[Exception], None]:
        def failed(error: Exception) -> None:
            if self._pile is pile:
                self._fail(say(error))

        return failed

    def _not_added(self, error: Exception) -> None:
        self._fail(say(error))

    # How things are done.

    def _clear(self) -> None:
        adding, self._adding = self._adding, None
        if adding is not None:
            adding.stop()
        if self._counting is not None:
            self._counting.cancel()
        self._counting = None
        self._end()
        self._pile = self.found = self._at = None
        self.searched = 0

    def _fail(self, text: str) -> None:
        self._end()
        self.state = replace(self.state, phase="failed", error=text)
        self._changed()

    def _end(self) -> None:
        search, self._search = self._search, None
        if search is not None:
            search.end()

    def _tell(self, phase: Phase) -> None:
        done, total = self.state.done, self.state.total
        self.state = State(phase, done=done, total=total)
        self._changed()


def _seen(
    proposals: Proposals, filters: Filters, model: ModelInfo, draw: Draw
) -> Counted:
    found = found_in(proposals, filters, model, draw)
    return Counted(filters, found.tally, found)


def _tallied(proposals: Proposals, filters: Filters, model: ModelInfo) -> Counted:
    return Counted(filters, found_in(proposals, filters, model).tally)
