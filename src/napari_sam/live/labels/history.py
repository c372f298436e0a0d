"""One timeline of everything that can be taken back: prompts and labels."""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

BUDGET: Final = 256 * 2**20


class Step(Protocol):
    """Something that a person did, which knows how to take itself back."""

    @property
    def what(self) -> str:
        """What it was, for the undo button."""

    @property
    def nbytes(self) -> int:
        """About how much memory it keeps; always the same."""

    def undo(self) -> None:
        """Take it back."""

    def redo(self) -> None:
        """Do it again."""


class History:
    """Steps that were done, and those that were taken back again.

    Parameters
    ----------
    budget_bytes : int
        The oldest steps are forgotten when all together keep more than this. The
        newest one is always kept, however large it is.
    """

    def __init__(self, budget_bytes: int = BUDGET) -> None:
        self._budget = budget_bytes
        self._done: deque[Step] = deque()
        self._undone: deque[Step] = deque()
        self._nbytes = 0  # of both together

    def __len__(self) -> int:
        return len(self._done)

    def push(self, step: Step) -> None:
        """Remember what has just been done; what was taken back is forgotten."""
        self._nbytes += step.nbytes - sum(undone.nbytes for undone in self._undone)
        self._undone.clear()
        self._done.append(step)
        while self._nbytes > self._budget and len(self._done) > 1:
            self._nbytes -= self._done.popleft().nbytes

    def replace(self, step: Step) -> None:
        """Let the newest step be another one, which does what it did and more."""
        self._nbytes -= self._done.pop().nbytes
        self.push(step)

    @property
    def newest(self) -> Step | None:
        """What would be taken back next."""
        return self._done[-1] if self._done else None

    def undo(self) -> Step | None:
        """Take the newest step back: calls its `undo`, and returns it.

        A step that raises stays where it was.
        """
        if not self._done:
            return None
        step = self._done[-1]
        step.undo()
        _move(step, self._done, self._undone)
        return step

    def redo(self) -> Step | None:
        """Do again what was taken back last: calls its `redo`, and returns it."""
        if not self._undone:
            return None
        step = self._undone[-1]
        step.redo()
        _move(step, self._undone, self._done)
        return step

    def clear(self) -> None:
        """Forget everything."""
        self._done.clear()
        self._undone.clear()
        self._nbytes = 0

    @property
    def nbytes(self) -> int:
        """About how much memory all steps keep."""
        return self._nbytes

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to do again."""
        return bool(self._undone)

    @property
    def undo_text(self) -> str:
        """What `undo` would take back; empty where nothing."""
        return self._done[-1].what if self._done else ""

    @property
    def redo_text(self) -> str:
        """What `redo` would do again; empty where nothing."""
        return self._undone[-1].what if self._undone else ""


def _move(step: Step, source: deque[Step], target: deque[Step]) -> None:
    # A step may have cleared the timeline, for example since its layer is gone.
    if source and source[-1] is step:
        target.append(source.pop())
