"""The file that a session's entries are appended to."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from napari_sam.live.disk.kept.entries import MAGIC
from napari_sam.records.files import atomic_file, explained

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path


class LogFile:
    """Appends to a file; what is appended is on the disk afterwards, or an error.

    Parameters
    ----------
    path : Path
        Made with the first bytes.

    Attributes
    ----------
    size : int
        How many bytes of it are good.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._file: FileIO | None = None

    def append(self, data: bytes) -> None:
        """Write behind what is there; after an error it can be tried again.

        Raises
        ------
        OutputError
            If it cannot be written. Nothing of it counts then.
        """
        with explained(self.path):
            try:
                self._append(data)
            except OSError:
                self.close()
                raise

    def close(self) -> None:
        """Give the file back; the next bytes open it again."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _append(self, data: bytes) -> None:
        if self.size and not self.path.exists():
            # On some systems one could go on writing to a file that was removed.
            self.size = 0
            raise FileNotFoundError(errno.ENOENT, "its folder was removed")
        file = self._file or self._opened()
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
        self.size += len(data)

    def _opened(self) -> FileIO:
        if self.size == 0:
            with atomic_file(self.path) as start:
                start.write(MAGIC)
            self.size = len(MAGIC)
        # Not buffered: what could not be written must not be written later.
        file = self.path.open("r+b", buffering=0)
        self._file = file
        # An earlier attempt may have left half of an entry.
        file.truncate(self.size)
        file.seek(self.size)
        return file
