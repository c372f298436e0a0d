"""The list of all images, each with its state and a small picture."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QAbstractListModel, QModelIndex, QSize, Qt
from qtpy.QtGui import QColor, QIcon, QImage, QPainter, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QListView

from napari_sam.widgets.batch import words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from PIL.Image import Image
    from qtpy.QtWidgets import QWidget

    from napari_sam.records.status import Item

SIDE: Final = 64  # pixels of a picture in the list
FINE: Final = 2  # times as many are there, for screens that show them
_KEPT: Final = 600  # pictures
_HIGH: Final = 300  # pixels of the list
_CLEAR: Final = QColor(0, 0, 0, 0)
_NOWHERE: Final = QModelIndex()


class Items(QAbstractListModel):
    """The images of a batch.

    Parameters
    ----------
    parent : QWidget
    want : callable
        Is called with an image whose picture somebody looks for.
    """

    def __init__(self, parent: QWidget, want: Callable[[Item], None]) -> None:
        super().__init__(parent)
        self._want = want
        self.items: Sequence[Item] = ()
        self._rows: dict[str, int] = {}
        # By name and whether it was done: outlines come when it is.
        self._pictures: OrderedDict[tuple[str, bool], QIcon] = OrderedDict()
        blank = QPixmap(SIDE, SIDE)
        blank.fill(_CLEAR)
        self._blank = QIcon(blank)

    def show(self, items: Sequence[Item]) -> None:
        """Show these, in this order."""
        before, self.items = self.items, items
        if [one.name for one in before] != [one.name for one in items]:
            self.beginResetModel()
            self._rows = {one.name: row for row, one in enumerate(items)}
            self.endResetModel()
            return
        for row, (old, new) in enumerate(zip(before, items, strict=True)):
            if old is not new:
                self._changed(row)

    def drawn(self, item: Item, picture: Image | None) -> None:
        """Show a picture; None: there is none."""
        self._pictures[_key(item)] = self._blank if picture is None else _icon(picture)
        if len(self._pictures) > _KEPT:
            self._pictures.popitem(last=False)
        row = self._rows.get(item.name)
        if row is not None:
            self._changed(row)

    def forget_pictures(self) -> None:
        """Have all of them drawn again, by and by."""
        self._pictures.clear()
        if self.items:
            self.dataChanged.emit(self.index(0), self.index(len(self.items) - 1))

    def rowCount(self, parent: QModelIndex = _NOWHERE) -> int:
        """Return how many there are."""
        return 0 if parent.isValid() else len(self.items)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what stands in a row."""
        item = self.items[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return f"{item.image}\n{words.line(item)}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return item.error or item.path or item.image
        if role == Qt.ItemDataRole.DecorationRole:
            return self._picture(item)
        return None

    def _picture(self, item: Item) -> QIcon:
        found = self._pictures.get(_key(item))
        if found is None:
            self._want(item)
            return self._pictures.get((item.name, item.state != "done"), self._blank)
        return found

    def _changed(self, row: int) -> None:
        self.dataChanged.emit(self.index(row), self.index(row))


class List(QListView):
    """Shows `Items`."""

    def __init__(self, items: Items) -> None:
        super().__init__()
        self.setModel(items)
        self.setIconSize(QSize(SIDE, SIDE))
        self.setUniformItemSizes(True)  # thousands of them are laid out at once
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setWordWrap(True)
        self.setSpacing(1)
        self.setMinimumHeight(_HIGH)

    @property
    def chosen(self) -> int | None:
        """The row that is selected."""
        rows = self.selectedIndexes()
        return rows[0].row() if rows else None


def pixmap(picture: Image) -> QPixmap:
    """Return a picture as Qt shows it."""
    width, height = picture.size
    pixels = picture.convert("RGB").tobytes()
    return QPixmap.fromImage(
        QImage(pixels, width, height, 3 * width, QImage.Format.Format_RGB888)
    )


def _icon(picture: Image) -> QIcon:
    drawn, shown = pixmap(picture), QPixmap(FINE * SIDE, FINE * SIDE)
    shown.fill(_CLEAR)
    painter = QPainter(shown)  # in the middle: texts begin below each other
    left, top = ((FINE * SIDE - n) // 2 for n in (drawn.width(), drawn.height()))
    painter.drawPixmap(left, top, drawn)
    painter.end()
    shown.setDevicePixelRatio(FINE)
    icon = QIcon()
    for mode in (QIcon.Mode.Normal, QIcon.Mode.Selected):  # not coloured by Qt
        icon.addPixmap(shown, mode)
    return icon


def _key(item: Item) -> tuple[str, bool]:
    return item.name, item.state == "done"
