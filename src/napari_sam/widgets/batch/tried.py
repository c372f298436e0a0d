"""The slices that were tried, below each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QPainter
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_sam.widgets.batch import words
from napari_sam.widgets.batch.items import pixmap
from napari_sam.widgets.segment.view import paragraph

if TYPE_CHECKING:
    from PIL.Image import Image
    from qtpy.QtGui import QMouseEvent, QPaintEvent, QPixmap, QResizeEvent

    from napari_sam.records.trial import Tried

_TIP = "Double-click to see it in the viewer, with its objects as a layer."


class Slices(QWidget):
    """Pictures of what was found on slices, as wide as the dock.

    Attributes
    ----------
    tried : list of Tried
    pictures : list of Picture
        As many.
    """

    opened = Signal(object)  # a Tried, to be seen in the viewer

    def __init__(self) -> None:
        super().__init__()
        self.tried: list[Tried] = []
        self.pictures: list[Picture] = []
        self._lines = QVBoxLayout(self)
        self._lines.setContentsMargins(0, 0, 0, 0)
        self._says = paragraph()
        self._lines.addWidget(self._says)
        self._captions: list[QWidget] = []
        self.clear()

    def clear(self) -> None:
        """Show none."""
        for part in (*self._captions, *self.pictures):
            self._lines.removeWidget(part)
            part.deleteLater()
        self._captions, self.pictures, self.tried = [], [], []
        self.say("")
        self.hide()

    def add(self, one: Tried, picture: Image) -> None:
        """Show one more."""
        caption = paragraph()
        caption.setText(words.tried(one))
        shown = Picture(pixmap(picture))
        shown.setToolTip(_TIP)
        shown.pressed.connect(lambda: self.opened.emit(one))
        for part in (caption, shown):
            self._lines.addWidget(part)
        self._captions.append(caption)
        self.pictures.append(shown)
        self.tried.append(one)
        self.show()

    def say(self, text: str) -> None:
        """Say something above them."""
        self._says.setText(text)
        self._says.setVisible(bool(text))


class Picture(QWidget):
    """A picture as wide as there is room."""

    pressed = Signal()

    def __init__(self, picture: QPixmap) -> None:
        super().__init__()
        self._picture = picture
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._fit()

    def _fit(self) -> None:
        width = min(self.width(), self._picture.width())
        height = round(width * self._picture.height() / self._picture.width())
        if height != self.height():
            self.setFixedHeight(max(1, height))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the proportions."""
        super().resizeEvent(event)
        self._fit()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw it."""
        fitted = self._picture.scaled(
            self.size() * self.devicePixelRatioF(),
            Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
        fitted.setDevicePixelRatio(self.devicePixelRatioF())
        painter = QPainter(self)
        painter.drawPixmap(0, 0, fitted)
        painter.end()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> Any:
        """Tell that somebody wants to see more of it."""
        self.pressed.emit()
