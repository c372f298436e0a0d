"""Which images, and where their results go."""

from __future__ import annotations

from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from magicgui.widgets import ComboBox
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QWidget,
)

from napari_sam.images.inputs import SUFFIXES
from napari_sam.widgets.batch import words

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER: Final = "folder"
LAYERS: Final = "layers"
_SETTLED_MS: Final = 400  # somebody who types has stopped
_PLACES_TIP: Final = (
    "A folder, with all that is below it; or one file, or a pattern such as "
    "/data/plate*/*.tif. Several stand behind each other with ; between them."
)
_OUTPUT_TIP: Final = (
    "Labels, tables and what else you choose go there. Choose a folder with results to "
    "see how far they are, and to go on with them."
)


class Places(QWidget):
    """Asks for images and for a folder.

    Parameters
    ----------
    changed : callable
        Is called when somebody has said something else.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__()
        self._changed = changed
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_SETTLED_MS)
        self._soon.timeout.connect(changed)
        self.kind = ComboBox(
            label="Images",
            choices=[("In a folder", FOLDER), ("The open image layers", LAYERS)],
            value=FOLDER,
        )
        self._images, self._output = QLineEdit(), QLineEdit()
        self._images.setPlaceholderText("a folder")
        self._images.setToolTip(_PLACES_TIP)
        self._output.setPlaceholderText("a folder")
        self._output.setToolTip(_OUTPUT_TIP)
        self.choose_images = QPushButton("Choose…")
        self.choose_output = QPushButton("Choose…")
        self._offered = ""  # the folder that we have named
        self._rows = QFormLayout(self)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.addRow("Images", self.kind.native)
        self._label = QLabel("Folder")
        self._folder = _beside(self._images, self.choose_images)
        self._rows.addRow(self._label, self._folder)
        self._rows.addRow(words.OUTPUT, _beside(self._output, self.choose_output))
        self.kind.changed.connect(self._kind_chosen)
        self._images.textEdited.connect(lambda _: self._images_said())
        self._output.textEdited.connect(lambda _: self._soon.start())
        self.choose_images.clicked.connect(self._ask_images)
        self.choose_output.clicked.connect(self._ask_output)

    @property
    def layers(self) -> bool:
        """Whether the open layers are meant."""
        return bool(self.kind.value == LAYERS)

    @property
    def places(self) -> tuple[str, ...]:
        """What is named: files, folders, patterns; whole paths."""
        parts = (part.strip() for part in self._images.text().split(";"))
        return tuple(_whole(part) for part in parts if part)

    @property
    def output(self) -> Path | None:
        """Where results go."""
        text = self._output.text().strip()
        return Path(_whole(text)) if text else None

    def show_images(self, *places: str) -> None:
        """Name images, and offer a folder for their results."""
        self.kind.value = FOLDER
        self._images.setText("; ".join(places))
        self._images_said()

    def show_output(self, folder: str) -> None:
        """Name where results go."""
        self._output.setText(folder)
        self._now()

    def offer(self, folder: Path) -> None:
        """Name a folder for results, unless a person has named one."""
        if self._output.text().strip() in ("", self._offered):
            self._offered = str(folder)
            self._output.setText(self._offered)

    def show_kind(self, kind: Literal["folder", "layers"]) -> None:
        """Show what matters for images of a kind."""
        for part in (self._label, self._folder):
            part.setVisible(kind == FOLDER)

    def end(self) -> None:
        """Tell nothing any more."""
        self._soon.stop()

    def _now(self) -> None:
        self._soon.stop()
        self._changed()

    def _kind_chosen(self, kind: Literal["folder", "layers"]) -> None:
        self.show_kind(kind)
        self._now()

    def _images_said(self) -> None:
        if len(self.places) == 1:
            place = Path(self.places[0])
            # Beside a folder, and beside the folder of a file or a pattern.
            file = place.suffix.lower() in (*SUFFIXES, ".zarr")
            base = place.parent if file or has_magic(place.name) else place
            if base.name:
                self.offer(base.with_name(f"{base.name} results"))
        self._soon.start()

    def _ask_images(self) -> None:
        start = next(iter(self.places), "")
        path = QFileDialog.getExistingDirectory(self, "Where are the images?", start)
        if path:
            self.show_images(path)
            self._now()

    def _ask_output(self) -> None:
        start = "" if self.output is None else str(self.output.parent)
        path = QFileDialog.getExistingDirectory(self, "Where do results go?", start)
        if path:
            self.show_output(path)


def _beside(text: QLineEdit, button: QPushButton) -> QWidget:
    row = QWidget()
    line = QHBoxLayout(row)
    line.setContentsMargins(0, 0, 0, 0)
    line.addWidget(text, 1)
    line.addWidget(button)
    return row


def _whole(path: str) -> str:
    return str(Path(path).expanduser().absolute())
