"""Controls below each other, their names in a column of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QWidget

if TYPE_CHECKING:
    from magicgui.widgets.bases import ValueWidget

_SHORT = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon


class Rows(QWidget):
    """One row for each control; those without a name take the whole width.

    Parameters
    ----------
    *widgets : ValueWidget
    """

    def __init__(self, *widgets: ValueWidget[Any]) -> None:
        super().__init__()
        self.widgets = widgets
        self._labels: dict[str, QLabel] = {}
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for widget in widgets:
            if isinstance(widget.native, QComboBox):
                # A long file name must not widen the dock.
                widget.native.setMinimumContentsLength(8)
                widget.native.setSizeAdjustPolicy(_SHORT)
            if widget.label == "":
                layout.addRow(widget.native)
                continue
            label = self._labels[widget.label] = QLabel(widget.label)
            label.setToolTip(widget.tooltip or "")
            layout.addRow(label, widget.native)

    def show_row(self, widget: ValueWidget[Any], on: bool) -> None:
        """Show one row, or hide it."""
        widget.visible = on
        label = self._labels.get(widget.label)
        if label is not None:
            label.setVisible(on)
