"""Files that are either there as a whole or not at all, and who may write them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from filelock import FileLock, Timeout

from napari_sam.types import NapariSamError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# No room left, over quota, or a file larger than the disk or the shell allows.
_FULL: Final = {
    code
    for code in (
        errno.ENOSPC,
        errno.EFBIG,
        getattr(errno, "EDQUOT", None),  # not on Windows
    )
    if code is not None
}
_PART: Final = ".part"


class DiskFullError(OutputError):
    """There is no room for a result; what was finished before is kept."""


@contextlib.contextmanager
def atomic_file(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Open a file for writing that appears under its name only when complete.

    It is written beside its place, flushed to the disk and renamed. Folders
    are made as needed. With any exception nothing is left behind and an older
    file of this name stays as it was.

    Parameters
    ----------
    path : Path
    durable : bool
        Also wait until the rename itself is on the disk. Plane files, which
        can be computed again, do without, and so does what another file of its
        folder is written behind, which says that it is there.

    Raises
    ------
    DiskFullError, OutputError
        If it cannot be written.
    """
    # Names may be 255 bytes long, and the addition must fit too.
    part = path.with_name(f".{path.name[:60]}{_PART}")
    try:
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            if durable:
                sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Fill a folder that appears under its name only when complete.

    An older folder of this name stays as it was until then, and whole if anything goes
    wrong. Between the two there is a moment without either; the old one is then beside
    its place, under a name that ends in `.old`.

    Raises
    ------
    DiskFullError, OutputError
        If it cannot be written.
    """
    part = path.with_name(f".{path.name[:60]}{_PART}")
    old = path.with_name(f".{path.name[:60]}.old")
    try:
        with explained(path):
            _remove_tree(part)
            part.mkdir(parents=True)
            yield part
            if path.exists():
                _remove_tree(old)
                path.rename(old)
            part.rename(path)
            _remove_tree(old)
            sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            _remove_tree(part)
        raise


def _remove_tree(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Write a text file in UTF-8, with the same line ends on every system."""
    with atomic_file(path, durable=durable) as file:
        file.write(text.encode())


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the system's errors while writing `path` into one clear line."""
    try:
        yield
    except OSError as error:
        raise _explain(error, path) from error


def _explain(error: OSError, path: Path) -> NapariSamError:
    why = error.strerror or str(error)
    if error.errno in _FULL:
        return DiskFullError(
            f"{path} cannot be written, the disk is full ({why}): free some space "
            "and run the same command again, what is finished is kept"
        )
    return OutputError(
        f"{path} cannot be written ({why}): check its folder and permissions, or "
        "choose another folder with --output"
    )


def sync_folder(folder: Path) -> None:
    """Wait until the names of the files in a folder are on the disk."""
    if os.name == "nt":
        return  # Windows has no handle of a folder to flush
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems cannot; the file itself is on the disk.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EIO):
            raise
    finally:
        os.close(handle)


def remove_parts(folder: Path, of: str = "*") -> None:
    """Remove what a killed process left half-written of files with such names."""
    for part in list(folder.rglob(f".{of}{_PART}")):
        with contextlib.suppress(OSError):
            if part.is_dir():
                shutil.rmtree(part)
            else:
                part.unlink()


@contextlib.contextmanager
def locked(
    lock: Path, what: Path, *, waiting: Callable[[], None] | None = None
) -> Iterator[None]:
    """Keep every other process from writing to `what`, for as long as we live.

    The lock is the operating system's: it ends with the process, however that
    ends, so that none is ever left behind.

    Parameters
    ----------
    lock, what : Path
    waiting : callable, optional
        Wait until another process has ended, and call this about once a second
        meanwhile; it may raise.

    Raises
    ------
    OutputError
        If another process has it, unless that is waited for.
    """
    guard = FileLock(lock)
    with explained(what):
        lock.parent.mkdir(parents=True, exist_ok=True)
        while not guard.is_locked:
            try:
                # Not at once: `is_locked` holds it for a moment.
                guard.acquire(timeout=0.5 if waiting is None else 1, poll_interval=0.1)
            except Timeout:  # which is an OSError too
                if waiting is None:
                    raise OutputError(
                        f"{what} is being written by another napari-sam: wait until it "
                        "has ended, or choose another folder with --output"
                    ) from None
                waiting()
    try:
        yield
    finally:
        guard.release()


def is_locked(lock: Path) -> bool:
    """Whether a living process holds a lock."""
    if not lock.exists():
        return False
    guard = FileLock(lock)
    try:
        guard.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return False  # a folder that cannot be written, where nobody runs
    guard.release()
    return False


def prepare_folder(folder: Path) -> None:
    """Make a folder and find out whether files can be written into it."""
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe{_PART}"
        probe.write_bytes(b"")
        probe.unlink(missing_ok=True)  # another process may probe, too


def fingerprint(path: Path) -> str:
    """Return what changes when the data at `path` changes: sizes and times.

    For a folder (Zarr) this covers all files in it.
    """
    if path.is_dir():
        digest = hashlib.sha256()
        for folder, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                file = Path(folder, name)
                place = file.relative_to(path).as_posix()
                digest.update(f"{place} {_size_and_time(file)}\n".encode())
        return digest.hexdigest()
    return _size_and_time(path)


def _size_and_time(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}"
