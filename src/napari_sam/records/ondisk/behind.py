"""Chunks in memory, in front of their files, which are written a little later."""

from __future__ import annotations

import atexit
import logging
import threading
import time
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam.models.runtime import stand_back

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.records.ondisk.chunks import ChunkFiles, Key, Pixels

# What one stroke changes again and again is written once.
_LATER: Final = 0.3
_AGAIN: Final = 5.0
_AT_EXIT: Final = 5.0
_log = logging.getLogger(__name__)


class Behind:
    """Reads and changes chunks in memory; a thread brings changes to the disk.

    Used from any thread. Nobody waits for something to be written: what has to leave
    the memory before that is compressed, and waits so. Where it cannot be written that
    is told once, what was changed stays, and it is tried again.

    Parameters
    ----------
    files : ChunkFiles
    budget : int
        So many bytes of chunks stay in memory as they are.

    Attributes
    ----------
    failed : callable
        Is called with one line for people when something cannot be read or written;
        on any thread.
    unreadable : dict of key to str
        What was told of chunks that cannot be read.
    """

    def __init__(self, files: ChunkFiles, budget: int) -> None:
        self.failed: Callable[[str], None] = _log.warning
        self._files, self._room = files, max(1, budget // files.nbytes)
        self._lock = threading.Condition(threading.RLock())
        self._raw: OrderedDict[Key, Pixels] = OrderedDict()
        # Those whose files are older, and which change was their last.
        self._changed: dict[Key, int] = {}
        self._packed: dict[Key, bytes | None] = {}  # of these, compressed
        self.unreadable: dict[Key, str] = {}
        self._count = self._failures = 0
        self._thread: threading.Thread | None = None
        self._hurry = self._told = self._stop = False
        _all.add(self)

    def get(self, key: Key) -> Pixels | None:
        """Return a chunk, to be read only; None where all of it is 0."""
        with self._lock:
            return self._get(key)

    def put(self, key: Key, part: tuple[slice, ...], values: Pixels) -> None:
        """Change a part of a chunk."""
        with self._lock:
            something = values.any()
            if something and values.shape == self._files.chunk:
                chunk = np.array(values, self._files.dtype)  # no matter what was there
            else:
                there = self._get(key)
                if there is None and not something:
                    return
                if there is None:
                    chunk = np.zeros(self._files.chunk, self._files.dtype)
                elif np.array_equal(there[part], values):
                    return
                else:
                    chunk = there
                chunk[part] = values
            self._keep(key, chunk)
            self._packed.pop(key, None)
            self._count += 1
            self._changed[key] = self._count
            self._trim()
            self._stop = False
            self._begin()

    @property
    def waiting(self) -> int:
        """How many chunks are not on the disk yet."""
        return len(self._changed)

    def flush(self, timeout: float = 60.0) -> bool:
        """Wait until everything is on the disk; False where it is not."""
        with self._lock:
            before = self._failures
            self._hurry = True
            self._begin()
            self._lock.notify_all()
            self._lock.wait_for(
                lambda: self._failures > before or not self._changed, timeout
            )
            self._hurry = False
            return not self._changed

    def close(self, timeout: float = 60.0) -> bool:
        """Write what is left, and end; False where something cannot be written."""
        done = self.flush(timeout)
        with self._lock:
            self._stop = True
            self._lock.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout)
        self._files.release()
        return done

    def _get(self, key: Key) -> Pixels | None:
        chunk = self._raw.get(key)
        if chunk is not None:
            self._raw.move_to_end(key)
            return chunk
        if key in self._packed:
            data = self._packed[key]
            chunk = None if data is None else self._files.decode(data)
        else:
            chunk = self._read(key)
        if chunk is not None:
            self._keep(key, chunk)
            self._trim()
        return chunk

    def _read(self, key: Key) -> Pixels | None:
        try:
            return self._files.read(key)
        except (OSError, ValueError) as error:
            if key not in self.unreadable:
                self.unreadable[key] = text = _unreadable(self._files, key, error)
                self.failed(text)
            return None

    def _keep(self, key: Key, chunk: Pixels) -> None:
        self._raw[key] = chunk
        self._raw.move_to_end(key)

    def _trim(self) -> None:
        while len(self._raw) > self._room:
            key = next(iter(self._raw))
            if key in self._changed and key not in self._packed:
                self._packed[key] = self._files.encode(self._raw[key])
            del self._raw[key]

    def _begin(self) -> None:
        if self._thread is None and self._changed:
            self._thread = threading.Thread(
                target=self._run,
                name="napari-sam labels",
                daemon=True,  # at exit it is waited for, but not for ever
            )
            self._thread.start()

    # What follows runs on the thread, which ends when there is nothing to do.

    def _run(self) -> None:
        stand_back()
        self._pause(_LATER)
        while (first := self._first()) is not None:
            key, version, what = first
            try:
                self._write(key, what)
            except Exception as error:  # whatever it is, what waits must not be lost
                self._tell(error)
                self._pause(_AGAIN)
                continue
            with self._lock:
                self._told = False
                again = self._changed.get(key) != version
                if not again:
                    del self._changed[key]
                    self._packed.pop(key, None)
                    self.unreadable.pop(key, None)
                self._lock.notify_all()
            if again:
                self._pause(_LATER)

    def _first(self) -> tuple[Key, int, Pixels | bytes | None] | None:
        """Return what has waited longest; None where the thread is to end."""
        with self._lock:
            if self._stop or not self._changed:
                self._thread = None
                self._lock.notify_all()
                return None
            key, version = next(iter(self._changed.items()))
            if key in self._packed:
                return key, version, self._packed[key]
            return key, version, self._raw[key].copy()

    def _write(self, key: Key, what: Pixels | bytes | None) -> None:
        self._files.create()
        if key in self.unreadable:
            self._files.set_aside(key)
        data = self._files.encode(what) if isinstance(what, np.ndarray) else what
        self._files.write(key, data)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        with self._lock:
            self._lock.wait_for(
                lambda: self._stop or self._hurry or time.monotonic() >= end, seconds
            )

    def _tell(self, error: Exception) -> None:
        with self._lock:
            known, self._told = self._told, True
            self._failures += 1
            self._hurry = False
            self._lock.notify_all()
        if not known:
            _log.debug("labels cannot be written", exc_info=error)
            self.failed(_unwritable(self._files, error))


_all: weakref.WeakSet[Behind] = weakref.WeakSet()


@atexit.register
def _finish() -> None:
    for one in list(_all):
        one.close(_AT_EXIT)


def _unreadable(files: ChunkFiles, key: Key, error: Exception) -> str:
    index = [i * n for i, n in zip(key[:-2], files.chunk[:-2], strict=True)]
    where = f"slice {', '.join(map(str, index))} of the labels" if index else "labels"
    return (
        f"a part of {where} cannot be read ({_why(error)}; {files.path}): it is shown "
        "as background, and its file is kept when you draw there"
    )


def _unwritable(files: ChunkFiles, error: Exception) -> str:
    return (
        f"the labels cannot be written to {files.path} ({_why(error)}): they stay in "
        "memory, and it is tried again; free some space there, or save them elsewhere"
    )


def _why(error: Exception) -> str:
    cause = error.__cause__ or error
    return getattr(cause, "strerror", None) or " ".join(str(error).split())
