"""What a session is doing, and who is told about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.segment.result import PlaneResult

Phase = Literal["idle", "preparing", "running", "stopped", "done", "failed"]


@dataclass(frozen=True, slots=True)
class State:
    """How far a run is.

    Attributes
    ----------
    phase : {"idle", "preparing", "running", "stopped", "done", "failed"}
        "preparing": models are loaded and the contrast is measured.
    done, total : int
        Planes.
    seconds_left : float or None
        None as long as nothing can be said.
    error : str
        One line for people, in the phase "failed".
    part : float
        Of the planes that are being worked on, where each takes long: 1 is a plane.
    """

    phase: Phase = "idle"
    done: int = 0
    total: int = 0
    seconds_left: float | None = None
    error: str = ""
    part: float = 0.0

    @property
    def share(self) -> float | None:
        """How much is done, from 0 to 1; None where nothing can be said."""
        known = self.phase == "running" and (self.total > 1 or self.part > 0)
        return (self.done + self.part) / self.total if known else None

    @property
    def busy(self) -> bool:
        """Whether there is something to cancel."""
        return self.phase in ("preparing", "running")


class Listener(Protocol):
    """Is told what happens, always on the thread that `post` leads to."""

    def state_changed(self, state: State) -> None:
        """Show how far the run is."""

    def plane_found(self, result: PlaneResult) -> None:
        """Show the objects of one more plane."""

    def settled(self, results: Sequence[PlaneResult]) -> None:
        """Show all planes so far anew: something else counts as an object now."""

    def classes_known(self, names: tuple[str, ...]) -> None:
        """Offer the classes of the detector that was chosen."""
