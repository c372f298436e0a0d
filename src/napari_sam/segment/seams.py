"""What was found on overlapping tiles becomes what is on the plane.

Each object once, as the tile saw it that had most around it. What a tile cut is left
to the tile that saw it whole; where none did, the pieces are joined.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam.models.lane import checkpoint
from napari_sam.models.tiles import shifted
from napari_sam.segment.proposals import Clicks, Proposals
from napari_sam.types import Mask

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from napari_sam.models.tiles import Grid, Part
    from napari_sam.types import IntBox

_NEAR: Final = 4  # pixels, at least; a mask that ends so close to its tile's end is cut
_NEAR_OF_SIDE: Final = 128  # and of larger tiles this part
_SAME: Final = 0.5  # IoU of two views of one object
_COVERED: Final = 0.3  # of a doubtful mask: others have that object already
_AGREE: Final = 0.5  # IoU, where both tiles see, of two pieces of one object
_CELL: Final = 256  # pixels, of the index of what lies where


def on_plane(part: Part, proposals: Proposals) -> Proposals:
    """Return what was found on a tile where it lies on the plane."""
    y, x = part.corner
    masks = tuple(m if m.area == 0 else shifted(m, (y, x)) for m in proposals.masks)
    clicks = proposals.clicks
    if clicks is not None:
        points = clicks.points + np.array([y, x], np.float32)
        clicks = Clicks(points, clicks.crops + np.array([y, x, y, x]))
    return replace(proposals, masks=masks, clicks=clicks)


def merge(grid: Grid, found: Sequence[tuple[int, Proposals]]) -> Proposals:
    """Bring what the tiles of a plane show together.

    Parameters
    ----------
    grid : Grid
    found : sequence of (number, Proposals)
        The tile's number in `grid.parts`, and what was found on it, where that lies on
        the plane. At least one; all with clicks or all without.
    """
    together = _together([proposals for _, proposals in found])
    tiles = np.repeat(
        [number for number, _ in found], [len(proposals) for _, proposals in found]
    )
    seen = list(_sightings(grid, together, tiles.tolist()))
    objects = _whole(one for one in seen if not one.cut)
    searched = {grid.parts[number] for number, _ in found}
    left = [one for one in seen if one.cut and not _known(grid, one, objects, searched)]
    pieces = _joined(grid, left)
    chosen = sorted([*objects, *pieces], key=lambda one: one.source)
    kept = together.take(np.array([one.source for one in chosen], np.int64))
    return replace(
        kept,
        shape=grid.shape,
        masks=tuple(one.mask for one in chosen),
        parts=len(grid.parts),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Sighting:
    """A mask, as one tile shows it.

    Attributes
    ----------
    source : int
        Its number among all.
    tile : int
    mask : Mask
    kind : int
        Its class.
    score : float
    cut : bool
        It ends where its tile ends.
    own : bool
        Its middle lies in its tile's core.
    """

    source: int
    tile: int
    mask: Mask
    kind: int
    score: float
    cut: bool
    own: bool


class _Index:
    """Objects by where they lie."""

    def __init__(self) -> None:
        self.objects: list[_Sighting] = []
        self._cells: defaultdict[tuple[int, int], list[_Sighting]] = defaultdict(list)

    def add(self, one: _Sighting) -> None:
        self.objects.append(one)
        for cell in _cells(one.mask.box):
            self._cells[cell].append(one)

    def beside(self, one: _Sighting) -> list[_Sighting]:
        """Return those of the same class on other tiles whose boxes overlap its own."""
        near = {id(o): o for cell in _cells(one.mask.box) for o in self._cells[cell]}
        return [
            other
            for other in near.values()
            if other.tile != one.tile
            and other.kind == one.kind
            and _overlap(other.mask.box, one.mask.box)
        ]

    def __iter__(self) -> Iterator[_Sighting]:
        return iter(self.objects)


def _together(found: Sequence[Proposals]) -> Proposals:
    clicks = [one.clicks for one in found if one.clicks is not None]
    # Tiles of one colour say nothing but that.
    first = next((one for one in found if one.has_contrast), found[0])
    return replace(
        first,
        masks=tuple(mask for one in found for mask in one.masks),
        scores=np.concatenate([one.scores for one in found]),
        classes=np.concatenate([one.classes for one in found]),
        truncated=any(one.truncated for one in found),
        clicks=Clicks(
            np.concatenate([each.points for each in clicks]),
            np.concatenate([each.crops for each in clicks]),
        )
        if clicks
        else None,
    )


def _sightings(
    grid: Grid, proposals: Proposals, tiles: Sequence[int]
) -> Iterator[_Sighting]:
    """Yield the masks that are not deep inside another tile's core."""
    for source, (tile, mask) in enumerate(zip(tiles, proposals.masks, strict=True)):
        if mask.area == 0:
            continue
        y0, x0, y1, x1 = mask.box
        away = _away(((y0 + y1) / 2, (x0 + x1) / 2), grid.cores[tile])
        if away > max(y1 - y0, x1 - x0) / 2:
            continue
        yield _Sighting(
            source,
            tile,
            mask,
            int(proposals.classes[source]),
            float(proposals.scores[source]) * mask.score,
            grid.cuts(grid.parts[tile], mask.box, _near(grid)),
            away <= 0,
        )


