"""The logic behind the widget: load, read, run, settle, cancel. No Qt, no napari.

Every public method is called on one thread (the viewer's main thread), and the
listener is told on that thread: whatever comes from elsewhere passes through
`post`. Models are loaded on one thread, planes are read on another, models run on
the lane.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from napari_sam.live.prompting.reading import Reader
from napari_sam.live.threads import Threads, say
from napari_sam.models.lane import LaneHandle, Post, Priority, acquire
from napari_sam.models.protocol import InputDetector, detector_for
from napari_sam.segment.number import check_link
from napari_sam.segment.recipe import Recipe
from napari_sam.types import ImageError, NapariSamError
from napari_sam.widgets.auto_annotate.objects import Objects, axes_of, order
from napari_sam.widgets.auto_annotate.parts import Parts, broadened, covers
from napari_sam.widgets.auto_annotate.run import Ready, Run
from napari_sam.widgets.auto_annotate.state import Listener, State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_sam.live.prompting.reading import Look
    from napari_sam.live.source import Source
    from napari_sam.models.protocol import Detector, PromptableModel
    from napari_sam.segment.result import PlaneResult

T = TypeVar("T")


class Session:
    """Finds the objects of one image at a time.

    Parameters
    ----------
    post : callable
        Runs a function on the thread that uses the session.
    listener : Listener
    """

    def __init__(self, post: Post, listener: Listener) -> None:
        self._post = post
        self._listener = listener
        self._parts = Parts()
        self._run: Run | None = None
        self._reader: Reader | None = None
        self._lane: tuple[str, LaneHandle] | None = None
        self._threads = Threads(post)
        self._state = State()
        self._recipe = Recipe()  # what counts as an object for now

    @property
    def state(self) -> State:
        """What the session is doing."""
        return self._state

    @property
    def unread(self) -> Mapping[tuple[int, ...], str]:
        """Planes that could not be read, and why."""
        found = None if self._run is None else self._run.objects
        return {} if found is None else dict(found.unread)

    @property
    def made_with(self) -> dict[str, Any]:
        """What the objects were found with, as plain values.

        The recipe, and which intensities were dark and bright.
        """
        contrast = None if self._run is None else self._run.contrast
        return {
            "recipe": self._recipe.model_dump(mode="json"),
            "contrast": None if contrast is None else contrast.to_dict(),
        }

    def prepare(self, recipe: Recipe) -> None:
        """Load a recipe's models ahead of their use, and tell their classes."""

        def loaded(parts: tuple[PromptableModel, Detector]) -> None:
            self._listener.classes_known(tuple(parts[1].class_names))

        def failed(error: Exception) -> None:
            if not self._state.busy:
                self._tell(State("failed", error=say(error)))

        self._threads.run(
            "load", partial(self._parts.load, broadened(recipe)), loaded, failed
        )

    def try_plane(self, source: Source, index: tuple[int, ...], recipe: Recipe) -> None:
        """Find the objects of one plane; a run that is going on ends."""
        self._start(source, [index], recipe, Priority.ON_SCREEN)

    def find_all(self, source: Source, recipe: Recipe) -> None:
        """Find the objects of all planes; a run that is going on ends."""
        self._start(source, order(source), recipe, Priority.BATCH)

    def look(
        self,
        source: Source,
        index: tuple[int, ...],
        done: Callable[[Look], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Read a plane as models would see it."""
        work = partial(self._reader_of(source).look, index)
        self._threads.run("look", work, done, failed)

    def apply(self, recipe: Recipe) -> bool:
        """Let something else count as an object, without running models again.

        Returns
        -------
        bool
            False if that cannot be told from what was found: it needs a run.
        """
        run = self._run
        if run is None or run.objects is None or self._lane is None:
            return False
        if not covers(run.objects.ran, recipe):
            return False
        self._settle(run, recipe)
        return True

    def _settle(self, run: Run, recipe: Recipe) -> None:
        self._recipe = recipe

        def settled(results: Sequence[PlaneResult]) -> None:
            if self._run is not run:
                return
            self._listener.settled(results)
            if self._state.busy and run.done == run.total:
                self._tell(State("done", run.done, run.total))

        def failed(error: Exception) -> None:
            if self._run is run:
                self._fail(error)

        if run.objects is not None and self._lane is not None:
            self._lane[1].submit(
                partial(run.objects.settle, recipe),
                slot="settle",
                priority=Priority.ON_SCREEN,
                done=settled,
                failed=failed,
            )

    def cancel(self) -> None:
        """End the run; the planes that are done stay, and can still be settled."""
        if self._run is None or not self._state.busy:
            return
        self._run.stop()
        self._tell(State("stopped", self._run.done, self._run.total))

    def forget(self) -> None:
        """End the run and drop what was found: nothing can be settled any more."""
        if self._run is not None:
            self._run.stop()
        self._run = None
        self._tell(State())

    def close(self) -> None:
        """End everything; the session can be used again."""
        if self._run is not None:
            self._run.stop()
        self._run = None
        self._state = State()
        if self._lane is not None:
            self._lane[1].close()
        self._lane = None
        self._threads.close()

    def _start(
        self,
        source: Source,
        indices: Sequence[tuple[int, ...]],
        recipe: Recipe,
        priority: Priority,
    ) -> None:
        if self._run is not None:
            self._run.stop()
        try:
            check_link(recipe, axes_of(source, recipe), f"“{source.name}”")
        except NapariSamError as error:
            self._run = None
            self._tell(State("failed", error=say(error)))
            return
        self._recipe = recipe
        run = self._run = Run(
            *(source, indices, priority),
            *(self._read, self._progress, self._running),
        )
        run.finished, run.failed = self._finished, self._fail
        self._tell(State("preparing", 0, run.total))
        ran = broadened(recipe)

        def loaded(parts: tuple[PromptableModel, Detector]) -> None:
            if self._run is run and run.live:
                self._listener.classes_known(tuple(parts[1].class_names))
                work = partial(self._look, self._reader_of(source), parts)
                self._threads.run("read", work, looked, failed)

        def looked(ready: Ready) -> None:
            if self._run is run and run.live:
                self._tell(State("running", 0, run.total))
                lane = self._lane_for(ready.model.info.device)
                run.begin(lane, Objects(source, ran, recipe), ready)

        def failed(error: Exception) -> None:
            if self._run is run and run.live:
                self._fail(error)

        self._threads.run("load", partial(self._parts.load, ran), loaded, failed)

    @staticmethod
    def _look(reader: Reader, parts: tuple[PromptableModel, Detector]) -> Ready:
        """Look at the image as a whole; on the reading thread only."""
        source = reader.source
        model, detector = parts
        if isinstance(detector, InputDetector):
            detector = detector_for(detector, source.name, source.stack())
        return Ready(model, detector, reader.contrast())

    def _reader_of(self, source: Source) -> Reader:
        """Return what knows the contrast of an image once it was measured."""
        if self._reader is None or self._reader.source is not source:
            self._reader = Reader(source)
        return self._reader

    def _lane_for(self, device: str) -> LaneHandle:
        if self._lane is not None and self._lane[0] != device:
            self._lane[1].close()
            self._lane = None
        if self._lane is None:
            self._lane = device, acquire(device, owner=self, post=self._post)
        return self._lane[1]

    def _read(
        self,
        work: Callable[[], T],
        done: Callable[[T], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._threads.run("read", work, done, failed)

    def _progress(self, run: Run, result: PlaneResult) -> None:
        if self._run is run and run.live:
            self._listener.plane_found(result)
        self._running(run)

    def _running(self, run: Run) -> None:
        if self._run is run and run.live:  # the listener may have ended it
            left = run.seconds_left()
            self._tell(State("running", run.done, run.total, left, part=run.part))

    def _finished(self, run: Run) -> None:
        if self._run is not run:
            return
        unread = self.unread
        if len(unread) == run.total:
            self._fail(ImageError(next(iter(unread.values()))))
        elif self._recipe.link != "none" and run.total > 1:
            self._settle(run, self._recipe)  # now that the whole can be seen
        else:
            self._tell(State("done", run.done, run.total))

    def _fail(self, error: Exception) -> None:
        run = self._run
        done, total = (run.done, run.total) if run is not None else (0, 0)
        if run is not None:
            run.stop()
        self._tell(State("failed", done, total, error=say(error)))

    def _tell(self, state: State) -> None:
        self._state = state
        self._listener.state_changed(state)
