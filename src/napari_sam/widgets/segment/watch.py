"""What sections of the panel are told, without the bridge knowing them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_sam.live.labels.changes import Change


class Watcher:
    """Is told on the viewer's thread; a section overrides what it needs."""

    def work_changed(self) -> None:
        """Another image or another Labels layer is worked on, or none any more."""

    def labels_changed(self, change: Change) -> None:
        """Objects were edited, or an edit was undone or done again."""

    def slice_changed(self) -> None:
        """Another slice is on the screen."""
