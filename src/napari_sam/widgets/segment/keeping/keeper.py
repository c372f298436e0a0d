"""Lets nothing be lost: every object is on the disk before anybody saves it."""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_sam.live.disk import keeping, saving
from napari_sam.live.disk.journal import Journal
from napari_sam.live.disk.restoring import restore
from napari_sam.live.disk.snapshot import Snapshot
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.threads import Threads, say
from napari_sam.types import NapariSamError
from napari_sam.widgets.segment.desk import empty_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari.layers import Image

    from napari_sam.live.disk.keeping import Left
    from napari_sam.live.disk.restoring import Restored
    from napari_sam.live.disk.saving import Saved
    from napari_sam.live.labels.changes import Change
    from napari_sam.live.source import Source
    from napari_sam.models.lane import Post

_UNITS = {"T": "second"}  # what is not time is a length


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
        path = _path_of(image)

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

    def attach(self, store: LabelStore, folder: Path | None = None) -> None:
        """Keep other objects of the same image.

        Parameters
        ----------
        store : LabelStore
        folder : Path, optional
            Where they were kept so far.
        """
        self._end()
        self._known = folder
        self._use(store)

    def _use(self, store: LabelStore) -> None:
        self._store, self._based = store, bool(store.records)

    def leave(self) -> None:
        """Keep nothing any more; what was done is kept."""
        self._end()
        self._source = self._store = self._known = None
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

        def restored(found: Restored | None) -> None:
            if found is None or self._source is not source:
                return
            self._end()
            store = LabelStore(
                labels,
                records=found.records,
                next_id=found.next_id,
                extents=found.extents,
            )
            self._use(store)
            self._journal = self._new_journal(left.folder, source)
            self._start(self._journal, None)
            done(store)
            for note in found.notes:
                self._notice(note)

        self._threads.run(
            "keep", partial(restore, left.folder, labels), restored, self._failed
        )

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
    ) -> None:
        """Write labels, table and prompts; an error is told as a notice."""
        source, store, journal = self._source, self._store, self._journal
        if source is None or store is None or self._snapshot is not None:
            failed()
            return
        text = _text(image, source, self._print)
        sizes = _pixel_size(image, source)
        position = 0 if journal is None else journal.position
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
        text = _text(image, source, self._print)
        return saving.existing(folder, text) is not None

    # The journal.

    def _begin(self) -> None:
        """Start a journal with the first edit."""
        source, store = self._source, self._store
        if source is None or store is None or not self._print:
            return
        folder = keeping.new_folder(None, self._print)
        journal = self._journal = self._new_journal(folder, source)
        early, self._early = self._early, []
        for change in early:
            journal.append(change)
        self._start(journal, store if self._based else None, self._known)

    def _new_journal(self, folder: Path, source: Source) -> Journal:
        store = self._store
        dtype = "uint32" if store is None else store.labels.dtype

        def failed(text: str) -> None:  # on the journal's thread
            self._post(partial(self._notice, text))

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
        def work() -> None:
            try:
                journal.start(base)
                # It has all that the older one has.
                if replaces is not None and journal.flush():
                    keeping.discard(replaces)
            except NapariSamError as error:
                self._post(partial(self._failed, error))

        self._starting = _thread(work)

    def _end(self) -> None:
        journal, self._journal, self._early = self._journal, None, []
        starting = self._starting

        def work() -> None:
            # It may have something to write yet; the window does not wait for it.
            if starting is not None:
                starting.join()
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


def _path_of(image: Image) -> str | None:
    path = image.source.path
    return None if path is None else str(path)


def _text(image: Image, source: Source, fingerprint: str) -> saving.ImageText:
    return saving.ImageText(
        name=source.name,
        shape=source.shape,
        stack_axes=source.stack_axes,
        path=_path_of(image) or "",
        fingerprint=fingerprint,
    )


def _pixel_size(image: Image, source: Source) -> dict[str, tuple[float, str]]:
    """Return the sizes of the pixels, where the layer knows them."""
    sizes: dict[str, tuple[float, str]] = {}
    axes = source.stack_axes + "YX"
    scales: Any = zip(axes, image.scale, image.units, strict=False)
    for axis, scale, unit in scales:
        with suppress(Exception):  # pixels, or a unit of something else
            wanted = _UNITS.get(axis, "micrometer")
            sizes[axis] = (float((float(scale) * unit).to(wanted).magnitude), wanted)
    return sizes
