"""Asks where the objects are saved, and says that they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QEventLoop
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_sam.live.disk.saving import SaveError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.live.disk.saving import Saved
    from napari_sam.widgets.segment.bridge import Bridge


class Saving:
    """Saves the objects of the image that is being labelled.

    Parameters
    ----------
    parent : QWidget
        Where dialogs belong to.
    bridge : Bridge
    notice : callable
        Is called with one line about how it went.
    """

    def __init__(
        self, parent: QWidget, bridge: Bridge, notice: Callable[[str], None]
    ) -> None:
        self._parent, self._bridge, self._notice = parent, bridge, notice

    def save(self) -> None:
        """Ask for a folder and save there."""
        self._save(lambda done: None)

    def save_and_wait(self) -> bool:
        """Save, and return whether it was done when that is known."""
        loop, outcome = QEventLoop(), []

        def ended(done: bool) -> None:
            outcome.append(done)
            loop.quit()

        self._save(ended)
        if not outcome:
            loop.exec()
        return outcome[0]

    def _save(self, ended: Callable[[bool], None]) -> None:
        desk, keeper = self._bridge.desk, self._bridge.keeper
        folder = self._folder()
        if desk is None or folder is None:
            ended(False)
            return
        try:
            overwrite = keeper.would_replace(folder, desk.image)
        except SaveError as error:
            self._notice(f"⚠ {error}")
            ended(False)
            return
        if overwrite and not self._may_replace(folder):
            ended(False)
            return

        def saved(what: Saved) -> None:
            count = f"{what.objects:,} object{'s' * (what.objects != 1)}"
            self._notice(f"{count} saved in {what.folder}.")
            ended(True)

        keeper.save(
            folder,
            desk.image,
            overwrite=overwrite,
            done=saved,
            failed=lambda: ended(False),
        )

    def _folder(self) -> Path | None:
        chosen = QFileDialog.getExistingDirectory(
            self._parent, "A folder for the objects of this image"
        )
        return Path(chosen) if chosen else None

    def _may_replace(self, folder: Path) -> bool:
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(
            self._parent,
            "Replace what was saved?",
            f"{folder} holds objects of this image that were saved before.",
            buttons.Save | buttons.Cancel,
        )
        return bool(answer == buttons.Save)
