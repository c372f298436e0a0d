"""The files of a download on the disk: a part of it, what is noted, and its end.

Nothing is ever half-written: files are written beside their place and renamed.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from napari_sam.types import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Progress = Callable[[int, int | None], None]

KEPT: Final = "what came is kept, the next try goes on from there"

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def part_of(path: Path) -> Path:
    """Return where what came of a file lies until it is whole and checked."""
    return path.with_name(f"{path.name}.part")


def version_of(path: Path) -> Path:
    """Return where is noted of which version of the file that is a part."""
    return path.with_name(f"{path.name}.part.json")


def settle(path: Path) -> None:
    """Give a complete part of a file its name, once its bytes are on the disk."""
    with disk_explained(path):
        with part_of(path).open("r+b") as file:
            os.fsync(file.fileno())
        os.replace(part_of(path), path)
        _sync_folder(path.parent)
        version_of(path).unlink(missing_ok=True)


def drop(path: Path) -> None:
    """Remove what came of a file."""
    part_of(path).unlink(missing_ok=True)
    version_of(path).unlink(missing_ok=True)


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a small file that is never half-written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(values, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def read_json(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote; nothing if it is missing or damaged."""
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


@contextlib.contextmanager
def disk_explained(path: Path) -> Iterator[None]:
    """Turn errors of the disk into one clear line."""
    try:
        yield
    except OSError as error:
        full = error.errno in _FULL
        why = "the disk is full" if full else error.strerror or str(error)
        do = f"free some space: {KEPT}" if full else "check the folder's permissions"
        raise ModelError(f"{path} cannot be written, {why}; {do}") from error


def _sync_folder(folder: Path) -> None:
    """Wait until the names of the files in a folder are on the disk."""
    if os.name == "nt":
        return  # Windows has no handle of a folder to flush
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
