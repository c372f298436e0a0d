"""The folder of one session: its files, and who writes them."""

from __future__ import annotations

import contextlib
import re
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from napari_sam.live.disk.kept.entries import Log
from napari_sam.live.disk.kept.errors import JournalError, readable, reason
from napari_sam.records.files import explained, locked, write_text
from napari_sam.types import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_sam.live.disk.kept.entries import Entry

_NUMBERED: Final = re.compile(r"(log|snapshot)-(\d{6})\.bin")


class InUseError(JournalError):
    """Another window or another program works on it."""


class About(BaseModel):
    """What a session works on.

    Attributes
    ----------
    shape : tuple of int
        Of the labels.
    dtype : str
    based : bool
        There were objects before the first change: snapshot 0 has them.
    about : dict
        Whatever the caller wants to know again: the image's name and path.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    shape: tuple[PositiveInt, ...]
    dtype: str
    based: bool = False
    next_id: PositiveInt = 1
    about: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class State:
    """What the files of a session hold, without the pixels.

    Attributes
    ----------
    records : dict
        The record of every object as JSON.
    next_id : int
    time : float
        Of the last change; 0 where there is none.
    unsaved : int
        How many changes are nowhere else.
    saved : str
        Where the ones before them lie; empty where nowhere.
    torn : int
        How many bytes could not be understood.
    complete : bool
        False where the objects that were there before the first change are not
        among the files.
    """

    records: dict[int, bytes]
    next_id: int = 1
    time: float = 0.0
    unsaved: int = 0
    saved: str = ""
    torn: int = 0
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Folder:
    """Where the files of a session lie."""

    path: Path

    @property
    def lock(self) -> Path:
        """Held by whoever writes."""
        return self.path / "lock"

    @property
    def about_file(self) -> Path:
        """What is worked on; without it there is no session."""
        return self.path / "session.json"

    def log(self, number: int) -> Path:
        """Return the log with this number."""
        return self.path / f"log-{number:06d}.bin"

    def snapshot(self, number: int) -> Path:
        """Return the snapshot that holds everything before the log `number`."""
        return self.path / f"snapshot-{number:06d}.bin"

    def numbers(self, kind: Literal["log", "snapshot"]) -> list[int]:
        """Return which logs or snapshots there are, oldest first."""
        if not self.path.is_dir():
            return []
        with readable(self.path):
            names = [_NUMBERED.fullmatch(path.name) for path in self.path.iterdir()]
        return sorted(int(n[2]) for n in names if n is not None and n[1] == kind)

    def logs(self, before: int | None = None) -> list[Log]:
        """Return what has to be read, in this order: a snapshot, newer logs.

        Parameters
        ----------
        before : int, optional
            Leave out this log and newer ones.
        """
        snapshots = [
            n for n in self.numbers("snapshot") if before is None or n < before
        ]
        first = max(snapshots, default=0)
        logs = [
            self.log(number)
            for number in self.numbers("log")
            if number >= first and (before is None or number < before)
        ]
        start = [self.snapshot(first)] if snapshots else []
        return [Log(path) for path in (*start, *logs)]

    def about(self) -> About | None:
        """Return what is worked on; None where nothing has been kept yet.

        Raises
        ------
        JournalError
            If it cannot be understood.
        """
        try:
            with readable(self.about_file):
                return About.model_validate_json(self.about_file.read_bytes())
        except JournalError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise
        except ValidationError:
            raise JournalError(
                f"{self.about_file} is damaged or of another version of this program: "
                "what is kept beside it cannot be restored"
            ) from None

    def write_about(self, about: About) -> None:
        """Say what is worked on."""
        write_text(self.about_file, about.model_dump_json(indent=1))

    def state(self) -> State | None:
        """Read through everything; None where nothing has been kept yet.

        Raises
        ------
        JournalError
            If it cannot be read.
        """
        about = self.about()
        if about is None:
            return None
        logs = self.logs()
        state = gather(logs, about.next_id)
        based = not about.based or any("snapshot" in log.path.name for log in logs)
        return replace(state, complete=based)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep everybody else from writing here.

        Raises
        ------
        InUseError, JournalError
            If somebody else does; if the folder cannot be written.
        """
        try:
            with explained(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
            with contextlib.ExitStack() as held:
                held.enter_context(locked(self.lock, self.path))
                yield
        except OutputError as error:
            if error.__cause__ is None:
                raise InUseError(
                    "this work is open in another window: go on there, or close it"
                ) from None
            raise JournalError(
                f"what you draw cannot be kept in {self.path} ({reason(error)}): save "
                "your labels yourself from time to time"
            ) from error

    def in_use(self) -> bool:
        """Whether somebody writes here at this moment."""
        try:
            with self.held():
                return False
        except InUseError:
            return True
        except JournalError:
            return False  # such a folder cannot be written by anybody

    def remove(self) -> None:
        """Remove the session with everything in it.

        Raises
        ------
        JournalError
            If it cannot be removed, or is in use.
        """
        if not self.path.exists():
            return
        with self.held():
            for file in self.path.iterdir():
                if file != self.lock:
                    with contextlib.suppress(OSError):
                        file.unlink()
        try:
            shutil.rmtree(self.path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise JournalError(
                f"{self.path} cannot be removed ({error.strerror or error}): remove "
                "this folder yourself"
            ) from error


def gather(logs: list[Log], next_id: int) -> State:
    """Read logs from the first to the last, without their pixels."""
    records: dict[int, bytes] = {}
    time, unsaved, saved, torn = 0.0, 0, "", 0
    for log in logs:
        for entry in log:
            next_id = max(next_id, entry.next_id)
            time = max(time, entry.time)
            _take(records, entry)
            if entry.kind == "saved":
                unsaved, saved = entry.after, entry.what
            else:
                unsaved += 1
        torn += log.torn
    return State(records, next_id, time, unsaved, saved, torn)


def _take(records: dict[int, bytes], entry: Entry) -> None:
    for number, text in entry.records.items():
        if text is None:
            records.pop(number, None)
        else:
            records[number] = text
