"""What a session is doing, and who is told about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection

    from napari_sam.live.labels.changes import Change
    from napari_sam.live.values import Index, Key

Phase: TypeAlias = Literal[
    "no image", "loading", "preparing", "ready", "answering", "failed"
]


@dataclass(frozen=True, slots=True)
class Status:
    """What runs.

    Attributes
    ----------
    phase : {"no image", "loading", "preparing", "ready", "answering", "failed"}
        "preparing": the slice on screen, or one that a question waits for.
    model : str
        Its name, or the path of its file.
    device : str
        Where it runs, for example "cpu"; empty until it is loaded.
    seconds : float
        For how long this phase lasts already.
    error : str
        One line for people, in the phase "failed".
    refused : str
        One line for people: why something was not done just now.
    """

    phase: Phase = "no image"
    model: str = ""
    device: str = ""
    seconds: float = 0.0
    error: str = ""
    refused: str = ""

    @property
    def busy(self) -> bool:
        """Whether there is something to cancel."""
        return self.phase in ("loading", "preparing", "answering")


class Listener(Protocol):
    """Is told what happens, always on the thread that `post` leads to."""

    def suggestions_changed(self, indices: Collection[Index]) -> None:
        """Draw the suggestions on these planes anew."""

    def marks_changed(self, keys: Collection[Key]) -> None:
        """Show the marks of these suggestions as the session knows them now.

        It has changed them itself; those that are gone have none.
        """

    def labels_changed(self, change: Change) -> None:
        """Show what was edited, or the reverse of what was undone, all as one."""

    def status_changed(self, status: Status) -> None:
        """Show what runs."""
