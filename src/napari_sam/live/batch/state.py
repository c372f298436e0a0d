"""What the dock "Batch" has going on, and who is told about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image

    from napari_sam.live.batch.layers import OpenImage
    from napari_sam.live.batch.opened import Opened
    from napari_sam.records.settings import Settings
    from napari_sam.records.status import Item, Status
    from napari_sam.records.trial import Tried

Phase = Literal["idle", "starting", "running", "stopping", "trying", "reporting"]
Ended = Literal["", "done", "paused", "failed"]


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """What is to be done.

    Attributes
    ----------
    places : tuple of str
        Files, folders, patterns; none where it is layers.
    layers : tuple of OpenImage
    """

    places: tuple[str, ...] = ()
    layers: tuple[OpenImage, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """What is in a folder of results.

    Attributes
    ----------
    status : Status, optional
        None where no run has written there.
    items : tuple of Item
        Of all runs into it.
    settings : Settings, optional
        Those that it was made with.
    """

    status: Status | None = None
    items: tuple[Item, ...] = ()
    settings: Settings | None = None

    @property
    def running(self) -> bool:
        """Whether a process is writing there."""
        return self.status is not None and self.status.running


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What is going on, and how far it is.

    Attributes
    ----------
    phase : str
        "starting": the process loads models. "stopping": it ends in order.
    output : Path, optional
        The folder whose results are watched.
    found : tuple of Item, optional
        The images that were named; None as long as they are looked for.
    results : Results
    error : str
        Why the last thing failed.
    ended : {"", "done", "paused", "failed"}
        How the last run ended that was started here.
    items : tuple of Item
        All images: those of the results, then those that are named and not there.
    """

    phase: Phase = "idle"
    output: Path | None = None
    found: tuple[Item, ...] | None = ()
    results: Results = Results()
    error: str = ""
    ended: Ended = ""
    items: tuple[Item, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Put the images together, once: there may be thousands."""
        known = {item.name for item in self.results.items}
        new = [item for item in self.found or () if item.name not in known]
        items = (*self.results.items, *new) if new else self.results.items
        object.__setattr__(self, "items", items)

    @property
    def busy(self) -> bool:
        """Whether a process of ours runs."""
        return self.phase != "idle"

    @property
    def elsewhere(self) -> bool:
        """Whether another program is writing into the folder."""
        return not self.busy and self.results.running


class Listener(Protocol):
    """Is told what happens, on the thread that `post` leads to."""

    def state_changed(self, state: State) -> None:
        """Show what is going on."""

    def slice_tried(self, one: Tried, picture: Image) -> None:
        """Show one more slice that was tried."""

    def reported(self, page: Path) -> None:
        """Show a report."""

    def opened(self, opened: Opened) -> None:
        """Show an image and its labels."""

    def settings_read(self, settings: Settings) -> None:
        """Show saved settings."""
