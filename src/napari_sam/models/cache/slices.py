"""Encoded planes on the disk, so that they are not encoded a second time."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
from collections import deque
from concurrent.futures import Future
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs

from napari_sam.models.cache.entry import EntryError, read_entry, write_entry
from napari_sam.models.cache.files import Files
from napari_sam.models.runtime import stand_back
from napari_sam.types import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.models.cache.entry import Packed

LIMIT: Final = 10 * 2**30
"""Bytes that are kept unless somebody says otherwise."""

SHARE: Final = 0.1
"""Of what is free on the disk: no more is used unless somebody says otherwise."""

_HOME: Final = "NAPARI_SAM_CACHE"
_QUEUE: Final = 256 * 2**20  # bytes that wait to be written; more are not written
# Not every system knows quotas.
_FULL: Final = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
_log = logging.getLogger(__name__)


def default_folder() -> Path:
    """Return where prepared slices lie if nobody names a folder; it need not exist."""
    chosen = os.environ.get(_HOME)
    if chosen:
        return Path(chosen)
    return platformdirs.user_cache_path("napari-sam", appauthor=False) / "slices"


class EmbeddingCache:
    """Keeps what encoders make of planes, in a folder that processes may share.

    Hand it to `napari_sam.load_model`. Reading happens where it is asked for, writing
    on a thread, so nobody waits for it. What cannot be written, or is found to be
    damaged, is encoded again: the cache may be lost at any time, and gives a wrong
    answer never. Methods may be called from any thread.

    Parameters
    ----------
    folder : Path, optional
        By default what the environment variable NAPARI_SAM_CACHE says, or the user's
        folder for caches.
    limit : int
        Bytes. What was used longest ago is removed first.
    share : float
        No more than this part of what is free on the disk (counting what the cache
        takes as free) is used.
    least : float
        Seconds. What was encoded faster than this is not worth a file. (What is
        prepared on purpose is written all the same.)
    told : callable
        Gets one line, once, when nothing can be written; from any thread.

    Attributes
    ----------
    problem : str
        That line; empty while all is well.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        limit: int = LIMIT,
        share: float = SHARE,
        least: float = 0.0,
        told: Callable[[str], None] = _log.warning,
    ) -> None:
        self.limit, self.share, self.least = limit, share, least
        self.problem = ""
        self._told = told
        self._files = Files(default_folder() if folder is None else Path(folder))
        self._lock = threading.Lock()
        self._jobs: deque[tuple[Future[None], str, Packed, float]] = deque()
        self._waiting = 0  # bytes
        self._thread: threading.Thread | None = None  # while there is something to do

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self._files.folder

    @property
    def nbytes(self) -> int:
        """What they take; it may look at all of them."""
        return self._files.size

    @property
    def most(self) -> int:
        """Bytes that they may take now, by `limit` and `share`."""
        free = self._files.free()
        if free is None:
            return self.limit
        return min(self.limit, int(self.share * (free + self.nbytes)))

    def get(self, key: str) -> Packed | None:
        """Return an entry; None where there is none that is right.

        One that is damaged, or something else, is removed.
        """
        path = self._files.path(key)
        try:
            packed = read_entry(path, key)
        except EntryError as error:
            _log.info("%s is %s: it is made again", path, error)
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        except (FileNotFoundError, NotADirectoryError):
            return None  # what is in the way is told when something is written
        except OSError as error:
            self._tell(self._explained(error))
            return None
        with contextlib.suppress(OSError):  # it may be somebody else's to change
            os.utime(path)  # it was used
        return packed

    def takes(self, seconds: float) -> bool:
        """Whether what was encoded in so many seconds is to be put here."""
        return seconds >= self.least and not self.problem

    def put(self, key: str, packed: Packed) -> None:
        """Have an entry written soon, unless the disk cannot keep up.

        Parameters
        ----------
        key : str
        packed : Packed
            Must not change any more.
        """
        with self._lock:
            late = self._waiting > 0 and self._waiting + packed.nbytes > _QUEUE
        if not late:
            self.keep(key, packed).add_done_callback(self._wrote)

    def keep(self, key: str, packed: Packed, since: float = inf) -> Future[None]:
        """Have an entry written in any case.

        Parameters
        ----------
        key : str
        packed : Packed
            Must not change any more.
        since : float
            What was used after this time (seconds since 1970) must not go for it.

        Returns
        -------
        Future
            Ends when it is written, or with the error.

        Raises
        ------
        OutputError
            (By the future.) If there is no room, or the folder cannot be written to.
        """
        future: Future[None] = Future()
        with self._lock:
            self._waiting += packed.nbytes
            self._jobs.append((future, key, packed, since))
            if self._thread is None:
                name = "napari-sam slices: write"
                # The end of the program waits for it.
                self._thread = threading.Thread(target=self._run, name=name)
                self._thread.start()
        return future

    def empty(self) -> None:
        """Remove everything that is kept; after trouble, writing is tried again.

        Raises
        ------
        OutputError
            If something cannot be removed.
        """
        try:
            self._files.empty()
        except OSError as error:
            raise OutputError(
                f"{self.folder}: prepared slices cannot be removed ({error.strerror}); "
                "check the folder's permissions"
            ) from error
        self.problem = ""

    def close(self) -> None:
        """Wait until everything is written; it can be used again.

        Without it, the end of the program waits.
        """
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        """Write all there is; on a thread of its own."""
        stand_back()
        while True:
            with self._lock:
                if not self._jobs:
                    self._thread = None
                    return
                future, key, packed, since = self._jobs.popleft()
            try:
                self._write(key, packed, since)
            except Exception as error:
                future.set_exception(error)
            else:
                future.set_result(None)
            with self._lock:
                self._waiting -= packed.nbytes

    def _wrote(self, future: Future[None]) -> None:
        error = future.exception()
        if error is not None:
            self._tell(str(error))

    def _write(self, key: str, packed: Packed, since: float) -> None:
        path, part = self._files.path(key), self._files.part(key)
        try:
            if packed.nbytes > self.most:
                raise OutputError(self._no_room())
            part.parent.mkdir(parents=True, exist_ok=True)
            try:
                write_entry(part, key, packed)
                size = part.stat().st_size
                if not self._files.make_room(size, self.most, since):
                    raise OutputError(self._no_room())
                os.replace(part, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    part.unlink()
                raise
            self._files.grew(size)
        except OutputError:
            raise
        except FileNotFoundError:
            _log.info("%s was removed while it was written", part)
        except Exception as error:  # the disk's, or what zip makes of them
            if isinstance(error, PermissionError) and path.is_file():
                return  # Windows, while another process reads the same entry
            raise OutputError(self._explained(error)) from error

    def _tell(self, problem: str) -> None:
        with self._lock:
            first, self.problem = not self.problem, problem
        if first:
            self._told(f"{problem}. Work goes on without")

    def _explained(self, error: Exception) -> str:
        code = error.errno if isinstance(error, OSError) else None
        why = str(error) if code is None else os.strerror(code)
        full = code in _FULL
        why = "the disk is full" if full else why
        do = "free some space" if full else "check the folder's permissions"
        return f"{self.folder}: prepared slices cannot be kept there ({why}); {do}"

    def _no_room(self) -> str:
        most = self.most
        within = f"within {most / 2**30:.3g} GB"
        if most == self.limit:
            do = "raise the limit, or remove old ones"
        else:
            within += ", which is what the disk has left for them"
            do = "free some space"
        return f"{self.folder}: no more prepared slices fit {within}; {do}"
