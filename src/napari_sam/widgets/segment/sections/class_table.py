"""The table of classes: colour, name, key, and how many objects are of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import QItemSelectionModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QHeaderView, QTableWidget, QTableWidgetItem

from napari_sam.live.class_keys import NONE_KEY
from napari_sam.live.classes import NO_COLOUR
from napari_sam.widgets.segment.sections.class_words import NONE, TIP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qtpy.QtWidgets import QWidget

    from napari_sam.live.classes import ClassList

_COLOUR, _NAME, _KEY, _COUNT = range(4)
_FIELDS: Final = {_NAME: "name", _KEY: "key"}
_HEAD: Final = ("", "Class", "Key", "Objects")
_NUMBER: Final = Qt.ItemDataRole.UserRole
_SWATCH: Final = 26
_MOST_ROWS: Final = 8  # that are seen at once
_SIDE: Final = 32  # of a swatch, which is drawn smaller


class ClassTable(QTableWidget):
    """Shows a list; the first row stands for no class, the chosen one for new objects.

    Attributes
    ----------
    chosen : Signal(int)
        A person has chosen the class of this number, 0 for none.
    edited : Signal(int, str, str)
        They have typed another "name" or "key" for a class.
    colour_wanted : Signal(int)
        They want another colour for a class.
    """

    chosen = Signal(int)
    edited = Signal(int, str, str)
    colour_wanted = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(_HEAD), parent)
        self.setHorizontalHeaderLabels(_HEAD)
        self.verticalHeader().hide()
        self.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        self.setSelectionMode(QTableWidget.SelectionMode.SingleSelection)
        self.setEditTriggers(QTableWidget.EditTrigger.DoubleClicked)
        # A click on a class must not take the keys from the image.
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setShowGrid(False)
        head = self.horizontalHeader()
        head.setHighlightSections(False)
        head.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        head.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        head.setSectionResizeMode(_COLOUR, QHeaderView.ResizeMode.Fixed)
        head.setMinimumSectionSize(_SWATCH)
        self.setColumnWidth(_COLOUR, _SWATCH)
        self.itemChanged.connect(self._typed)
        self.itemSelectionChanged.connect(self._selected)
        self.cellDoubleClicked.connect(self._double_clicked)

    def show_list(self, classes: ClassList, chosen: int) -> None:
        """Show these classes."""
        before = self.blockSignals(True)
        self.setRowCount(1 + len(classes))
        self._fill(0, 0, NONE, NO_COLOUR, NONE_KEY if len(classes) else "")
        for row, one in enumerate(classes, 1):
            self._fill(row, one.number, one.name, one.colour, one.key)
        self.blockSignals(before)
        self.choose(chosen)
        rows = min(self.rowCount(), _MOST_ROWS)
        height = self.horizontalHeader().sizeHint().height()
        self.setFixedHeight(height + rows * self.rowHeight(0) + 4)

    def count(self, counts: Mapping[int, int]) -> None:
        """Show how many objects are of each class."""
        before = self.blockSignals(True)
        for row in range(self.rowCount()):
            item = self.item(row, _COUNT)
            text = f"{counts.get(self.number(row), 0):,}"
            if item.text() != text:
                item.setText(text)
        self.blockSignals(before)

    def choose(self, number: int) -> None:
        """Let this class be the chosen one."""
        before = self.blockSignals(True)
        flags = QItemSelectionModel.SelectionFlag
        self.selectionModel().select(
            self.model().index(self._row(number), 0),
            flags.ClearAndSelect | flags.Rows,
        )
        self.blockSignals(before)
        self.viewport().update()

    def rename(self, number: int) -> None:
        """Let a person type the name of a class."""
        if self.isVisible():
            self.editItem(self.item(self._row(number), _NAME))

    def number(self, row: int) -> int:
        """Return the number of the class in a row."""
        return int(self.item(row, _NAME).data(_NUMBER))

    def _row(self, number: int) -> int:
        rows = range(self.rowCount())
        return next((row for row in rows if self.number(row) == number), 0)

    def _fill(self, row: int, number: int, name: str, colour: str, key: str) -> None:
        for column, text in enumerate(("", name, key, "0")):
            item = self.item(row, column)
            if item is None:
                item = QTableWidgetItem()
                self.setItem(row, column, item)
            item.setText(text)
            item.setData(_NUMBER, number)
            flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
            if column in _FIELDS and number:
                flags |= Qt.ItemFlag.ItemIsEditable
            item.setFlags(flags)
            if number and column != _COUNT:
                item.setToolTip(TIP)
        self.item(row, _COUNT).setTextAlignment(
            Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        )
        self.item(row, _COLOUR).setIcon(_swatch(colour))

    def _typed(self, item: QTableWidgetItem) -> None:
        field = _FIELDS.get(item.column())
        if field is not None:
            self.edited.emit(int(item.data(_NUMBER)), field, item.text())

    def _selected(self) -> None:
        rows: list[QModelIndex] = self.selectionModel().selectedRows()
        if rows:
            self.chosen.emit(self.number(rows[0].row()))

    def _double_clicked(self, row: int, column: int) -> None:
        if column == _COLOUR and self.number(row):
            self.colour_wanted.emit(self.number(row))


def _swatch(colour: str) -> QIcon:
    """Return a colour that looks the same in a chosen row."""
    pixels, icon = QPixmap(_SIDE, _SIDE), QIcon()
    pixels.fill(QColor(colour))
    for mode in (QIcon.Mode.Normal, QIcon.Mode.Selected):
        icon.addPixmap(pixels, mode)
    return icon
