"""Work that was not saved: found again by its image, restored or discarded.

Everybody who works on an image gets a session folder of his own below one that
is named by the image's fingerprint. Reading takes a while: not for the thread
that draws.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import platformdirs

from napari_sam.live.disk.kept.errors import JournalError
from napari_sam.live.disk.kept.folder import Folder
from napari_sam.live.disk.restoring import Restored, restore
from napari_sam.live.proofreading.progress_file import read_progress
from napari_sam.types import NapariSamError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam.live.source import Source

__all__ = [
    "HOME",
    "JournalError",
    "Left",
    "Restored",
    "discard",
    "find",
    "find_all",
    "fingerprint",
    "home",
    "new_folder",
    "restore",
    "tidy",
]

HOME: Final = "NAPARI_SAM_HOME"
"""The environment variable that says where we keep what must not be lost."""

_PLANES: Final = 4
_ROWS: Final = 16
_DAY: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Left:
    """Work on an image that lies nowhere else.

    Attributes
    ----------
    folder : Path
    when : datetime
        Of the last change, in local time.
    objects : int
    unsaved : int
        How many changes would be lost.
    shape : tuple of int
        Of the labels.
    about : dict
        What the journal was given.
    saved : str
        Where the work before these changes was saved; empty if nowhere.
    """

    folder: Path
    when: datetime
    objects: int
    unsaved: int
    shape: tuple[int, ...]
    about: Mapping[str, Any]
    saved: str = ""


def home(root: Path | None = None) -> Path:
    """Return the folder of all sessions.

    Parameters
    ----------
    root : Path, optional
        By default what `NAPARI_SAM_HOME` says, or the system's folder for a
        user's data.
    """
    if root is None:
        chosen = os.environ.get(HOME)
        root = (
            Path(chosen)
            if chosen
            else platformdirs.user_data_path("napari-sam", appauthor=False)
        )
    return root / "sessions"


def fingerprint(source: Source, path: str | None = None) -> str:
    """Return what tells an image from others, wherever its file lies.

    It is made of shape, type and some rows of up to 4 planes. Only where these
    rows are of one value throughout, the path counts too.

    Raises
    ------
    ImageError
        If the pixels cannot be read.
    """
    digest = hashlib.sha256()
    dtype = np.dtype(source.data.dtype)
    digest.update(f"{source.shape} {dtype.name} {source.rgb}".encode())
    blank = True
    planes = np.linspace(0, len(source) - 1, min(len(source), _PLANES))
    for flat in sorted({int(n) for n in planes.round()}):
        where = np.unravel_index(flat, source.stack_shape) if source.stack_shape else ()
        plane = source.read(tuple(int(i) for i in where))
        chosen = np.linspace(0, len(plane) - 1, min(len(plane), _ROWS)).round()
        rows = np.ascontiguousarray(plane[chosen.astype(int)])
        # The same on every machine, and whatever has read the file.
        rows = rows.astype(rows.dtype.newbyteorder("<"), copy=False)
        digest.update(rows.tobytes())
        blank = blank and bool((rows == rows.flat[0]).all())
    if blank and path:
        digest.update(path.encode())
    return digest.hexdigest()[:32]


def new_folder(root: Path | None, fingerprint: str) -> Path:
    """Return a place for a new session; the journal makes it."""
    began = time.strftime("%Y%m%d-%H%M%S")
    return home(root) / fingerprint / f"{began}-{uuid.uuid4().hex[:8]}"


def find(root: Path | None, fingerprint: str) -> Left | None:
    """Return the newest work on an image that was not saved, if there is any.

    What another window works on at the moment does not count, nor does what
    cannot be read.
    """
    return max(find_all(root, fingerprint), key=lambda left: left.when, default=None)


def find_all(root: Path | None, fingerprint: str) -> list[Left]:
    """Return all work on an image that was not saved."""
    found = (_left(folder) for folder in _folders(home(root) / fingerprint))
    return [left for left in found if left is not None]


def discard(folder: Path) -> None:
    """Throw away what a session has kept.

    Raises
    ------
    JournalError
        If somebody works on it, or it cannot be removed.
    """
    Folder(folder).remove()
    with contextlib.suppress(OSError):
        folder.parent.rmdir()  # where it was the image's last


def tidy(root: Path | None = None, older_than: float = _DAY) -> None:
    """Remove sessions that hold nothing which is not saved elsewhere.

    Parameters
    ----------
    root : Path, optional
    older_than : float
        In seconds; younger ones may be about to begin.
    """
    for image in _folders(home(root)):
        for folder in _folders(image):
            if time.time() - _age(folder) < older_than or not _is_over(folder):
                continue
            with contextlib.suppress(JournalError):
                discard(folder)
        with contextlib.suppress(OSError):
            image.rmdir()


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:
        return []


def _age(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return time.time()


def _is_over(folder: Path) -> bool:
    """Whether nobody needs a session; what cannot be understood is left alone."""
    try:
        state = Folder(folder).state()
    except JournalError:
        return False
    return state is None or (not state.unsaved and not state.torn)


def _said(folder: Path) -> bool:
    """Whether a person has said what is complete, though there are no objects."""
    try:
        progress = read_progress(folder)
    except NapariSamError:
        return False
    return progress is not None and progress.said


def _left(folder: Path) -> Left | None:
    kept = Folder(folder)
    try:
        if kept.in_use():
            return None
        about, state = kept.about(), kept.state()
    except JournalError:
        return None
    if about is None or state is None or not state.unsaved:
        return None
    if not state.records and not _said(folder):
        return None
    return Left(
        folder,
        datetime.fromtimestamp(state.time).astimezone(),
        len(state.records),
        state.unsaved,
        about.shape,
        about.about,
        state.saved,
    )
