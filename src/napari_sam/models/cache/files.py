"""The folder of the cache: where entries lie, and which of them have to go."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import threading
import time
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ENDING: Final = ".zarr.zip"
_PART: Final = ".part"
_DEAD: Final = 600.0  # seconds; nobody writes for so long at one file
_AGAIN: Final = 60.0  # seconds after which others may have changed much
_SPARE: Final = 0.9  # of the limit that is left when something has to go


@dataclass(frozen=True, slots=True)
class _File:
    used: float
    size: int
    path: Path


class Files:
    """Entries in a folder; other processes may use the same one.

    Nobody waits for anybody: an entry is a file that appears whole and never changes,
    and a file that another process has just removed is one that is not there.

    Parameters
    ----------
    folder : Path
        Need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._size = 0
        self._looked = -inf

    def path(self, key: str) -> Path:
        """Return where an entry lies, or would."""
        return self.folder / key[:2] / f"{key}{_ENDING}"

    def part(self, key: str) -> Path:
        """Return a new name, beside its place, for an entry that is being written."""
        name = f"{key}.{os.getpid()}-{secrets.token_hex(4)}{_PART}"
        return self.path(key).with_name(name)

    @property
    def size(self) -> int:
        """Bytes that all entries take; what others wrote last may be missing."""
        with self._lock:
            if time.monotonic() - self._looked < _AGAIN:
                return self._size
        return self.look()

    def look(self) -> int:
        """Add up all entries, and remove what dead processes left behind."""
        files = self._scan()
        with self._lock:
            self._size = sum(file.size for file in files)
            self._looked = time.monotonic()
            return self._size

    def grew(self, size: int) -> None:
        """Note that so many bytes more are there."""
        with self._lock:
            self._size += size

    def make_room(self, size: int, limit: int, since: float) -> bool:
        """Remove what was used longest ago; whether there is room for `size` bytes.

        Parameters
        ----------
        size, limit : int
            Bytes.
        since : float
            What was used after this time (seconds since 1970) stays.
        """
        if size > limit:
            return False
        if self.size + size <= limit:
            return True
        files = self._scan()
        left = sum(file.size for file in files)
        # A little more than needed, so that not every entry needs a look at all.
        wanted = min(int(_SPARE * limit), limit - size)
        for file in sorted(files, key=lambda file: file.used):
            if left <= wanted or file.used >= since:
                break
            left -= file.size if _removed(file.path) else 0
        self.look()  # others write, too
        return left + size <= limit

    def free(self) -> int | None:
        """Return the bytes that are free on the disk; None where nobody can tell."""
        try:
            where = (self.folder, *self.folder.parents)
            there = [one for one in where if one.is_dir()]
            return shutil.disk_usage(there[0]).free if there else None
        except OSError:
            return None

    def empty(self) -> None:
        """Remove all entries, and nothing else.

        Raises
        ------
        OSError
            If one cannot be removed.
        """
        for path in list(self._named(_ENDING)):
            path.unlink(missing_ok=True)
        self.look()

    def _scan(self) -> list[_File]:
        now = time.time()
        for path in self._named(_PART):
            with contextlib.suppress(OSError):
                if now - path.stat().st_mtime > _DEAD:
                    path.unlink()
        files = []
        for path in self._named(_ENDING):
            with contextlib.suppress(OSError):
                status = path.stat()
                files.append(_File(status.st_mtime, status.st_size, path))
        return files

    def _named(self, ending: str) -> Iterator[Path]:
        with contextlib.suppress(OSError):  # a folder went while it was looked into
            yield from self.folder.glob(f"??/*{ending}")


def _removed(path: Path) -> bool:
    """Remove a file, and return whether it is gone."""
    try:
        path.unlink(missing_ok=True)
    except OSError:  # on Windows, while another process reads it
        return False
    return True