def _whole(seen: Iterable[_Sighting]) -> _Index:
    """Take each object once; the tile in whose core it lies has the first say."""
    objects = _Index()
    for one in sorted(seen, key=lambda one: (not one.own, -one.score)):
        checkpoint()
        others = objects.beside(one)
        if one.own:
            again = any(one.mask.iou(other.mask) > _SAME for other in others)
        else:
            again = _covered(one, others) > _COVERED
        if not again:
            objects.add(one)
    return objects


def _known(
    grid: Grid, one: _Sighting, objects: _Index, searched: Container[Part]
) -> bool:
    """Whether a piece is of an object that another tile has seen, or would have."""
    if _covered(one, objects.beside(one)) > _COVERED:
        return True
    box, own = one.mask.box, grid.parts[one.tile]
    return any(
        part != own and part in searched and not grid.cuts(part, box, _near(grid))
        for part in grid.holding(box)
    )


def _joined(grid: Grid, pieces: Sequence[_Sighting]) -> Iterator[_Sighting]:
    """Join pieces that are the same where two tiles see them."""
    index = _Index()
    groups: dict[int, list[_Sighting]] = {}  # by the source of each of their pieces
    for piece in pieces:
        checkpoint()
        group = [piece]
        for other in index.beside(piece):
            theirs = groups[other.source]
            if all(each not in group for each in theirs) and _agree(grid, piece, other):
                group = theirs + group
        groups |= {each.source: group for each in group}
        index.add(piece)
    for group in {id(group): group for group in groups.values()}.values():
        largest = max(group, key=lambda one: one.mask.area)
        yield replace(largest, mask=_union([one.mask for one in group]))


def _agree(grid: Grid, one: _Sighting, other: _Sighting) -> bool:
    """Whether two masks are the same where both tiles see."""
    first, second = grid.parts[one.tile].box, grid.parts[other.tile].box
    y0, x0 = max(first[0], second[0]), max(first[1], second[1])
    y1, x1 = min(first[2], second[2]), min(first[3], second[3])
    window = Mask((y0, x0, y1, x1), np.zeros((y1 - y0, x1 - x0), np.bool_), 0.0)
    here, there = one.mask.seen_in(window), other.mask.seen_in(window)
    either = np.count_nonzero(here | there)
    shared = np.count_nonzero(here & there)
    return bool(either and shared >= _AGREE * either)


def _union(masks: Sequence[Mask]) -> Mask:
    boxes = np.array([mask.box for mask in masks])
    y0, x0 = boxes[:, :2].min(0).tolist()
    y1, x1 = boxes[:, 2:].max(0).tolist()
    data = np.zeros((y1 - y0, x1 - x0), np.bool_)
    for mask in masks:
        top, left, bottom, right = mask.box
        data[top - y0 : bottom - y0, left - x0 : right - x0] |= mask.data
    best = max(masks, key=lambda mask: mask.area)
    return replace(best, box=(y0, x0, y1, x1), data=data)


def _covered(one: _Sighting, others: Sequence[_Sighting]) -> float:
    """Return which part of a mask others have, from 0 to 1."""
    covered = np.zeros_like(one.mask.data)
    for other in others:
        covered |= other.mask.seen_in(one.mask)
    return np.count_nonzero(covered & one.mask.data) / one.mask.area


def _near(grid: Grid) -> int:
    return max(_NEAR, grid.side // _NEAR_OF_SIDE)


def _away(point: tuple[float, float], core: IntBox) -> float:
    """Return how far a point lies outside of a box."""
    (y, x), (y0, x0, y1, x1) = point, core
    return max(y0 - y, y - y1, x0 - x, x - x1)


def _cells(box: IntBox) -> Iterator[tuple[int, int]]:
    y0, x0, y1, x1 = box
    rows = range(y0 // _CELL, (y1 - 1) // _CELL + 1)
    return product(rows, range(x0 // _CELL, (x1 - 1) // _CELL + 1))


def _overlap(one: IntBox, other: IntBox) -> bool:
    return (
        one[0] < other[2]
        and other[0] < one[2]
        and one[1] < other[3]
        and other[1] < one[3]
    )
