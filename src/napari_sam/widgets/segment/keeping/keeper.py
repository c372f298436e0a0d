"""Lets nothing be lost: every object is on the disk before anybody saves it."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_sam.live.class_text import FILE as CLASSES
from napari_sam.live.class_text import to_text
from napari_sam.live.classes import ClassList
from napari_sam.live.disk import keeping, loading, saving
from napari_sam.live.disk.journal import Journal
from napari_sam.live.disk.restoring import restore
from napari_sam.live.disk.snapshot import Snapshot
from napari_sam.live.labels.changes import Change
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.proofreading.progress import begun
from napari_sam.live.proofreading.progress_file import ProgressFile, read_progress
from napari_sam.live.threads import Threads, say
from napari_sam.types import NapariSamError
from napari_sam.widgets.segment.desk import empty_store
from napari_sam.widgets.segment.keeping.about import path_of, pixel_size, text_of

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
        self._print = ""  # the image's fingerprint
        self._store: LabelStore | None = None
        self._journal: Journal | None = None
        self._starting: threading.Thread | None = None
        self._early: list[Change] = []  # made before there was a journal
        self._snapshot: Snapshot | None = None
        self._known: Path | None = None  # whose objects are in the viewer
        self._based = False  # there were objects before the first edit
        self.progress: Progress | None = None
        self._beside: ProgressFile | None = None  # keeps it beside the journal
        self.classes = ClassList()
        self.began: Callable[[], None] = lambda: None

    @property
    def folder(self) -> Path | None:
        """Where the objects are kept; None where nothing has been done yet."""
        return None if self._journal is None else self._journal.folder

    @property
    def unsaved(self) -> int:
        """How many changes lie nowhere else."""
        return len(self._early) if self._journal is None else self._journal.unsaved

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
        self._source, self._known = source, known
        self._use(store)
        path = path_of(image)

        def look() -> tuple[str, list[Left]]:
            found = keeping.fingerprint(source, path)
            return found, keeping.find_all(None, found)

        def looked(found: tuple[str, list[Left]]) -> None:
            if self._source is not source:
                return
            self._print = found[0]
            if self._early:
                self._begin()
            left = [one for one in found[1] if one.folder != self._known]
            if left and not self.unsaved:
                self._offered(max(left, key=lambda one: one.when))

        self._threads.run("keep", look, looked, self._failed)

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
        if self._beside is not None:
            self._beside.put(progress)
        if what:  # counts as work, without pixels
            self.changed(Change((), {}, {}, what))

    def leave(self) -> None:
        """Keep nothing any more; what was done is kept."""
        self._end()
        self._source = self._store = self._known = self.progress = None
        self._print = ""

    def changed(self, change: Change) -> None:
        """Keep one more edit."""
        if self._snapshot is not None:
            self._snapshot.changed(change)
        if self._journal is not None:
            self._journal.append(change)
            return
        self._early.append(change)
        if self._print:
            self._begin()

    def restore(self, left: Left, done: Callable[[LabelStore], None]) -> None:
        """Bring earlier work back; `done` gets its objects."""
        source = self._source
        if source is None:
            return
        labels = empty_store(source).labels

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
            self._journal = self._new_journal(left.folder, source)
            self._start(self._journal, None)
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
    ) -> None:
        """Write labels, table and prompts; an error is told as a notice.

        `more` are further columns of the table, by object.
        """
        source, store, journal = self._source, self._store, self._journal
        if source is None or store is None or self._snapshot is not None:
            failed()
            return
        text = text_of(image, source, self._print)
        sizes = pixel_size(image, source)
        position = 0 if journal is None else journal.position
        progress, classes = self.progress, self.classes
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
                overwrite=overwrite,
            )
            self._threads.run("save", work, saved, not_saved)

        def saved(result: Saved | None) -> None:
            if journal is not None:
                journal.saved(folder, position)
            if result is not None:
                done(result)

        def not_saved(error: Exception) -> None:
            self._snapshot = None
            self._failed(error)
            failed()

        self._threads.run("save", snapshot.read, read, not_saved)

    def would_replace(self, folder: Path, image: Image) -> bool:
        """Whether a folder holds an earlier save of this image.

        Raises
        ------
        SaveError
            If it holds something else.
        """
        source = self._source
        if source is None:
            return False
        text = text_of(image, source, self._print)
        return saving.existing(folder, text) is not None

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

    # The journal.

    def _begin(self) -> None:
        """Start a journal with the first edit."""
        source, store = self._source, self._store
        if source is None or store is None or not self._print:
            return
        folder = keeping.new_folder(None, self._print)
        journal = self._journal = self._new_journal(folder, source)
        if self._beside is not None and self.progress is not None:
            self._beside.put(self.progress)
        early, self._early = self._early, []
        for change in early:
            journal.append(change)
        self._start(journal, store if self._based else None, self._known)
        self.began()

    def _new_journal(self, folder: Path, source: Source) -> Journal:
        store = self._store
        dtype = "uint32" if store is None else store.labels.dtype

        def failed(text: str) -> None:  # on the threads of these two
            self._post(partial(self._notice, text))

        self._beside = ProgressFile(folder, failed)
        return Journal(
            folder,
            shape=source.shape,
            dtype=dtype,
            about={"name": source.name},
            failed=failed,
        )

    def _start(
        self, journal: Journal, base: LabelStore | None, replaces: Path | None = None
    ) -> None:
        beside = self._beside

        def work() -> None:
            try:
                journal.start(base)
                if beside is not None:
                    beside.wait()
                # It has all that the older one has.
                if replaces is not None and journal.flush():
                    keeping.discard(replaces)
            except NapariSamError as error:
                self._post(partial(self._failed, error))

        self._starting = _thread(work)

    def _end(self) -> None:
        journal, self._journal, self._early = self._journal, None, []
        beside, self._beside = self._beside, None
        starting = self._starting

        def work() -> None:
            # It may have something to write yet; the window does not wait for it.
            if starting is not None:
                starting.join()
            if beside is not None:
                beside.wait()  # the journal may remove its folder
            if journal is not None:
                journal.close()

        if journal is not None:
            _thread(work)

    def _failed(self, error: Exception) -> None:
        self._notice(say(error))


def _thread(work: Callable[[], None]) -> threading.Thread:
    """Run something that has to be finished whatever is closed meanwhile."""
    thread = threading.Thread(target=work, name="napari-sam keep")
    thread.start()
    return thread


def _nothing(_: object) -> None:
    pass
