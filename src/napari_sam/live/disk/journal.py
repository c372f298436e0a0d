"""The journal: every change is on the disk a moment after it was made."""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from napari_sam.live.disk.kept.entries import Entry
from napari_sam.live.disk.kept.errors import JournalError, reason
from napari_sam.live.disk.kept.folder import About, Folder
from napari_sam.live.disk.kept.logs import Logs
from napari_sam.live.disk.kept.snapshots import Base
from napari_sam.types import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

    from napari_sam.live.labels.changes import Change
    from napari_sam.live.labels.objects import Objects

    _Item = tuple[float, "Change | _Saved"]

__all__ = ["Journal", "JournalError"]

_COMPACT_ABOVE: Final = 64 * 2**20
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Saved:
    """Says that the changes so far lie elsewhere, but for the last `after`."""

    place: str
    after: int


class Journal:
    """Keeps the changes of one label array in a folder, on a thread of its own.

    Nothing is in the folder before the first change, and nothing is left where
    everything was saved.

    Parameters
    ----------
    folder : Path or None
        A new one (`keeping.new_folder`), or one that was restored: its session
        goes on. `start` gets one that is not known yet; changes can be handed in
        before.
    shape : tuple of int
    dtype : numpy dtype
        Of the labels.
    about : mapping
        Plain values that `keeping.find` gives back: the image's name, its path.
    failed : callable
        Called with one line for people when something cannot be kept, once until
        it can be again; on the journal's thread.
    compact_above : int
        Bytes of logs from which on they are put together.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        shape: Sequence[int],
        dtype: npt.DTypeLike,
        about: Mapping[str, Any],
        failed: Callable[[str], None] = _log.warning,
        compact_above: int = _COMPACT_ABOVE,
    ) -> None:
        self.folder = folder
        self.failed = failed
        self._about = About(
            shape=tuple(shape),
            dtype=np.dtype(dtype).str,
            about=json.loads(json.dumps(dict(about))),
        )
        self._compact_above = compact_above
        self._thread: threading.Thread | None = None
        # What follows is shared with the thread.
        self._changed = threading.Condition()
        self._queue: deque[_Item] = deque()
        self._count = 0  # handed in
        self._kept = 0  # on the disk
        self._saved = 0  # of `position`
        self._position = 0
        self._awake = self._busy = self._trouble = self._stop = False

    @property
    def position(self) -> int:
        """How many changes there were so far; for `saved`."""
        return self._position

    @property
    def unsaved(self) -> int:
        """How many changes lie nowhere else; restored work counts as one."""
        return self._position - self._saved

    def start(self, base: Objects | None = None, folder: Path | None = None) -> None:
        """Take the folder, so that nobody else writes there.

        Parameters
        ----------
        base : Objects, optional
            Objects that are there already: they are kept with the first change.
            Not needed for a session that was restored.
        folder : Path, optional
            Where it was not known before.

        Raises
        ------
        JournalError
            If somebody else has it, or it cannot be written.
        """
        if self._thread is not None:
            raise JournalError("this journal was started before")
        self.folder = folder = folder or self.folder
        if folder is None:
            raise JournalError("this journal has no folder")
        start = None
        if base is not None:
            self._about.next_id = base.next_id
            self._about.based = bool(base.records)
            if base.records:
                start = Base(base.labels, dict(base.records), base.next_id)
        ready: Future[None] = Future()
        self._stop = False
        thread = threading.Thread(
            target=self._run,
            args=(ready, Folder(folder), start),
            name="napari-sam journal",
            daemon=True,  # `close` at exit waits for it, but not forever
        )
        thread.start()
        ready.result()
        self._thread = thread
        atexit.register(self.close)

    def append(self, change: Change) -> None:
        """Keep a change; returns at once."""
        self._position += 1
        self._put(change)

    def undone(self, change: Change) -> None:
        """Keep that a change was taken back."""
        self.append(change.reverse())

    def redone(self, change: Change) -> None:
        """Keep that a change was made again."""
        self.append(change)

    def saved(self, place: Path, position: int | None = None) -> None:
        """Remember that everything up to a `position` also lies elsewhere."""
        self._saved = self._position if position is None else position
        if self._position:
            self._put(_Saved(str(place), self._position - self._saved))

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until everything is on the disk; False where it is not."""
        with self._changed:
            target = self._count
            if self._thread is None:
                return self._kept >= target
            self._awake = True
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: (
                    self._kept >= target
                    or (self._trouble and not self._awake and not self._busy)
                ),
                timeout,
            )
            return self._kept >= target

    def close(self, timeout: float = 5.0) -> bool:
        """Write what is left and give the folder back; True if all is kept."""
        thread, self._thread = self._thread, None
        if thread is not None:
            with self._changed:
                self._stop = self._awake = True
                self._changed.notify_all()
            thread.join(timeout)
            atexit.unregister(self.close)
        return self._kept >= self._count

    def _put(self, item: Change | _Saved) -> None:
        with self._changed:
            self._queue.append((time.time(), item))
            self._count += 1
            self._awake = True
            self._changed.notify_all()

    # What follows runs on the thread.

    def _run(self, ready: Future[None], folder: Folder, base: Base | None) -> None:
        try:
            with contextlib.ExitStack() as files:
                files.enter_context(folder.held())
                logs = Logs(folder, self._about, base, self._compact_above)
                files.callback(logs.close)
                self._position += logs.begun
                ready.set_result(None)
                self._work(logs)
            if self._is_empty(logs):
                folder.remove()
        except Exception as error:
            if not ready.done():
                ready.set_exception(error)
            else:
                self._tell(error)

    def _work(self, logs: Logs) -> None:
        job: Generator[None] | None = None
        while True:
            with self._changed:
                if job is None:
                    self._changed.wait_for(lambda: self._awake or self._stop)
                items, stop = tuple(self._queue), self._stop
                self._awake, self._busy = False, True
            written = self._write(logs, items)
            with self._changed:
                for _ in items if written else ():
                    self._queue.popleft()
                    self._kept += 1
                self._busy = False
                self._changed.notify_all()
            if stop and not (written and logs.begun and logs.must_finish):
                break
            if job is None and written and logs.begun:
                job = logs.work(time.time())
            job = self._step(logs, job)
        if job is not None:
            job.close()  # an unfinished snapshot is removed

    def _write(self, logs: Logs, items: Sequence[_Item]) -> bool:
        if not items:
            return not self._trouble
        entries = []
        for when, item in items:
            try:
                entries.append(_entry(logs, item, when))
            except Exception as error:  # the ones behind it must not wait for ever
                self._tell(error)
        try:
            logs.write(entries)
        except Exception as error:
            self._tell(error)
            return False
        self._trouble = False
        return True

    def _step(self, logs: Logs, job: Generator[None] | None) -> Generator[None] | None:
        if job is None:
            return None
        try:
            next(job)
        except StopIteration:
            return None
        except Exception as error:
            logs.give_up()
            self._tell(error)
            return None
        return job

    def _tell(self, error: Exception) -> None:
        if self._trouble:
            return
        self._trouble = True
        if isinstance(error, OutputError):
            why = reason(error)
        else:
            _log.error("the journal cannot be written", exc_info=error)
            why = " ".join(str(error).split())
        try:
            self.failed(
                f"what you draw cannot be kept at the moment ({why}): save your labels "
                "before you close the image"
            )
        except Exception:
            _log.exception("nobody could be told that the journal cannot be written")

    def _is_empty(self, logs: Logs) -> bool:
        return not self._queue and (not logs.begun or self.unsaved == 0)


def _entry(logs: Logs, item: Change | _Saved, when: float) -> Entry:
    if isinstance(item, _Saved):
        return Entry("saved", when, item.place, after=item.after)
    return logs.entry_of(item, when)
