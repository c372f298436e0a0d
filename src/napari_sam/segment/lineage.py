"""Who is whom through time, and who has come out of whom: decided by laptrack."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from napari_sam.segment.drift import common_move

if TYPE_CHECKING:
    from napari_sam.types import IntArray

GAP: Final = 2  # frames on which an object may be missed
# Two objects have come out of one if together they are not much larger than it was,
# and of much the same size.
_TOGETHER: Final = 1.5
_ALIKE: Final = 0.5
# Objects further apart than they move are the same if they overlap by this much.
_LEAST_IOU: Final = 0.1
# Stands on every frame and links to itself for nothing: laptrack adds the cost of a
# frame's cheapest link to that of each, so this makes it nothing.
_ANCHOR: Final = -1

# Said, not estimated from all: what happens far away changes nothing here.
_LIMITS: Final[dict[str, Any]] = {
    "cutoff": 1,
    "gap_closing_cutoff": 1,
    "gap_closing_max_frame_count": GAP + 1,
    "splitting_cutoff": 1,
    # To leave two objects alone costs as much as the worst link of both.
    "track_start_cost": 0.5,
    "track_end_cost": 0.5,
    # Of these each one counts against a link.
    "segment_start_cost": 1,
    "segment_end_cost": 1,
    "no_splitting_cost": 1,
    "no_merging_cost": 1,
}

_Floats = npt.NDArray[np.float64]
Node = tuple[int, int]
Pairs = dict[tuple[int, int], float]


@dataclass(frozen=True, slots=True, eq=False)
class Sightings:
    """Objects on all frames of a movie, ordered by time.

    Attributes
    ----------
    times : int64 array, shape (N,)
    centres : float64 array, shape (N, 3)
        (z, y, x), on one scale.
    sizes : float64 array, shape (N,)
        Areas or volumes.
    iou : dict of (earlier row, later row) to float
        Of those that overlap and are at most three frames apart.
    diameter : float
        Of a middle-sized one.
    """

    times: IntArray
    centres: _Floats
    sizes: _Floats
    iou: Pairs
    diameter: float


def follow(seen: Sightings, farthest: float) -> tuple[IntArray, IntArray]:
    """Track objects.

    Parameters
    ----------
    seen : Sightings
    farthest : float
        Objects that hardly overlap are the same only if they are less than this
        apart. What all of them move by together is not held against any.

    Returns
    -------
    track : int64 array, shape (N,)
        From 0, in the order in which tracks begin.
    parent : int64 array, shape (tracks,)
        The track that one has come out of, -1 for none.
    """
    before = _links(seen, _costs(seen, farthest))
    after: dict[int, list[int]] = {}
    for row, earlier in before.items():
        after.setdefault(earlier, []).append(row)
    track = np.full(len(seen.times), -1, np.int64)
    parents: list[int] = []
    for row in range(len(track)):
        mother = before.get(row)
        if mother is not None and len(after[mother]) == 1:
            track[row] = track[mother]
            continue
        track[row] = len(parents)
        parents.append(-1 if mother is None else int(track[mother]))
    return track, np.array(parents, np.int64)


def _costs(seen: Sightings, farthest: float) -> Pairs:
    """Return what it costs to take two sightings for one object, 0 to 1.

    Distance and overlap count the same. Pairs that are neither near each other nor
    overlap are not in it.
    """
    from scipy.spatial import cKDTree

    near: Pairs = {}
    iou = dict(seen.iou)
    rows = {time: np.flatnonzero(seen.times == time) for time in np.unique(seen.times)}
    moves = _moves(seen, rows, farthest)
    for time, first in rows.items():
        tree = cKDTree(seen.centres[first])
        move = np.zeros(3)
        for later in range(time + 1, time + GAP + 2):
            move = move + moves.get(later - 1, 0.0)
            if later not in rows:
                continue
            second = rows[later]
            pairs = tree.sparse_distance_matrix(
                cKDTree(seen.centres[second]), farthest, output_type="coo_matrix"
            )
            a, b = first[pairs.row], second[pairs.col]
            apart = np.linalg.norm(seen.centres[b] - seen.centres[a] - move, axis=1)
            both = list(zip(a.tolist(), b.tolist(), strict=True))
            squared = np.minimum(1.0, (apart / farthest) ** 2)
            near |= zip(both, squared.tolist(), strict=True)
            if move.any():
                # Where they overlap now they would not, had they stayed together.
                shared = np.maximum(0.0, 1 - apart / seen.diameter)
                iou |= zip(both, shared.tolist(), strict=True)
    overlapping = {pair for pair, each in seen.iou.items() if each >= _LEAST_IOU}
    return {
        pair: (near.get(pair, 1.0) + 1 - iou.get(pair, 0.0)) / 2
        for pair in sorted(near.keys() | overlapping)
    }


def _moves(
    seen: Sightings, rows: dict[int, IntArray], farthest: float
) -> dict[int, _Floats]:
    """Return what all objects of a frame move by together until the next one."""
    return {
        time: common_move(
            seen.centres[rows[time]],
            seen.centres[rows[time + 1]],
            (seen.sizes[rows[time]], seen.sizes[rows[time + 1]]),
            seen.diameter,
            farthest,
        )
        for time in rows
        if time + 1 in rows
    }


def _links(seen: Sightings, costs: Pairs) -> dict[int, int]:
    """Return for every row the one before it, if there is one."""
    if not costs:
        return {}
    frames = range(int(seen.times.min()), int(seen.times.max()) + 1)
    rows = [np.append(_ANCHOR, np.flatnonzero(seen.times == time)) for time in frames]
    graph = _tracker(seen, costs).predict([which[:, None] for which in rows])
    before = {
        int(rows[frame][at]): int(rows[earlier][row])
        for (earlier, row), (frame, at) in graph.edges()
    }
    del before[_ANCHOR]
    return _without_unlikely(before, seen, costs)


def _tracker(seen: Sightings, costs: Pairs) -> Any:
    from laptrack import LapTrack

    costs = {**costs, (_ANCHOR, _ANCHOR): 0.0}

    def cost(one: _Floats, other: _Floats) -> float:
        return costs.get((int(one[0]), int(other[0])), math.inf)

    def division(child: _Floats, mother: _Floats) -> float:
        one, other = int(child[0]), int(mother[0])
        smaller = seen.sizes[one] < seen.sizes[other]
        return costs.get((other, one), math.inf) if smaller else math.inf

    return LapTrack(
        metric=cost,
        gap_closing_metric=cost,
        splitting_metric=division,
        merging_cutoff=False,
        **_LIMITS,
    )


def _without_unlikely(
    before: dict[int, int], seen: Sightings, costs: Pairs
) -> dict[int, int]:
    """Keep of two successors the likelier one, unless an object has divided."""
    after: dict[int, list[int]] = {}
    for row, earlier in before.items():
        after.setdefault(earlier, []).append(row)
    for mother, daughters in after.items():
        if len(daughters) < 2 or _divided(seen, mother, daughters):
            continue
        best = min(daughters, key=lambda row: (costs[mother, row], row))
        for row in daughters:
            if row != best:
                del before[row]
    return before


def _divided(seen: Sightings, mother: int, daughters: list[int]) -> bool:
    sizes = seen.sizes[daughters]
    one_time = len(np.unique(seen.times[daughters])) == 1
    alike = bool(sizes.min() >= _ALIKE * sizes.max())
    return one_time and alike and bool(sizes.sum() <= _TOGETHER * seen.sizes[mother])
