"""What the dock "Batch" does; neither Qt nor napari, and nothing waits here."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from napari_sam.images.inputs import InputFile, stem_of
from napari_sam.live.batch.job import Job
from napari_sam.live.batch.layers import files_of, places_of
from napari_sam.live.batch.state import Images, Results, State
from napari_sam.live.batch.thumbs import draw_tried
from napari_sam.live.threads import Threads, say
from napari_sam.records.files import write_text
from napari_sam.records.layout import image_name, select_inputs
from napari_sam.records.page import NAME as REPORT
from napari_sam.records.settings import NAME, Settings, read_settings
from napari_sam.records.status import Item, read_items
from napari_sam.records.trial import COUNT, read_tried
from napari_sam.records.work import FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from PIL.Image import Image

    from napari_sam.live.batch.state import Listener, Phase
    from napari_sam.models.lane import Post
    from napari_sam.records.trial import Tried

_PATIENCE: Final = 30.0  # seconds that a process has to end in order
_PICTURE: Final = 900  # pixels of a slice that was tried
_Found = tuple[tuple[Item, ...], Results]


@dataclass(slots=True, eq=False)
class _Seen:
    """What was seen at one look."""

    ended: bool
    results: Results
    tried: list[tuple[Tried, Image]] = field(default_factory=list)


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
        self._scratch: Path | None = None
        self._trials = self._shown = 0
        self._stopped = 0.0
        self._looking = False
        self._asked = 0  # how often something else was to be watched
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

    def stop(self) -> None:
        """Let what runs end in order; what is finished stays."""
        if self._job is not None:
            self._stopped = time.monotonic()
            self._job.stop()
            self._tell(phase="stopping")

    def close(self) -> None:
        """End everything, and tell nothing any more."""
        self._threads.close()
        self._asked += 1
        if self._job is not None:
            self._job.stop()  # it ends by itself: a window that closes does not wait
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
        self._job = self._scratch = None
        self.state = State()

    @property
    def trial(self) -> Path:
        """Where the slices are that were tried last."""
        return self._folder() / str(self._trials)

    # How far it is.

    def look(self) -> None:
        """Look how far it is; to be called every now and then."""
        if self._looking:
            return
        self._looking = True
        job, asked, output = self._job, self._asked, self.state.output
        trial = self.trial if self.state.phase == "trying" else None
        shown, patience = self._shown, self._stopped + _PATIENCE

        stopping = self.state.phase == "stopping"

        def work() -> _Seen:
            if stopping and job is not None and time.monotonic() > patience:
                job.kill()
            # Whether it has ended comes first: what it did last is seen then.
            seen = _Seen(job is not None and not job.running, _results(output))
            if trial is not None:
                for one in read_tried(trial)[shown:]:
                    seen.tried.append((one, draw_tried(one, trial, _PICTURE)))
            return seen

        def done(seen: _Seen) -> None:
            self._looking = False
            for one, picture in seen.tried:
                self._shown += 1
                self._listener.slice_tried(one, picture)
            if asked == self._asked:
                status = seen.results.status
                begun = status is not None and status.running
                now = self.state.phase
                phase = "running" if begun and now == "starting" else now
                self._tell(results=seen.results, phase=phase)
            if job is not None and job is self._job and seen.ended:
                self._end(job)

        def failed(error: Exception) -> None:
            self._looking = False
            if asked == self._asked and say(error) != self.state.error:
                self._tell(error=say(error))

        self._threads.run("status", work, done, failed)

    def _end(self, job: Job) -> None:
        phase, self._job = self.state.phase, None
        stopped = job.interrupted or phase == "stopping"
        error = "" if stopped else job.error
        if phase in ("trying", "reporting"):
            self._tell(phase="idle", error=error)
        else:
            how = "paused" if stopped else "failed" if job.code else "done"
            self._tell(phase="idle", error=error, ended=how)
        if phase == "reporting" and not error and self.state.output is not None:
            self._listener.reported(self.state.output / REPORT)

    def _launch(self, phase: Phase, start: Callable[[], Job]) -> None:
        self._tell(phase=phase, error="", ended="")

        def done(job: Job) -> None:
            self._job = job
            if self.state.phase == "stopping":
                job.stop()
            self.look()

        def failed(error: Exception) -> None:
            self._tell(phase="idle", error=say(error))

        self._threads.run("start", start, done, failed)

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
    output = Path(settings.output)
    inputs = [images.place] if images.place else []
    inputs += files_of(images.layers, output, replace=replace)
    file = folder / NAME
    text = settings.model_copy(update={"inputs": tuple(inputs)}).text()
    write_text(file, text, durable=False)
    return Job(["run", str(file), *more])


def _look_for(images: Images, output: Path | None) -> _Found:
    """Return the images that are named, and what results there are."""
    items = []
    for place, _ in places_of(images.layers, output or Path()):
        items.append(_item(InputFile(place, PurePosixPath(stem_of(place)))))
    if images.place:
        # Results that lie among the images are none of them.
        found = select_inputs([images.place], output or Path(images.place) / FOLDER)
        items += [_item(one) for one in found]
    return tuple(items), _results(output)


def _item(one: InputFile) -> Item:
    error = "" if one.error is None else say(one.error)
    state = "failed" if error else "waiting"
    place = str(one.path.absolute())
    return Item(str(one.relative), image_name(one), place, state, 0, None, None, error)


def _results(output: Path | None) -> Results:
    """Return what is in a folder; nothing where no run has written there."""
    if output is None or not (output / NAME).exists():
        return Results()
    status, items = read_items(output)
    return Results(status, tuple(items), read_settings(output / NAME))
