"""What is complete, kept beside the journal: a small file, never half-written."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Final

from napari_sam.live.proofreading.progress_text import (
    progress_from_json,
    progress_to_json,
)
from napari_sam.live.threads import say
from napari_sam.records.files import write_text
from napari_sam.types import NapariSamError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_sam.live.proofreading.progress import Progress

FILE: Final = "progress.json"


def read_progress(folder: Path) -> Progress | None:
    """Read what was kept in a session's folder; None where nothing was.

    Raises
    ------
    NapariSamError
        If it cannot be read.
    """
    path = folder / FILE
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())
        raise NapariSamError(
            f"{path} cannot be read ({why}): say again which slices are complete"
        ) from error
    return progress_from_json(value)


class ProgressFile:
    """Writes what is complete into a session's folder, always the newest.

    Parameters
    ----------
    folder : Path
        Is made if need be.
    failed : callable
        Is called with one line where it cannot be written, on the thread that writes.
    """

    def __init__(self, folder: Path, failed: Callable[[str], None]) -> None:
        self._path, self._failed = folder / FILE, failed
        self._lock = threading.Lock()
        self._next: Progress | None = None
        self._thread: threading.Thread | None = None

    def put(self, progress: Progress) -> None:
        """Write this soon; returns at once."""
        with self._lock:
            self._next = progress
            if self._thread is None:
                # No daemon: it is short, and has to be finished whatever is closed.
                self._thread = threading.Thread(
                    target=self._work, name="napari-sam progress"
                )
                self._thread.start()

    def wait(self) -> None:
        """Wait until everything is written; not on the thread that draws."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        while True:
            with self._lock:
                progress, self._next = self._next, None
                if progress is None:
                    self._thread = None
                    return
            try:
                write_text(self._path, json.dumps(progress_to_json(progress)))
            except Exception as error:
                self._failed(
                    f"which slices are complete cannot be kept at the moment "
                    f"({say(error)})"
                )
