"""What is done on one image is written down as it is done."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from napari_sam.live.disk import keeping
from napari_sam.live.disk.journal import Journal
from napari_sam.live.proofreading.progress_file import ProgressFile
from napari_sam.live.threads import say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_sam.live.disk.keeping import Left
    from napari_sam.live.labels.objects import Objects
    from napari_sam.live.proofreading.progress import Progress
    from napari_sam.live.source import Source


class Look:
    """Tells an image from others; it is looked at once, on any thread.

    Parameters
    ----------
    source : Source
    path : str or None
        The file that it was read from.
    """

    def __init__(self, source: Source, path: str | None) -> None:
        self._source, self._path = source, path
        self._lock = threading.Lock()
        self._found = ""

    def fingerprint(self) -> str:
        """Return it; takes a while the first time."""
        with self._lock:
            if not self._found:
                self._found = keeping.fingerprint(self._source, self._path)
            return self._found

    def left(self) -> list[Left]:
        """Return earlier work on the image that was not saved."""
        return keeping.find_all(None, self.fingerprint())

    def new_folder(self) -> Path:
        """Return a place for a new session."""
        return keeping.new_folder(None, self.fingerprint())


class Writing:
    """Writes a journal, and what is complete beside it, into one folder.

    What is handed in before the folder is known is written when it is, though
    nothing else is left of the widget by then.

    Parameters
    ----------
    shape : tuple of int
    dtype : numpy dtype
        Of the labels.
    name : str
        Of the image.
    on_disk : bool
        The labels are on the disk: so they will be when they are restored.
    failed : callable
        Is called with one line when something cannot be kept, on any thread.

    Attributes
    ----------
    folder : Path or None
        None until it is known.
    """

    def __init__(
        self,
        *,
        shape: Sequence[int],
        dtype: npt.DTypeLike,
        name: str,
        on_disk: bool,
        failed: Callable[[str], None],
    ) -> None:
        self.folder: Path | None = None
        self.journal = Journal(
            None,
            shape=shape,
            dtype=dtype,
            about={"name": name, "on_disk": on_disk},
            failed=failed,
        )
        self._failed = failed
        self._starting: threading.Thread | None = None
        self._lock = threading.Lock()  # for what is complete
        self._progress: Progress | None = None
        self._beside: ProgressFile | None = None

    def start(
        self,
        place: Callable[[], Path],
        base: Objects | None,
        replaces: Path | None = None,
        began: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin, on a thread of its own.

        Parameters
        ----------
        place : callable
            Returns the folder; may take a while.
        base : Objects, optional
            Objects that were there before.
        replaces : Path, optional
            An older folder, all of which is in this one.
        began : callable
            Is called when there is a folder, on that thread.
        """

        def work() -> None:
            try:
                folder = self.folder = place()
                self._put_beside(ProgressFile(folder, self._failed))
                began()
                self.journal.start(base, folder)
                self._wait_beside()
                # It has all that the older one has.
                if replaces is not None and self.journal.flush():
                    keeping.discard(replaces)
            except Exception as error:
                self._failed(say(error))

        self._starting = _finish(work)

    def put(self, progress: Progress) -> None:
        """Keep what is complete; returns at once."""
        with self._lock:
            self._progress = progress
            if self._beside is not None:
                self._beside.put(progress)

    def end(self) -> None:
        """Write what is left, and give the folder back; returns at once."""
        starting = self._starting

        def work() -> None:
            if starting is not None:
                starting.join()
            self._wait_beside()  # the journal may remove its folder
            self.journal.close()

        _finish(work)

    def _put_beside(self, beside: ProgressFile) -> None:
        with self._lock:
            self._beside = beside
            if self._progress is not None:
                beside.put(self._progress)

    def _wait_beside(self) -> None:
        if self._beside is not None:
            self._beside.wait()


def _finish(work: Callable[[], None]) -> threading.Thread | None:
    """Run something that has to be finished whatever is closed meanwhile."""
    if not threading.main_thread().is_alive():
        work()  # Python ends, and waits for no more threads
        return None
    thread = threading.Thread(target=work, name="napari-sam keep")
    thread.start()
    return thread
