"""Runs that share one output folder: each does its part of the inputs.

A whole run holds the lock of the folder until it ends. A part holds a lock of its own,
and that of the folder only to begin and to put together what covers all inputs.
"""

from __future__ import annotations

import re
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from napari_sam.records.files import locked
from napari_sam.types import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from napari_sam.images import InputFile
    from napari_sam.records.work import Workspace

# Putting together the tables of some 10,000 inputs takes less.
_PATIENCE: Final = 600.0


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of how many, from 1."""

    number: int
    count: int

    @classmethod
    def of(cls, text: str) -> Part:
        """Return what "3/10" says.

        Raises
        ------
        OutputError
            If it says something else.
        """
        found = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
        if found and 1 <= int(found[1]) <= int(found[2]):
            return cls(int(found[1]), int(found[2]))
        raise OutputError(
            f"--part is which of how many, from 1: 3/10 for the third of ten, not "
            f"{text!r}"
        )

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def share(self, items: Sequence[InputFile]) -> list[InputFile]:
        """Return every `count`-th input; all parts together have each of them once."""
        ordered = sorted(items, key=lambda item: (str(item.relative), str(item.path)))
        return ordered[self.number - 1 :: self.count]


@contextmanager
def writing(space: Workspace, part: Part | None) -> Iterator[None]:
    """Keep everybody out who must not write while a run, or a part of one, does.

    A part still has to take its turn to write what belongs to all (`own_turn`).

    Raises
    ------
    OutputError
        If another process does.
    """
    with ExitStack() as held:
        if part is None:
            held.enter_context(locked(space.lock, space.output))
            for lock in space.part_locks():
                with locked(lock, space.output):
                    pass  # nobody has it, and nobody can get it now
        else:
            lock = space.part_lock(part.number, part.count)
            with own_turn(space, part):
                held.enter_context(locked(lock, space.output))
        yield


@contextmanager
def own_turn(space: Workspace, part: Part | None) -> Iterator[None]:
    """Write what belongs to all inputs, one part at a time; a whole run always can."""
    if part is None:
        yield
        return
    with locked(space.lock, space.output, waiting=_patience(space.output)):
        yield


def _patience(output: Path) -> Callable[[], None]:
    end = time.monotonic() + _PATIENCE

    def wait() -> None:
        if time.monotonic() > end:
            raise OutputError(
                f"{output} is being written by a napari-sam without --part: wait until "
                "it has ended, or choose another folder with --output"
            )

    return wait
