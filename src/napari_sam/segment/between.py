"""Objects on the planes between two on which they are: shapes that turn into another.

The outline in between is where the mean of the two signed distances to the outlines
is zero, each weighted by how near its plane is. Both shapes are laid on one another by
their centroids first, and the result where the centroid has gone by then: an object
that moves by more than its own width would vanish otherwise.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from napari_sam.types import Mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy.typing as npt

    from napari_sam.types import BoolArray

    Index: TypeAlias = tuple[int, ...]
    Distances: TypeAlias = npt.NDArray[np.float64]
    Point: TypeAlias = npt.NDArray[np.float64]

MIN_KEPT: Final = 0.5
"""What keeps less of itself beside other objects is not filled in."""

_EDGE: Final = 2  # pixels around the larger shape: its distances must turn negative


@dataclass(frozen=True, slots=True)
class Filled:
    """What was filled.

    Attributes
    ----------
    outlines : int
        New ones, one for each object and plane.
    objects : int
        That got some.
    in_the_way : int
        Outlines that were not filled in, since other objects are there.
    """

    outlines: int = 0
    objects: int = 0
    in_the_way: int = 0


def fill_between(
    labels: npt.NDArray[Any], *, axis: int = 0, numbers: Iterable[int] | None = None
) -> tuple[npt.NDArray[Any], Filled]:
    """Fill in objects where they are missing between two planes on which they are.

    Parameters
    ----------
    labels : integer array, shape (..., H, W)
        With one axis in front of the plane's, or more. 0 is background.
    axis : int
        Of those in front, from 0: along which planes are in between.
    numbers : iterable of int, optional
        Only these objects; by default all.

    Returns
    -------
    labels : integer array
        A copy. Only background is written: other objects keep their pixels, and of
        two that want the same ones the lower number has them.
    filled : Filled

    Raises
    ------
    ValueError
        If there is no such axis.

    Examples
    --------
    >>> stack = np.zeros((5, 9, 9), np.uint16)
    >>> stack[0, 2:7, 2:7] = stack[4, 2:7, 2:7] = 3
    >>> full, filled = fill_between(stack)
    >>> (full == 3).sum((1, 2)).tolist(), filled.outlines
    ([25, 25, 25, 25, 25], 3)
    """
    if not 0 <= axis < labels.ndim - 2:
        raise ValueError(
            f"labels of the shape {labels.shape} have no stack axis {axis}"
        )
    full = labels.copy()
    wanted = None if numbers is None else set(numbers)
    done: dict[int, int] = {}
    in_the_way = 0
    for number, on in _objects(labels):
        if wanted is not None and number not in wanted:
            continue
        for index, mask in fillings(on, axis, on.__getitem__):
            inside = clipped(mask, labels.shape[-2:])
            plane = full[index][inside.slices]
            free = inside.data & (plane == 0)
            if free.sum() < MIN_KEPT * inside.area or not free.any():
                in_the_way += 1
                continue
            plane[free] = number
            done[number] = done.get(number, 0) + 1
    return full, Filled(sum(done.values()), len(done), in_the_way)


def fillings(
    planes: Iterable[Index], axis: int, outline: Callable[[Index], Mask]
) -> Iterator[tuple[Index, Mask]]:
    """Yield what is missing of one object, and where.

    Parameters
    ----------
    planes : iterable of tuple of int
        Where it is.
    axis : int
        Of the indices: along which planes are in between.
    outline : callable
        Returns its outline on one of them; is asked about those next to a gap only.

    Yields
    ------
    index : tuple of int
    mask : Mask
        As from `between`.
    """
    rows: dict[tuple[Index, Index], list[int]] = defaultdict(list)
    for index in planes:
        rows[index[:axis], index[axis + 1 :]].append(index[axis])
    for (before, after), places in rows.items():
        for first, last in gaps(places):
            one, other = (outline((*before, at, *after)) for at in (first, last))
            if not one.area or not other.area:
                continue  # it went away while we looked
            masks = between(one, other, last - first - 1)
            for place, mask in enumerate(masks, first + 1):
                yield (*before, place, *after), mask


def clipped(mask: Mask, shape: tuple[int, ...]) -> Mask:
    """Return the part of a mask that lies on a plane (H, W)."""
    y0, x0 = mask.box[:2]
    top, left = min(max(0, y0), shape[0]), min(max(0, x0), shape[1])
    data = mask.data[
        top - y0 : max(0, shape[0] - y0), left - x0 : max(0, shape[1] - x0)
    ]
    return Mask.from_array(data, (top, left), score=mask.score)


def gaps(planes: Iterable[int]) -> list[tuple[int, int]]:
    """Return the pairs of planes with nothing in between, in their order.

    Examples
    --------
    >>> gaps([9, 3, 4, 7])
    [(4, 7), (7, 9)]
    """
    ordered = sorted(set(planes))
    return [(one, other) for one, other in pairwise(ordered) if other - one > 1]


def between(first: Mask, last: Mask, count: int) -> list[Mask]:
    """Return the outlines on the planes between two outlines of one object.

    Parameters
    ----------
    first, last : Mask
        Neither of them empty.
    count : int
        How many planes lie between them.

    Returns
    -------
    list of Mask
        One for each, never empty, without scores. They may reach beyond the image
        where both outlines touch its border.
    """
    one, other = _Shape.of(first), _Shape.of(last)
    size = np.maximum(one.reach, other.reach) + _EDGE
    near, far = one.distances(size), other.distances(size)
    return [
        _blend(one, other, near, far, at / (count + 1)) for at in range(1, count + 1)
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Shape:
    """An outline, seen from its centroid.

    Attributes
    ----------
    mask : Mask
    centroid : float array, shape (2,)
        (y, x) of pixels that count from their middles.
    """

    mask: Mask
    centroid: Point

    @classmethod
    def of(cls, mask: Mask) -> _Shape:
        where = np.argwhere(mask.data)
        return cls(mask, where.mean(0) + mask.box[:2])

    @property
    def anchor(self) -> npt.NDArray[np.int64]:
        """The pixel at the centroid."""
        return _pixel(self.centroid)

    @property
    def reach(self) -> npt.NDArray[np.int64]:
        """How many pixels it goes from there, at most, each way."""
        y0, x0, y1, x1 = self.mask.box
        before = self.anchor - (y0, x0)
        reach: npt.NDArray[np.int64]
        reach = np.maximum(before, np.array([y1 - 1, x1 - 1]) - self.anchor)
        return reach

    def distances(self, size: npt.NDArray[np.int64]) -> Distances:
        """Return the distance to the outline, positive inside, around the anchor."""
        from scipy import ndimage

        canvas = np.zeros(2 * size + 1, np.bool_)
        y, x = np.array(self.mask.box[:2]) - self.anchor + size
        height, width = self.mask.data.shape
        canvas[y : y + height, x : x + width] = self.mask.data
        inside = ndimage.distance_transform_edt(canvas)
        outside = ndimage.distance_transform_edt(~canvas)
        signed: Distances = np.where(canvas, inside - 0.5, 0.5 - outside)
        return signed


def _blend(
    one: _Shape, other: _Shape, near: Distances, far: Distances, part: float
) -> Mask:
    """Return the shape between two, a part of the way from the first to the other."""
    from scipy import ndimage

    centroid = (1 - part) * one.centroid + part * other.centroid
    anchor = _pixel(centroid)

    def moved(shape: _Shape, distances: Distances) -> Distances:
        by = (centroid - anchor) - (shape.centroid - shape.anchor)
        laid: Distances = ndimage.shift(distances, by, order=1, mode="nearest")
        return laid

    nearer, farther = moved(one, near), moved(other, far)
    data: BoolArray = (1 - part) * nearer + part * farther > 0
    if not data.any():  # where one is in pieces, and the other is not
        data = (nearer if part <= 0.5 else farther) > 0
    y, x = anchor - np.array(data.shape) // 2
    return Mask.from_array(data, (int(y), int(x)))


def _pixel(point: Point) -> npt.NDArray[np.int64]:
    return np.rint(point).astype(np.int64)


def _objects(labels: npt.NDArray[Any]) -> Iterator[tuple[int, dict[Index, Mask]]]:
    """Yield every object with its outlines; looks at its own box only."""
    from scipy import ndimage

    values, places = np.unique(labels, return_inverse=True)
    boxes = ndimage.find_objects(places.reshape(labels.shape) + 1)
    for number, box in zip(values.tolist(), boxes, strict=True):
        if number > 0:
            inside = labels[box] == number
            corner = [part.start for part in box]
            yield (
                number,
                {
                    tuple(int(i) for i in np.add(at, corner[:-2])): Mask.from_array(
                        inside[tuple(at)], (corner[-2], corner[-1])
                    )
                    for at in np.argwhere(inside.any((-2, -1)))
                },
            )
