"""A plane cut into overlapping parts, each answering for a range of its own."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam.types import Box


def cut(
    shape: tuple[int, ...], side: int, overlap: int
) -> Iterator[tuple[tuple[int, int, int, int], Box]]:
    """Cut a plane into parts.

    Parameters
    ----------
    shape : (H, W)
    side : int
        Most rows and columns of a part.
    overlap : int
        At least so many rows and columns are shared by neighbours: an object that
        is no larger lies whole in the part that owns its centre.

    Yields
    ------
    part : (y0, x0, y1, x1)
        In pixels.
    own : (y0, x0, y1, x1)
        The part answers for objects whose centre lies here; every point of the
        plane belongs to one part.
    """
    rows, columns = (_cut_side(length, max(1, side), overlap) for length in shape[:2])
    for (y0, y1), (top, bottom) in rows:
        for (x0, x1), (left, right) in columns:
            yield (y0, x0, y1, x1), (top, left, bottom, right)


def _cut_side(
    length: int, side: int, overlap: int
) -> list[tuple[tuple[int, int], tuple[float, float]]]:
    if length <= side:
        return [((0, length), (-math.inf, math.inf))]
    overlap = min(overlap, side - 1)
    count = math.ceil((length - overlap) / (side - overlap))
    starts = [round(i * (length - side) / (count - 1)) for i in range(count)]
    edges = [
        -math.inf,
        *((start + side + after) / 2 for start, after in itertools.pairwise(starts)),
        math.inf,
    ]
    return [
        ((start, start + side), owned)
        for start, owned in zip(starts, itertools.pairwise(edges), strict=True)
    ]
