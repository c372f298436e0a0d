"""Which object a new mark belongs to. No napari here."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.live.values import Index, Key, Mark
    from napari_sam.widgets.segment.layers.parsing import Row

AREAS = ("box", "ellipse", "polygon")


class Owners:
    """Numbers in the layers' features, keys outside, and what is marked next.

    Attributes
    ----------
    current : int
        To which the next marks belong.
    """

    def __init__(self) -> None:
        self._keys: dict[int, Key] = {}
        self._numbers: dict[Key, int] = {}
        self._last = 0
        self.current = self.fresh()

    def fresh(self) -> int:
        """Return a number that no object has; it is its key too."""
        self._last += 1
        while self._last in self._numbers:
            self._last += 1
        return self._last

    def key(self, number: int) -> Key:
        """Return what the session calls an object."""
        return self._keys.get(number, number)

    def number(self, key: Key) -> int:
        """Return the number of an object, which the session may have named."""
        if key in self._numbers:
            return self._numbers[key]
        if isinstance(key, int) and key > 0 and key not in self._keys:
            number = key
            self._last = max(self._last, key)
        else:
            number = self.fresh()
        self._keys[number], self._numbers[key] = key, number
        return number

    def begin(self) -> int:
        """Let the next marks belong to a new object."""
        self.current = self.fresh()
        return self.current


class Assignment:
    """Goes through all rows once, the old ones first.

    Parameters
    ----------
    owners : Owners
    one_click : bool
        Every positive click begins a new object.
    """

    def __init__(self, owners: Owners, *, one_click: bool) -> None:
        self._owners = owners
        self._one_click = one_click
        self._planes: dict[int, Index] = {}
        self._marks: dict[int, list[Mark]] = {}
        self._moved: dict[tuple[int, Index], int] = {}

    def keep(self, row: Row) -> Row:
        """Return a row whose object is known, on the plane of that object."""
        if row.problem:
            return row
        number = row.number if row.number > 0 else self._owners.fresh()
        if self._planes.get(number, row.index) != row.index:
            # An object is asked for on one plane: elsewhere it is another one.
            if (number, row.index) not in self._moved:
                self._moved[number, row.index] = self._owners.fresh()
            number = self._moved[number, row.index]
        return self._noted(row, number)

    def pasted(self, rows: Sequence[Row]) -> list[Row]:
        """Return copies of marks: of each object they make another one."""
        copies: dict[tuple[int, Index], int] = {}
        for row in rows:
            where = row.number, row.index
            if where not in copies:
                copies[where] = self._owners.begin()
        return [self._noted(row, copies[row.number, row.index]) for row in rows]

    def added(self, rows: Sequence[Row]) -> list[Row]:
        """Return new marks: one that a person drew, or many from elsewhere."""
        if len(rows) != 1:
            return [self._noted(row, self._begun(row)) for row in rows]
        (row,) = rows
        current = self._owners.current
        elsewhere = self._planes.get(current, row.index) != row.index
        if elsewhere or (row.mark.positive and self._begins(row.mark)):
            current = self._owners.begin()
        return [self._noted(row, current)]

    def _begun(self, row: Row) -> int:
        return self._owners.begin() if row.mark.positive else self._owners.current

    def _begins(self, mark: Mark) -> bool:
        """Whether a positive mark says that there is another object."""
        marks = self._marks.get(self._owners.current, [])
        if not any(m.positive for m in marks):
            return False
        if mark.kind not in AREAS:
            return self._one_click
        if any(m.kind in AREAS and m.positive for m in marks):
            return True
        # A box around what was clicked before is about the same object.
        return not any(_holds(mark, m) for m in marks if m.positive)

    def _noted(self, row: Row, number: int) -> Row:
        if not row.problem:
            self._planes.setdefault(number, row.index)
            self._marks.setdefault(number, []).append(row.mark)
        return replace(row, number=number)


def _holds(area: Mark, other: Mark) -> bool:
    low, high = area.vertices.min(0), area.vertices.max(0)
    centre = other.vertices.mean(0)
    return bool(np.all(centre >= low) and np.all(centre <= high))
