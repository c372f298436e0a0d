"""What the bridge tells whoever shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from napari_sam.live.disk.keeping import Left
    from napari_sam.live.prompting.session import Status


class Told(Protocol):
    """Is told what the panel shows."""

    def status_changed(self, status: Status) -> None:
        """Say what runs."""

    def suggestion_changed(self) -> None:
        """Say what is suggested."""

    def objects_changed(self) -> None:
        """Say how many objects there are, and what can be taken back."""

    def layers_changed(self) -> None:
        """Say which layer the objects are in."""

    def tool_changed(self) -> None:
        """Say what the mouse does."""

    def noticed(self, text: str) -> None:
        """Say something that is no error of the program."""

    def left_found(self, left: Left) -> None:
        """Offer objects that were not saved."""
