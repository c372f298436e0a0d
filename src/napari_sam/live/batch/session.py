"""What the dock "Batch" does; neither Qt nor napari, and nothing waits here."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, TypeVar

from napari_sam.images.inputs import InputFile, stem_of
from napari_sam.live.batch.job import PATIENCE, Job
from napari_sam.live.batch.layers import files_of, places_of
from napari_sam.live.batch.opened import open_result, open_tried
from napari_sam.live.batch.state import Images, Results, State
from napari_sam.live.batch.thumbs import draw_tried
from napari_sam.live.threads import Threads, say
from napari_sam.records.files import write_text
from napari_sam.records.layout import image_name, select_inputs
from napari_sam.records.page import NAME as REPORT
from napari_sam.records.settings import NAME, Settings, read_settings
from napari_sam.records.status import Item, read_items
from napari_sam.records.trial import COUNT, read_tried
from napari_sam.records.work import FOLDER, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from PIL.Image import Image

    from napari_sam.live.batch.state import Ended, Listener, Phase
    from napari_sam.models.lane import Post
    from napari_sam.records.trial import Tried
    from napari_sam.segment.recipe import Recipe

_CALM: Final = 3.0  # seconds between two looks where nothing runs
_SHARE: Final = 10.0  # times as long as a look took nothing is looked at, at most that
_PICTURE: Final = 900  # pixels of a slice that was tried
T = TypeVar("T")
_Found = tuple[tuple[Item, ...], Results]


@dataclass(slots=True, eq=False)
class _Seen:
    """What was seen at one look."""

    ended: bool
    results: Results
    tried: list[tuple[Tried, Image]] = field(default_factory=list)
    error: str = ""


class Session:
    """Runs batches in processes of their own, and watches them.

    Parameters
    ----------
    post : callable
        Runs a function on the thread that uses this object.
    listener : Listener
    """

    def __init__(self, post: Post, listener: Listener) -> None:
        self._threads, self._listener = Threads(post), listener
        self._job: Job | None = None
        self._doing: Phase = "idle"  # what the process was started for
        self._scratch: Path | None = None
        self._trials = self._shown = 0
        self._stopped = 0.0
        self._looking = False
        self._unread = ""  # why the last look has failed
        self._rest = 0.0  # when to look again
        self._asked = 0  # how often something else was to be watched
        self._closed = 0  # how often everything was ended
        self.state = State()

    # What a person does.

    def watch(self, images: Images, output: Path | None) -> None:
        """Find out what is there: images, and results of earlier runs."""
        self._asked += 1
        asked = self._asked
        self._tell(output=output, found=None, results=Results(), error="", ended="")

        def done(found: _Found) -> None:
            if asked == self._asked:
                self._tell(found=found[0], results=found[1])

        def failed(error: Exception) -> None:
            if asked == self._asked:
                self._tell(found=(), error=say(error))

        self._threads.run("images", partial(_look_for, images, output), done, failed)

    def start(self, images: Images, settings: Settings, *, overwrite: bool) -> None:
        """Do it, or what is left of it."""
        more = ["--overwrite"] if overwrite else []
        self._launch(
            "starting", partial(_run, images, settings, self._folder(), more, overwrite)
        )

    def try_slices(
        self, images: Images, settings: Settings, *, seed: int, count: int = COUNT
    ) -> None:
        """Find the objects of some slices that are drawn at random."""
        self._trials += 1
        self._shown = 0
        folder = self._folder()
        settings = settings.model_copy(update={"output": str(self.trial)})
        more = ["--try", str(count), "--seed", str(seed)]
        self._launch("trying", partial(_run, images, settings, folder, more, True))

    def report(self) -> None:
        """Write the report on the results that are watched."""
        self._launch("reporting", partial(Job, ["report", str(self.state.output)]))

    def open(self, item: Item, recipe: Recipe) -> None:
        """Read an image, and its labels where it is done."""
        output = self.state.output or Path()
        self._fetch(partial(open_result, item, output, recipe), self._listener.opened)

    def open_tried(self, one: Tried) -> None:
        """Read a slice that was tried, and its labels."""
        self._fetch(partial(open_tried, one, self.trial), self._listener.opened)

    def read(self, path: Path) -> None:
        """Read saved settings."""
        self._fetch(partial(read_settings, path), self._listener.settings_read)

    def _fetch(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        def failed(error: Exception) -> None:
            self._tell(error=say(error))

        self._tell(error="")
        self._threads.run("files", work, done, failed)

    def stop(self) -> None:
        """Let what runs end in order; what is finished stays."""
        if self.state.busy:
            self._stopped = time.monotonic()
            if self._job is not None:
                self._job.stop()
            self._tell(phase="stopping")

    def close(self) -> None:
        """End everything, and tell nothing any more."""
        self._threads.close()
        self._asked += 1
        self._closed += 1
        if self._job is not None:
            self._job.leave()  # a window that closes does not wait
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
        self._job = self._scratch = None
        self._doing, self._looking = "idle", False
        self.state = State()

    @property
    def trial(self) -> Path:
        """Where the slices are that were tried last."""
        return self._folder() / str(self._trials)

    # How far it is.

    def look(self) -> None:
        """Look how far it is; to be called every now and then."""
        began = time.monotonic()
        if self._looking or began < self._rest:
            return
        self._looking = True
        job, asked, state = self._job, self._asked, self.state
        trial = self.trial if self._doing == "trying" else None
        late = state.phase == "stopping" and began > self._stopped + PATIENCE
        shown = self._shown

        def work() -> _Seen:
            if late and job is not None:
                job.kill()
            # Whether it has ended comes first: what it did last is seen then.
            seen = _Seen(job is not None and not job.running, state.results)
            try:
                seen.results = _results(state.output, state.results)
                if trial is not None:
                    for one in read_tried(trial)[shown:]:
                        seen.tried.append((one, draw_tried(one, trial, _PICTURE)))
            except Exception as error:  # how a job ended counts all the same
                seen.error = say(error)
            return seen

        def done(seen: _Seen) -> None:
            self._looking = False
            took = time.monotonic() - began
            calm = 0 if self.state.busy or self.state.elsewhere else _CALM
            self._rest = time.monotonic() + min(max(calm, _SHARE * took), _CALM)
            for one, picture in seen.tried:
                self._shown += 1
                self._listener.slice_tried(one, picture)
            if asked == self._asked:
                self._show(seen)
            if job is not None and job is self._job and seen.ended:
                self._end(job)

        def failed(error: Exception) -> None:
            self._looking = False
            self._tell(error=say(error))

        self._threads.run("status", work, done, failed)

    def _show(self, seen: _Seen) -> None:
        now = self.state
        begun = now.phase == "starting" and seen.results.running
        phase = "running" if begun else now.phase
        # What could not be read a moment ago may be there now.
        error = seen.error if now.error == self._unread else seen.error or now.error
        self._unread = seen.error
        if (seen.results, phase, error) != (now.results, now.phase, now.error):
            self._tell(results=seen.results, phase=phase, error=error)

    def _end(self, job: Job) -> None:
        doing, self._doing, self._job = self._doing, "idle", None
        told = self.state.phase == "stopping" and job.code not in (0, 2)
        stopped = job.interrupted or told
        error = "" if stopped else job.error
        job.close()
        if any(error.endswith(item.error) for item in self.state.items if item.error):
            error = ""  # it is in the list, and the others were done
        how: Ended = ""
        if doing == "starting":
            how = "paused" if stopped else "failed" if error else "done"
        self._rest = 0.0
        self._tell(phase="idle", error=error, ended=how)
        if doing == "reporting" and not (stopped or error) and self.state.output:
            self._listener.reported(self.state.output / REPORT)

    def _launch(self, phase: Phase, start: Callable[[], Job]) -> None:
        self._doing = phase
        self._tell(phase=phase, error="", ended="")
        closed, folder = self._closed, self._scratch

        def begin() -> Job:
            job = start()
            if closed != self._closed:  # while it was being started
                job.leave()
                if folder is not None:
                    shutil.rmtree(folder, ignore_errors=True)
            return job

        def done(job: Job) -> None:
            self._job, self._rest = job, 0.0
            if self.state.phase == "stopping":
                job.stop()
            self.look()

        def failed(error: Exception) -> None:
            self._doing = "idle"
            self._tell(phase="idle", error=say(error))

        self._threads.run("start", begin, done, failed)

    def _folder(self) -> Path:
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="napari-sam-"))
        return self._scratch

    def _tell(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)
        self._listener.state_changed(self.state)


def _run(
    images: Images,
    settings: Settings,
    folder: Path,
    more: Sequence[str],
    replace: bool,
) -> Job:
    """Write what is asked for into a file, and start a process that does it."""
    # In the file they would count from its own place.
    output = Path(settings.output).absolute()
    places = (str(Path(place).absolute()) for place in images.places)
    inputs = [*places, *files_of(images.layers, output, replace=replace)]
    file = folder / NAME
    said = {"inputs": tuple(inputs), "output": str(output)}
    write_text(file, settings.model_copy(update=said).text(), durable=False)
    return Job(["run", str(file), *more])


def _look_for(images: Images, output: Path | None) -> _Found:
    """Return the images that are named, and what results there are."""
    items = []
    for place, _ in places_of(images.layers, output or Path()):
        items.append(_item(InputFile(place, PurePosixPath(stem_of(place)))))
    if images.places:
        # Results that lie among the images are none of them.
        away = output or Path(images.places[0]) / FOLDER
        items += [_item(one) for one in select_inputs(images.places, away)]
    return tuple(items), _results(output, Results())


def _item(one: InputFile) -> Item:
    error = "" if one.error is None else say(one.error)
    state = "failed" if error else "waiting"
    place = str(one.path.absolute())
    return Item(str(one.relative), image_name(one), place, state, 0, None, None, error)


def _results(output: Path | None, before: Results) -> Results:
    """Return what is in a folder; nothing where no run has written there.

    What is as it was before is the same object.
    """
    # Where there are only settings somebody has saved them, or a run begins anew.
    if (
        output is None
        or not (output / NAME).exists()
        or Workspace(output).record() is None
    ):
        return before if before.status is None else Results()
    status, items = read_items(output)
    known = {item.name: item for item in before.items}
    same = tuple(
        item if known.get(item.name) != item else known[item.name] for item in items
    )
    settings = before.settings
    if settings is None or status.running != before.running:
        settings = read_settings(output / NAME)
    if (status, same, settings) == (before.status, before.items, before.settings):
        return before
    return Results(status, same, settings)
