"""What the session says as rows of the layers, and rows as what is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from napari_sam.widgets.segment.layers.parsing import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari_sam.live.values import Index, Key, Mark
    from napari_sam.widgets.segment.layers.owners import Owners

    State: TypeAlias = Mapping[Key, tuple[Index, tuple[Mark, ...]]]


_NEAR = 1e-3  # of a pixel


def rows_for(state: State, owners: Owners) -> tuple[list[Row], list[Row]]:
    """Return the rows of the points layer, and of the shapes layer."""
    points: list[Row] = []
    shapes: list[Row] = []
    for key, (index, marks) in state.items():
        number = owners.number(key)
        for mark in marks:
            rows = points if mark.kind == "click" else shapes
            rows.append(Row(number, index, mark))
    return points, shapes


def state_of(
    rows: Iterable[Row], owners: Owners
) -> dict[Key, tuple[Index, tuple[Mark, ...]]]:
    """Return what is drawn about each object, the oldest first."""
    groups: dict[int, list[Row]] = {}
    for row in rows:
        if not row.problem:
            groups.setdefault(row.number, []).append(row)
    return {
        owners.key(number): (
            groups[number][0].index,
            tuple(row.mark for row in groups[number]),
        )
        for number in sorted(groups)
    }


def same(a: State, b: State) -> bool:
    """Return whether nothing was added, moved or said differently."""
    return a.keys() == b.keys() and all(same_marks(a[key], b[key]) for key in a)


def same_marks(
    a: tuple[Index, tuple[Mark, ...]], b: tuple[Index, tuple[Mark, ...]] | None
) -> bool:
    """Return whether the same is drawn about one object."""
    return (
        b is not None
        and a[0] == b[0]
        and len(a[1]) == len(b[1])
        and all(map(_same_mark, a[1], b[1]))
    )


def same_rows(a: Sequence[Row], b: Sequence[Row]) -> bool:
    """Return whether a layer that holds these rows need not be written."""
    return len(a) == len(b) and all(
        one.number == other.number
        and one.index == other.index
        and _same_mark(one.mark, other.mark)
        for one, other in zip(a, b, strict=True)
    )


def _same_mark(a: Mark, b: Mark) -> bool:
    return (
        a.kind == b.kind
        and a.positive == b.positive
        and a.vertices.shape == b.vertices.shape
        # napari may keep coordinates in single precision.
        and float(np.abs(a.vertices - b.vertices).max(initial=0)) <= _NEAR
    )
