"""Lets nothing be lost: every object is on the disk before anybody saves it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari_sam.live.class_text import FILE as CLASSES
from napari_sam.live.class_text import to_text
from napari_sam.live.classes import ClassList
from napari_sam.live.disk import keeping, loading, saving, scratch
from napari_sam.live.disk.restoring import restore
from napari_sam.live.disk.snapshot import Snapshot
from napari_sam.live.labels.changes import Change
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.proofreading.progress import begun
from napari_sam.live.proofreading.progress_file import read_progress
from napari_sam.live.replay.recorder import Recorder
from napari_sam.live.threads import Threads, say
from napari_sam.records.ondisk.array import DiskLabels
from napari_sam.types import NapariSamError
from napari_sam.widgets.segment.desk import empty_store
from napari_sam.widgets.segment.keeping.about import path_of, pixel_size, text_of
from napari_sam.widgets.segment.keeping.writing import Look, Writing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from napari.layers import Image

    from napari_sam.live.disk.keeping import Left
    from napari_sam.live.disk.loading import Loaded
    from napari_sam.live.disk.restoring import Restored
    from napari_sam.live.disk.saving import Saved
    from napari_sam.live.proofreading.progress import Progress
    from napari_sam.live.source import Source
    from napari_sam.models.lane import Post


class Keeper:
    """Keeps the objects of one image at a time.

    Parameters
    ----------
    threads : Threads
        Files are read on one of them.
    post : callable
        Runs a function on the thread that uses this object.
    offered : callable
        Is called with earlier work on the image that was not saved.
    notice : callable
        Is called with one line when something cannot be kept.

    Attributes
    ----------
    progress : Progress or None
        What is complete of the image; `mark` sets it.
    classes : ClassList
        What the classes of objects are called.
    recorder : Recorder
        Knows what was done, so that it can be done again.
    began : callable
        Is called when there is a `folder`.
    """

    def __init__(
        self,
        threads: Threads,
        post: Post,
        offered: Callable[[Left], None],
        notice: Callable[[str], None],
    ) -> None:
        self._threads, self._post = threads, post
        self._offered, self._notice = offered, notice
        self._source: Source | None = None
        self._look: Look | None = None
        self._print = ""  # the image's fingerprint, when it is known
        self._store: LabelStore | None = None
        self._writing: Writing | None = None  # since the first edit
        self._snapshot: Snapshot | None = None
        self._known: Path | None = None  # whose objects are in the viewer
        self._based = False  # there were objects before the first edit
        self.progress: Progress | None = None
        self.classes = ClassList()
        self.recorder = Recorder(self._tell)
        self.began: Callable[[], None] = lambda: None

    @property
    def folder(self) -> Path | None:
        """Where the objects are kept; None where nothing is yet."""
        return None if self._writing is None else self._writing.folder

    @property
    def unsaved(self) -> int:
        """How many changes lie nowhere else."""
        return 0 if self._writing is None else self._writing.journal.unsaved

    def open(
        self,
        image: Image,
        source: Source,
        store: LabelStore,
        known: Path | None = None,
    ) -> None:
        """Keep the objects of another image from now on.

        Parameters
        ----------
        image : Image
        source : Source
        store : LabelStore
        known : Path, optional
            Where objects that are in the viewer were kept: they are not offered.
        """
        self.leave()
        self.recorder.clear()
        self._source, self._known = source, known
        self._use(store)
        look = self._look = Look(source, path_of(image))

        def looked(found: list[Left]) -> None:
            if self._look is not look:
                return
            self._print = look.fingerprint()
            left = [one for one in found if one.folder != self._known]
            if left and not self.unsaved:
                self._offered(max(left, key=lambda one: one.when))

        self._threads.run("keep", look.left, looked, self._failed)
        self._threads.run("keep", scratch.tidy, _nothing, self._failed)

    def attach(
        self,
        store: LabelStore,
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Keep other objects of the same image.

        Parameters
        ----------
        store : LabelStore
        folder : Path, optional
            Where they were kept so far.
        progress : Progress, optional
            What of them is complete; slices with objects are begun.
        """
        self._end()
        self._known = folder
        self._use(store, progress)

    def _use(self, store: LabelStore, progress: Progress | None = None) -> None:
        self._store, self._based = store, bool(store.records)
        self.recorder.attach(store)
        if isinstance(store.labels, DiskLabels):
            store.labels.failed = self._tell
        self.progress = progress or begun(store.labels.shape, store.extents.values())

    def mark(self, progress: Progress, what: str = "") -> None:
        """Keep what is complete.

        Parameters
        ----------
        progress : Progress
        what : str
            What a person has said, for people; empty where it follows from an edit.
        """
        if self.progress is None or progress is self.progress:
            return
        self.progress = progress
        if self._writing is not None:
            self._writing.put(progress)
        if what:  # counts as work, without pixels
            self.changed(Change((), {}, {}, what))

    def leave(self) -> None:
        """Keep nothing any more; what was done is kept."""
        self._end()
        self.recorder.close()
        self._source = self._look = None
        self._store = self._known = self.progress = None
        self._print = ""

    def changed(self, change: Change) -> None:
        """Keep one more edit."""
        self.recorder.changed(change)
        if self._snapshot is not None:
            self._snapshot.changed(change)
        writing = self._writing or self._begin()
        if writing is not None:
            writing.journal.append(change)

    def restore(self, left: Left, done: Callable[[LabelStore], None]) -> None:
        """Bring earlier work back; `done` gets its objects."""
        source = self._source
        if source is None:
            return
        on_disk = left.about.get("on_disk") is True
        labels = empty_store(source, on_disk=on_disk).labels

        def work() -> tuple[Restored | None, Progress | None, str]:
            found = restore(left.folder, labels)
            try:
                return found, read_progress(left.folder), ""
            except NapariSamError as error:  # the objects are worth more
                return found, None, say(error)

        def restored(both: tuple[Restored | None, Progress | None, str]) -> None:
            found, progress, trouble = both
            if found is None or self._source is not source:
                return
            if progress is not None and not progress.fits(labels.shape):
                progress = None
            self._end()
            store = LabelStore(
                labels,
                records=found.records,
                next_id=found.next_id,
                extents=found.extents,
            )
            self._use(store, progress)
            self._writing = writing = self._new_writing(store, source)
            writing.start(lambda: left.folder, None)
            done(store)
            for note in (*found.notes, *filter(None, [trouble])):
                self._notice(note)

        self._threads.run("keep", work, restored, self._failed)

    def discard(self, left: Left) -> None:
        """Throw earlier work away."""
        self._threads.run(
            "keep", partial(keeping.discard, left.folder), _nothing, self._failed
        )

    def save(
        self,
        folder: Path,
        image: Image,
        *,
        overwrite: bool,
        done: Callable[[Saved], None],
        failed: Callable[[], None],
        more: Mapping[str, Mapping[int, Any]] | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """Write labels, table and prompts; an error is told as a notice.

        `more` are further columns of the table, by object; `state` is given back when
        they are opened again.
        """
        source, store, writing = self._source, self._store, self._writing
        if source is None or store is None or self._snapshot is not None:
            failed()
            return
        text = text_of(image, source, self._print)
        sizes = pixel_size(image, source)
        position = 0 if writing is None else writing.journal.position
        progress, classes = self.progress, self.classes
        record = self.recorder.until_now()
        snapshot = self._snapshot = Snapshot(store)

        def read(_: object) -> None:
            snapshot.finish()
            self._snapshot = None
            work = partial(
                saving.save,
                folder,
                snapshot,
                text,
                pixel_size=sizes,
                complete=progress,
                classes=classes.names,
                texts={CLASSES: to_text(classes)} if len(classes) else {},
                more=more,
                state=state,
                record=record,
                overwrite=overwrite,
            )
            self._threads.run("save", work, saved, not_saved)

        def saved(result: Saved | None) -> None:
            if writing is not None:
                writing.journal.saved(folder, position)
            if result is not None:
                done(result)

        def not_saved(error: Exception) -> None:
            self._snapshot = None
            self._failed(error)
            failed()

        self._threads.run("save", snapshot.read, read, not_saved)

    def look_for_save(
        self,
        folder: Path,
        image: Image,
        found: Callable[[bool], None],
        failed: Callable[[], None],
    ) -> None:
        """Find out whether a folder holds an earlier save of this image.

        Parameters
        ----------
        folder : Path
        image : Image
        found : callable
            Gets whether it does.
        failed : callable
            Is called where it holds something else; that is told as a notice.
        """
        source = self._source
        if source is None:
            failed()
            return
        text = text_of(image, source, self._print)

        def told(earlier: Path | None) -> None:
            if self._source is source:
                found(earlier is not None)
            else:
                failed()

        def not_told(error: Exception) -> None:
            self._notice(f"⚠ {say(error)}")
            failed()

        self._threads.run(
            "save", partial(saving.existing, folder, text), told, not_told
        )

    def load(
        self,
        folder: Path,
        done: Callable[[Loaded, bool], None],
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        """Read what was saved of this image; an error is told as a notice.

        Parameters
        ----------
        folder : Path
        done : callable
            Gets it, and whether it is of another image of the same shape.
        failed : callable
            Is called where there is nothing to be had.
        """
        source = self._source
        if source is None:
            failed()
            return

        def loaded(found: Loaded | None) -> None:
            if found is None or self._source is not source:
                failed()
                return
            prints = {self._print, found.image.fingerprint} - {""}
            done(found, len(prints) > 1)

        def not_loaded(error: Exception) -> None:
            self._failed(error)
            failed()

        work = partial(
            loading.load,
            folder,
            shape=source.shape,
            still_wanted=lambda: self._source is source,
        )
        self._threads.run("load", work, loaded, not_loaded)

    # What is written down.

    def _begin(self) -> Writing | None:
        """Write from the first edit on."""
        source, store, look = self._source, self._store, self._look
        if source is None or store is None or look is None:
            return None
        writing = self._writing = self._new_writing(store, source)
        if self.progress is not None:
            writing.put(self.progress)

        def began() -> None:
            if self._writing is writing:
                self.began()

        base = store if self._based else None
        writing.start(look.new_folder, base, self._known, lambda: self._post(began))
        return writing

    def _new_writing(self, store: LabelStore, source: Source) -> Writing:
        return Writing(
            shape=source.shape,
            dtype=store.labels.dtype,
            name=source.name,
            on_disk=isinstance(store.labels, DiskLabels),
            failed=self._tell,
        )

    def _end(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.end()  # the window does not wait for it

    def _failed(self, error: Exception) -> None:
        self._notice(say(error))

    def _tell(self, text: str) -> None:
        """Say something that a thread has noticed."""
        self._post(partial(self._notice, text))


def _nothing(_: object) -> None:
    pass
