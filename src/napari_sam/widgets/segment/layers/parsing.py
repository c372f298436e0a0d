"""What lies in a Points or Shapes layer as marks, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Points

from napari_sam.live.values import Mark

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from napari.layers import Shapes

    from napari_sam.live.values import Index, MarkKind

OBJECT, POSITIVE = "object", "positive"  # the columns in a layer's features
BESIDE = "That is beside the image: nothing was asked there."
ACROSS = "A shape must lie in one slice of the image: this one does not."

KINDS: dict[str, MarkKind] = {
    "rectangle": "box",
    "ellipse": "ellipse",
    "polygon": "polygon",
    "path": "scribble",
    "line": "scribble",
}
_SHAPES = {"box": "rectangle", "scribble": "path"}
# napari's pixel centres are at whole numbers, ours at halves.
_HALF = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One point or shape.

    Attributes
    ----------
    number : int
        Of its object in the layer's features; 0 where there is none.
    index : tuple of int
    mark : Mark
    problem : str
        Why it cannot be used, for people.
    """

    number: int
    index: Index
    mark: Mark
    problem: str = ""


def count(layer: Points | Shapes) -> int:
    """Return how many points or shapes there are."""
    return len(layer.data) if isinstance(layer, Points) else int(layer.nshapes)


def read(layer: Points | Shapes, shape: tuple[int, ...]) -> list[Row]:
    """Return all rows of a layer that lies on an image of this shape."""
    rows = _read_points if isinstance(layer, Points) else _read_shapes
    return rows(layer, shape)


def write(layer: Points | Shapes, rows: Sequence[Row]) -> None:
    """Let a layer hold these rows and no others; how they look is left open."""
    layer.selected_data = set()
    vertices = [_vertices(row) for row in rows]
    if isinstance(layer, Points):
        layer.data = np.concatenate([np.empty((0, layer.ndim)), *vertices])
    else:
        layer.data = []
        kinds = [_SHAPES.get(row.mark.kind, row.mark.kind) for row in rows]
        if rows:
            layer.add(vertices, shape_type=kinds)
        layer.selected_data = set()
    number([row.number for row in rows], layer, [row.mark.positive for row in rows])


def number(
    numbers: Sequence[int],
    layer: Points | Shapes,
    positive: Sequence[bool] | None = None,
) -> None:
    """Write which objects the rows belong to; other columns stay."""
    # An outline that was given up leaves a row too many behind in napari.
    table = layer.features.iloc[: count(layer)].copy()
    if positive is None:
        positive = _column(layer, POSITIVE, True, np.bool_).tolist()
    table[OBJECT] = np.asarray(numbers, np.int64)
    table[POSITIVE] = np.asarray(positive, np.bool_)
    layer.features = table


def columns() -> dict[str, npt.NDArray[Any]]:
    """Return the features of an empty layer."""
    return {OBJECT: np.empty(0, np.int64), POSITIVE: np.empty(0, np.bool_)}


def _read_points(layer: Points, shape: tuple[int, ...]) -> list[Row]:
    data = np.asarray(layer.data, np.float64)
    numbers = _column(layer, OBJECT, 0, np.int64)
    positive = _column(layer, POSITIVE, True, np.bool_)
    low, high = data >= -_HALF, data < np.asarray(shape) - _HALF
    inside = np.all(np.isfinite(data) & low & high, axis=1).tolist()
    stack = np.rint(np.where(np.isfinite(data), data, -1))[:, :-2].astype(np.int64)
    yx = (data[:, None, -2:] + _HALF).astype(np.float32)
    return [
        Row(
            int(numbers[i]),
            tuple(stack[i].tolist()),
            Mark("click", yx[i], bool(positive[i])),
            "" if inside[i] else BESIDE,
        )
        for i in range(len(data))
    ]


def _read_shapes(layer: Shapes, shape: tuple[int, ...]) -> list[Row]:
    numbers = _column(layer, OBJECT, 0, np.int64)
    positive = _column(layer, POSITIVE, True, np.bool_)
    return [
        _read_shape(np.asarray(data, np.float64), str(kind), shape, int(n), bool(p))
        for data, kind, n, p in zip(
            layer.data, layer.shape_type, numbers, positive, strict=True
        )
    ]


def _read_shape(
    data: npt.NDArray[np.float64],
    kind: str,
    shape: tuple[int, ...],
    number: int,
    positive: bool,
) -> Row:
    mark = Mark(KINDS[kind], (data[:, -2:] + _HALF).astype(np.float32), positive)
    if not np.isfinite(data).all():
        return Row(number, (), mark, BESIDE)
    stack = np.rint(data[:, :-2]).astype(np.int64)
    index = tuple(stack[0].tolist())
    low, high = data[:, -2:].min(0) + _HALF, data[:, -2:].max(0) + _HALF
    if (stack != stack[0]).any():
        return Row(number, index, mark, ACROSS)
    inside = all(0 <= i < n for i, n in zip(index, shape, strict=False))
    inside &= bool((high > 0).all() and (low < shape[-2:]).all())
    return Row(number, index, mark, "" if inside else BESIDE)


def _vertices(row: Row) -> npt.NDArray[np.float64]:
    yx = np.asarray(row.mark.vertices, np.float64) - _HALF
    stack = np.broadcast_to(
        np.asarray(row.index, np.float64), (len(yx), len(row.index))
    )
    return np.concatenate([stack, yx], axis=1)


def _column(
    layer: Points | Shapes, name: str, missing: Any, dtype: Any
) -> npt.NDArray[Any]:
    """Return a column, whatever a person has made of the table."""
    rows = count(layer)
    values = np.full(rows, missing, dtype)
    if name in layer.features:
        given = layer.features[name].to_numpy()[:rows]
        for i, value in enumerate(given):
            if value == value and value is not None:  # not NaN
                values[i] = value
    return values
