"""All objects of a slice at once: found, filtered, added. No Qt, no napari.

Models run once, for everything that could be an object. What counts is decided
afterwards, as often as the person moves a slider.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from napari_sam.live.prompting.session import STOPPED
from napari_sam.live.proposals.found import Filters, Found, Phase, State, found_in
from napari_sam.live.threads import Threads, say
from napari_sam.models.lane import LaneHandle, Post, Priority, Request, acquire
from napari_sam.models.runtime import warm
from napari_sam.segment.propose import propose_plane

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam.images import Plane
    from napari_sam.live.labels.changes import Refusal
    from napari_sam.live.prompting.reading import Look
    from napari_sam.live.prompting.session import Session
    from napari_sam.live.proposals.found import Draw
    from napari_sam.live.values import Index
    from napari_sam.models.protocol import Detector, ModelInfo, PromptableModel
    from napari_sam.segment.proposals import Proposals
    from napari_sam.types import Embedding, Mask

# Models run down to this confidence, so that the slider can be moved afterwards.
LEAST_CONFIDENCE: Final = 0.05
MOST: Final = 2000  # objects on a slice


class _Search:
    """One search, from the question to what was found."""

    def __init__(self, index: Index, detector: str) -> None:
        self.index, self.detector = index, detector
        self.model: PromptableModel | None = None  # once it has begun
        self.request: Request | None = None


class Finder:
    """Finds the objects of one slice at a time, with the model of a session.

    A prepared slice is not encoded again. Used on the thread that uses the session.

    Parameters
    ----------
    session : Session
        Its `on_prepared` leads here from now on.
    post : callable
        Runs a function on that thread.
    changed : callable
        Is called when `state` or `found` is another one.
    drawing : callable, optional
        Returns what draws masks off this thread: its answer is `Found.pictures`.

    Attributes
    ----------
    state : State
    found : Found or None
        What counts as an object by the filters of now.
    filters : Filters
    """

    def __init__(
        self,
        session: Session,
        post: Post,
        changed: Callable[[], None],
        drawing: Callable[[], Draw] = lambda: _undrawn,
    ) -> None:
        self._session, self._post, self._changed = session, post, changed
        self._drawing = drawing
        self._threads = Threads(post)
        self._lane: tuple[str, LaneHandle] | None = None
        self._search: _Search | None = None
        self._proposals: tuple[Proposals, ModelInfo] | None = None
        self.state = State()
        self.found: Found | None = None
        self.filters = Filters()
        session.on_prepared = self._prepared

    def find(self, detector: str) -> None:
        """Look for all objects of the slice on screen; what was found is dropped."""
        session = self._session
        if session.source is None or session.index is None:
            return
        self._end()
        self._proposals = self.found = None
        self._search = _Search(session.index, detector)
        self.state = State("preparing")
        session.need(session.index)
        self._begin()
        self._changed()

    def filter(self, filters: Filters) -> None:
        """Let something else count as an object; no model runs."""
        if filters != self.filters:
            self.filters = filters
            self._settle()

    def cancel(self) -> None:
        """Stop the search, at once."""
        if self.state.busy:
            self._end()
            self._tell("stopped")

    def drop(self) -> None:
        """Forget what was found, and stop looking for it."""
        known = self.state.phase != "nothing" or self.found is not None
        self._end()
        self._proposals = self.found = None
        self.state = State()
        if known:
            self._changed()

    def add(self) -> tuple[int, list[Refusal]]:
        """Make objects of all that count; return how many, and why others not."""
        found = self.found
        if found is None:
            return 0, []
        objects = [(one.mask, one.about) for one in found.objects]
        refused = self._session.add_found(found.index, objects)
        self.drop()
        return len(objects) - len(refused), refused

    def close(self) -> None:
        """End everything; it can be used again."""
        self.drop()
        self._threads.close()
        if self._lane is not None:
            self._lane[1].close()
        self._lane = None

    # The search.

    def _prepared(self, problem: str) -> None:
        """Go on, or begin again where another model has been chosen."""
        search = self._search
        if search is None:
            return
        if problem == STOPPED:
            self.cancel()
        elif problem:
            self._fail(problem)
        elif search.model is not None and not self._current(search):
            self._again(search)
        else:
            self._begin()

    def _again(self, search: _Search) -> None:
        """Begin a search again, on its slice."""
        self._end()
        self._search = _Search(search.index, search.detector)
        self._session.need(search.index)
        self._tell("preparing")

    def _current(self, search: _Search) -> bool:
        ready = self._session.prepared(search.index)
        return ready is not None and ready[0] is search.model

    def _begin(self) -> None:
        search = self._search
        if search is None or search.model is not None:
            return
        ready = self._session.prepared(search.index)
        if ready is None:
            return
        model, plane = ready
        if plane.embedding is None:
            self._fail(plane.problem)
            return
        search.model, embedding = model, plane.embedding

        def loaded(detector: Detector) -> None:
            if self._search is search:
                self._session.look(
                    search.index, partial(looked, detector), self._failed(search)
                )

        def looked(detector: Detector, look: Look) -> None:
            if self._search is not search:
                return
            if look.plane is None:
                self._fail(look.problem)
            else:
                self._run(search, look.plane, model, detector, embedding)

        work = partial(_load, search.detector, model)
        self._threads.run("find", work, loaded, self._failed(search))

    def _run(
        self,
        search: _Search,
        plane: Plane,
        model: PromptableModel,
        detector: Detector,
        embedding: Embedding,
    ) -> None:
        filters, draw = self.filters, self._drawing()

        def work() -> tuple[Proposals, Found]:
            proposals = propose_plane(plane, model, detector, embedding=embedding)
            return proposals, found_in(proposals, filters, model.info, draw)

        def done(outcome: tuple[Proposals, Found]) -> None:
            if self._search is search:
                self._end()
                self._proposals, self.found = (outcome[0], model.info), outcome[1]
                if self.filters != filters:
                    self._settle()
                self._tell("found")

        def progress(part: float) -> None:
            if self._search is search:
                self.state = replace(self.state, part=part)
                self._changed()

        self._tell("searching")
        search.request = self._lane_of(model.info).submit(
            work,
            slot="find",
            priority=Priority.ON_SCREEN,
            done=done,
            failed=self._failed(search),
            progress=progress,
        )

    def _settle(self) -> None:
        """Decide again what counts, on the lane: there may be many outlines."""
        known = self._proposals
        if known is None:
            return
        proposals, info = known

        def done(found: Found) -> None:
            if self._proposals is known:
                self.found = found
                self._changed()

        def failed(error: Exception) -> None:
            if self._proposals is known:
                self._fail(say(error))

        self._lane_of(info).submit(
            partial(found_in, proposals, self.filters, info, self._drawing()),
            slot="settle",
            # As a click: it is felt while a slider moves, and takes as little.
            priority=Priority.DRAWING,
            done=done,
            failed=failed,
        )

    def _failed(self, search: _Search) -> Callable[[Exception], None]:
        def failed(error: Exception) -> None:
            if self._search is search:
                self._fail(say(error))

        return failed

    def _fail(self, text: str) -> None:
        self._end()
        self.state = State("failed", error=text)
        self._changed()

    def _end(self) -> None:
        search, self._search = self._search, None
        if search is None:
            return
        if search.request is not None:
            search.request.cancel()
        self._session.need(None)

    def _tell(self, phase: Phase) -> None:
        self.state = State(phase)
        self._changed()

    def _lane_of(self, model: ModelInfo) -> LaneHandle:
        device = model.device
        if self._lane is not None and self._lane[0] != device:
            self._lane[1].close(timeout=0.0)
            self._lane = None
        if self._lane is None:
            self._lane = device, acquire(device, owner=self, post=self._post)
        return self._lane[1]


def _undrawn(masks: Sequence[Mask]) -> Sequence[Any]:
    return ()


def _load(name: str, model: PromptableModel) -> Detector:
    # torch comes in this way only, or an open window may take the process down.
    warm("torchvision")
    from napari_sam.models.catalog import load_detector

    return load_detector(
        name,
        model=model,
        device=model.info.device,
        conf=LEAST_CONFIDENCE,
        max_det=MOST,
    )
