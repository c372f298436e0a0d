"""The objects that linking was unsure of, one after the other on the screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_sam.widgets.auto_annotate import words
from napari_sam.widgets.segment.layers.visiting import go_to
from napari_sam.widgets.segment.sections.hint import row_of
from napari_sam.widgets.segment.view import paragraph, push

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.components import ViewerModel
    from napari.layers import Labels

    from napari_sam.segment.result import PlaneResult
    from napari_sam.types import IntBox


@dataclass(frozen=True, slots=True)
class Flagged:
    """A place where a look is worth while.

    Attributes
    ----------
    index : tuple of int
    box : (y0, x0, y1, x1)
    number : int
        The object's.
    flag : str
        As in the object table: "split", "merge", "gap", "cut", or several of them.
    """

    index: tuple[int, ...]
    box: IntBox
    number: int
    flag: str


def flagged(results: Iterable[PlaneResult]) -> list[Flagged]:
    """Return all such places, in the order of the stack."""
    found = []
    for result in sorted(results, key=lambda one: one.index):
        objects = result.objects
        if "flag" not in objects:
            continue
        edges = [objects[f"box_{side}"] for side in ("y0", "x0", "y1", "x1")]
        for row in (objects["flag"] != "").nonzero()[0].tolist():
            y0, x0, y1, x1 = (int(edge[row]) for edge in edges)
            number, flag = int(objects["id"][row]), str(objects["flag"][row])
            found.append(Flagged(result.index, (y0, x0, y1, x1), number, flag))
    return found


class LookAt(QWidget):
    """Goes from one such place to the next; not to be seen where there is none.

    Parameters
    ----------
    viewer : ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._layer: Labels | None = None
        self._places: list[Flagged] = []
        self._axes, self._at = "", -1
        self.says = paragraph()
        self.previous = push("◂ Previous", "The place before, of those to look at.")
        self.next = push("Next ▸", "The next place to look at.")
        self.previous.clicked.connect(lambda _=False: self._go(-1))
        self.next.clicked.connect(lambda _=False: self._go(1))
        lines = QVBoxLayout(self)
        lines.setContentsMargins(0, 0, 0, 0)
        for part in (self.says, row_of(self.previous, self.next)):
            lines.addWidget(part)
        self.hide()

    def offer(self, layer: Labels, results: Iterable[PlaneResult], axes: str) -> None:
        """Offer the places of these results, which a layer shows."""
        self._layer, self._axes, self._at = layer, axes, -1
        self._places = flagged(results)
        self.says.setText(words.to_look_at({one.number for one in self._places}))
        self.setVisible(bool(self._places))

    def clear(self) -> None:
        """Offer nothing."""
        self._layer, self._places = None, []
        self.hide()

    def _go(self, way: int) -> None:
        layer = self._layer
        if layer is None or layer not in self._viewer.layers:
            self.clear()
            return
        first = 0 if way > 0 else len(self._places) - 1
        at = first if self._at < 0 else (self._at + way) % len(self._places)
        self._at, place = at, self._places[at]
        layer.selected_label = place.number
        go_to(self._viewer, layer, place.index, place.box)
        where = words.place(place.index, self._axes)
        why = words.why(place.flag, self._axes)
        self.says.setText(
            f"{at + 1} of {len(self._places)}: object {place.number}, {where}: {why}."
        )
