"""What goes wrong with kept work, in one line that says what to do."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from napari_sam.records.files import DiskFullError
from napari_sam.types import NapariSamError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class JournalError(NapariSamError):
    """Unsaved work cannot be kept, found or restored."""


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn the system's errors while reading `path` into one clear line."""
    try:
        yield
    except OSError as error:
        raise JournalError(
            f"{path} cannot be read ({error.strerror or error}): check that its disk "
            "is connected and that you may read it"
        ) from error


def reason(error: OutputError) -> str:
    """Return why something could not be written, without advice for commands."""
    if isinstance(error, DiskFullError):
        return "the disk is full"
    cause = error.__cause__
    if isinstance(cause, OSError):
        return (cause.strerror or str(cause)).lower()
    return str(error)
