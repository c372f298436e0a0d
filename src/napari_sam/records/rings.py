"""Outlines along the edges of pixels: what they enclose is the mask, to the pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sam.types import BoolArray

Ring = npt.NDArray[np.int64]
"""Corners (y, x), shape (N, 2), not closed: the last is not the first again."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """One connected piece of a mask; pixels that share a corner only are two pieces.

    Attributes
    ----------
    outer : Ring
    holes : tuple of Ring
        No ring crosses or touches itself; two may touch in a corner. The outline runs
        clockwise on the screen, holes the other way round.
    """

    outer: Ring
    holes: tuple[Ring, ...] = ()

    @property
    def rings(self) -> tuple[Ring, ...]:
        """The outline and the holes."""
        return (self.outer, *self.holes)


def pieces_of(mask: BoolArray, corner: tuple[int, int] = (0, 0)) -> list[Piece]:
    """Return the outlines of a mask.

    Parameters
    ----------
    mask : bool array, shape (h, w)
    corner : (y, x)
        Where it lies in the plane.

    Returns
    -------
    list of Piece
        In pixel coordinates: pixel (i, j) covers [i, i + 1) × [j, j + 1). A pixel lies
        inside, by the even-odd rule on its centre, where the mask is true.
    """
    from scipy import ndimage

    padded = np.pad(mask, 1)
    components, _ = ndimage.label(padded)  # without diagonals
    outer: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    for ring in _simple_rings(padded):
        (y, x0), (_, x1) = ring[0], ring[1]  # the first edge is a horizontal one
        left = min(x0, x1)
        below = bool(padded[y, left])
        component = int(components[y if below else y - 1, left])
        # Going right with the object below is going around it clockwise, as seen on
        # the screen; around a hole it is the other way.
        clockwise = _area(ring) > 0
        is_outer = clockwise == ((x1 > x0) == below)
        placed = (ring if clockwise == is_outer else ring[::-1]) - 1 + np.array(corner)
        if is_outer:
            outer[component] = placed
        else:
            holes.setdefault(component, []).append(placed)
    return [Piece(ring, tuple(holes.get(at, ()))) for at, ring in outer.items()]


def _simple_rings(padded: BoolArray) -> Iterator[Ring]:
    """Yield rings that begin with a horizontal edge and touch themselves nowhere."""
    points, across, along = _corners(padded)
    free = [True] * len(points)
    places: list[tuple[int, int]] = list(map(tuple, points.tolist()))
    for start in range(len(points)):
        if not free[start]:
            continue
        path: list[tuple[int, int]] = []
        at = start
        while free[at]:
            other = across[at]
            free[at] = free[other] = False
            path += (places[at], places[other])
            at = along[other]
        yield from _split(path)


def _corners(padded: BoolArray) -> tuple[Ring, list[int], list[int]]:
    """Return all corners, and who is next to whom in their row and in their column.

    Where two pixels meet in a corner only, there are two corners in one place, one of
    each pixel.
    """
    a, b = padded[:-1, :-1], padded[:-1, 1:]
    c, d = padded[1:, :-1], padded[1:, 1:]
    once = np.argwhere(a ^ b ^ c ^ d)
    falling = np.argwhere(a & d & ~b & ~c)
    rising = np.argwhere(b & c & ~a & ~d)
    points = np.concatenate([once, falling, falling, rising, rising]) + 1
    counts = len(once), len(falling), len(falling), len(rising), len(rising)
    # The first in its row has its edge on the left, the first in its column above.
    in_row = np.repeat([0, 0, 1, 0, 1], counts)
    in_column = np.repeat([0, 0, 1, 1, 0], counts)
    y, x = points.T
    across = _partners(np.lexsort((in_row, x, y)))
    return points, across, _partners(np.lexsort((in_column, y, x)))


def _partners(order: npt.NDArray[np.intp]) -> list[int]:
    """Pair what lies on a line: edges run from the first to the second, and so on."""
    partner = np.empty(len(order), np.int64)
    partner[order[0::2]], partner[order[1::2]] = order[1::2], order[0::2]
    found: list[int] = partner.tolist()
    return found


def _split(path: Sequence[tuple[int, int]]) -> Iterator[Ring]:
    """Cut a ring where it comes to a place again."""
    if len(set(path)) == len(path):
        yield np.array(path, np.int64)
        return
    kept: list[tuple[int, int]] = []
    seen: dict[tuple[int, int], int] = {}
    for point in path:
        if point in seen:
            start = seen[point]
            loop = kept[start:]
            for gone in loop[1:]:
                del seen[gone]
            del kept[start + 1 :]
            yield _from_horizontal(loop)
        else:
            seen[point] = len(kept)
            kept.append(point)
    if len(kept) > 2:
        yield _from_horizontal(kept)


def _from_horizontal(loop: list[tuple[int, int]]) -> Ring:
    turned = loop if loop[0][0] == loop[1][0] else [*loop[1:], loop[0]]
    return np.array(turned, np.int64)


def _area(ring: Ring) -> float:
    """Return twice the area; above 0 where it runs clockwise on the screen."""
    y, x = ring.T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))
