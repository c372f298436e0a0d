"""Where the tiles of a large plane lie, and which of them shows an object best.

Tiles of one size overlap by a quarter of their side. Each further level has tiles
twice as wide that are seen at half the size, up to the overview, which is one tile;
so whatever its size, an object fits into a tile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise, product
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sam.types import Box, IntBox

Span = tuple[int, int]

_OVERLAP: Final = 0.25  # of a tile's side
# Tiles begin at multiples of this: the largest stride of the encoders that take any
# size, which then see a pixel of two tiles in the same place of their grid.
_UNIT: Final = 32
# An object needs so much of its size around it, or a coarser level shows it better.
_AROUND: Final = 0.125


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a model wants to see large planes.

    Attributes
    ----------
    side : int
        Of a tile, in pixels as the model sees it.
    whole : int
        A plane whose longer side has at most so many is seen in one piece.
    small, large : float
        Typical objects of a smaller diameter are enlarged to `small`, of a larger one
        reduced to `large`.
    most : float
        Nothing is enlarged more than this.
    """

    side: int
    whole: int
    small: float
    large: float
    most: float

    def scale(self, diameter: float | None) -> float:
        """Return the size that a pixel is to be seen at; 1 if nothing is known."""
        if diameter is None or self.small / 1.3 <= diameter <= self.large:
            return 1.0
        if diameter < self.small:
            return min(self.most, self.small / diameter)
        return self.large / diameter


@dataclass(frozen=True, slots=True)
class Part:
    """A tile.

    Attributes
    ----------
    level : int
        0 is the finest.
    box : (y0, x0, y1, x1)
        In the plane.
    """

    level: int
    box: IntBox

    @property
    def corner(self) -> tuple[int, int]:
        """Its first pixel."""
        return self.box[:2]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in the plane's pixels."""
        y0, x0, y1, x1 = self.box
        return y1 - y0, x1 - x0


@dataclass(frozen=True, eq=False)
class Grid:
    """The tiles of a plane.

    Attributes
    ----------
    shape : (H, W)
        Of the plane.
    side : int
        Of a tile of level 0, in pixels of the plane.
    """

    shape: tuple[int, int]
    side: int

    @classmethod
    def of(
        cls, shape: tuple[int, int], tiling: Tiling, diameter: float | None
    ) -> Grid | None:
        """Return the tiles of a plane; None where it is seen in one piece."""
        scale = tiling.scale(diameter)
        if max(shape) * scale <= tiling.whole:
            return None
        return cls(shape, max(4 * _UNIT, round(tiling.side / scale)))

    @cached_property
    def levels(self) -> int:
        """How many there are; the last one is the overview."""
        level = 0
        while any(len(spans) > 1 for spans, _ in self._sides(level)):
            level += 1
        return level + 1

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The tiles of level 0, row by row."""
        return tuple(self._parts(0))

    @cached_property
    def cores(self) -> tuple[IntBox, ...]:
        """Each tile's own part of the plane: no pixel is in two, each is in one."""
        rows, columns = (_cores(spans, n) for spans, n in self._sides(0))
        return tuple((y0, x0, y1, x1) for (y0, y1), (x0, x1) in product(rows, columns))

    @property
    def overview(self) -> Part:
        """The whole plane."""
        return Part(self.levels - 1, (0, 0, *self.shape))

    def best(self, extent: Box, level: int = 0) -> Part:
        """Return the tile that shows something best.

        Parameters
        ----------
        extent : (y0, x0, y1, x1)
            Of what is to be seen; a point has no size.
        level : int
            Not a finer one.
        """
        y0, x0, y1, x1 = extent
        needed = max(y1 - y0, x1 - x0) * _AROUND
        for number in range(level, self.levels - 1):
            (rows, height), (columns, width) = self._sides(number)
            row, above = _widest(rows, height, y0, y1)
            column, beside = _widest(columns, width, x0, x1)
            if min(above, beside) >= needed:
                return Part(number, (row[0], column[0], row[1], column[1]))
        return self.overview

    def holding(self, box: IntBox) -> Iterator[Part]:
        """Yield the tiles of level 0 that hold all of a box."""
        y0, x0, y1, x1 = box
        (rows, _), (columns, _) = self._sides(0)
        above = [span for span in rows if span[0] <= y0 and y1 <= span[1]]
        beside = [span for span in columns if span[0] <= x0 and x1 <= span[1]]
        for row, column in product(above, beside):
            yield Part(0, (row[0], column[0], row[1], column[1]))

    def cuts(self, part: Part, box: IntBox, near: int = 1) -> bool:
        """Whether something ends where a tile ends and the plane does not."""
        edges = (0, 0, *self.shape)
        return any(
            side != edge and abs(at - side) <= near
            for at, side, edge in zip(box, part.box, edges, strict=True)
        )

    def _parts(self, level: int) -> Iterator[Part]:
        rows, columns = (spans for spans, _ in self._sides(level))
        for (y0, y1), (x0, x1) in product(rows, columns):
            yield Part(level, (y0, x0, y1, x1))

    def _sides(self, level: int) -> list[tuple[tuple[Span, ...], int]]:
        return [(_spans(n, self.side, level), n) for n in self.shape]


@lru_cache(maxsize=64)
def _spans(length: int, side: int, level: int) -> tuple[Span, ...]:
    """Cut a length into overlapping spans of one size; the last may be longer."""
    unit = _UNIT << level
    size = side << level
    if length <= size:
        return ((0, length),)
    step = max(unit, int(size * (1 - _OVERLAP)) // unit * unit)
    last = (length - size) // unit * unit
    starts = [*range(0, last, step), last]
    return tuple((at, length if at == last else at + size) for at in starts)


def _cores(spans: Sequence[Span], length: int) -> list[Span]:
    """Part neighbours in the middle of what they share."""
    middles = [(low[1] + high[0]) // 2 for low, high in pairwise(spans)]
    return list(pairwise([0, *middles, length]))


def _widest(
    spans: Sequence[Span], length: int, low: float, high: float
) -> tuple[Span, float]:
    """Return the span with most room around what lies from low to high, and that."""

    def room(span: Span) -> float:
        before = math.inf if span[0] == 0 else low - span[0]
        behind = math.inf if span[1] == length else span[1] - high
        return min(before, behind)

    found = max(spans, key=room)
    return found, room(found)
