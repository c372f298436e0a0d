"""Asks where the objects are saved, and says that they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QEventLoop
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_sam.live.seen import Seen
from napari_sam.widgets.segment.sections import saving_words as words
from napari_sam.widgets.sight.words import missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.live.disk.loading import Loaded
    from napari_sam.live.disk.saving import Saved
    from napari_sam.widgets.segment.bridge import Bridge
    from napari_sam.widgets.sight.section import Sight


class Saving:
    """Saves the objects of the image that is being labelled, and opens them again.

    Parameters
    ----------
    parent : QWidget
        Where dialogs belong to.
    bridge : Bridge
    sight : Sight
        How the image is seen is saved, too, and is so again.
    notice : callable
        Is called with one line about how it went.
    """

    def __init__(
        self,
        parent: QWidget,
        bridge: Bridge,
        sight: Sight,
        notice: Callable[[str], None],
    ) -> None:
        self._parent, self._bridge, self._notice = parent, bridge, notice
        self._sight = sight

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

        def failed() -> None:
            ended(False)

        def saved(what: Saved) -> None:
            self._notice(words.saved(what))
            ended(True)

        def looked(earlier: bool) -> None:
            if earlier and not self._may_replace(folder):
                failed()
                return
            keeper.save(
                folder,
                desk.image,
                overwrite=earlier,
                done=saved,
                failed=failed,
                state=self._sight.seen.state(),
                more={} if desk.labels is None else desk.labels.columns_of_person(),
            )

        keeper.look_for_save(folder, desk.image, looked, failed)

    def open(self) -> None:
        """Ask for a folder, and go on with what was saved there."""
        desk, bridge = self._bridge.desk, self._bridge
        folder = self._folder("A folder with objects of this image that were saved")
        if desk is None or folder is None:
            return

        def loaded(found: Loaded, another: bool) -> None:
            if another and not self._fits_anyway(found.image.name):
                self._notice("Nothing was opened.")
                return
            if bridge.desk is desk:
                bridge.places.show_saved(found)
                seen = Seen.of(found.state)
                lost = () if seen is None else self._sight.choose(seen)
                says = words.opened(found, folder)
                self._notice(f"{says} {missing(lost)}" if lost else says)

        self._notice(f"Opening {folder}…")
        bridge.keeper.load(folder, loaded)

    def _fits_anyway(self, name: str) -> bool:
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(
            self._parent,
            "Another image?",
            f"These objects were saved for an image with other pixels, “{name}”. Open "
            "them on this one all the same?",
            buttons.Open | buttons.Cancel,
        )
        return bool(answer == buttons.Open)

    def _folder(
        self, what: str = "A folder for the objects of this image"
    ) -> Path | None:
        chosen = QFileDialog.getExistingDirectory(self._parent, what)
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
