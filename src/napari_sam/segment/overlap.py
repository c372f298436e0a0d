"""How much the objects of two label images share, and who belongs to whom.

Only pairs that touch are ever kept, so the cost grows with the number of
objects and not with its square.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from napari_sam.types import IntArray, Mask

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Overlaps:
    """The pairs of objects of two label images that share pixels.

    Attributes
    ----------
    first_ids, second_ids : int64 array
        The ids in each image (without 0), ascending.
    first_areas, second_areas : int64 array
        Their pixels.
    first, second : int64 array
        For every pair the positions in `first_ids` and `second_ids`.
    shared : int64 array
        For every pair the pixels that it shares.
    """

    first_ids: IntArray
    second_ids: IntArray
    first_areas: IntArray
    second_areas: IntArray
    first: IntArray
    second: IntArray
    shared: IntArray

    @property
    def iou(self) -> _Floats:
        """Intersection over union of every pair."""
        either = self.first_areas[self.first] + self.second_areas[self.second]
        return np.asarray(self.shared / (either - self.shared), np.float64)


def count_overlaps(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> Overlaps:
    """Count what the objects of two label images of one shape share."""
    first_ids, first_areas = _areas(first)
    second_ids, second_areas = _areas(second)
    both = (first != 0) & (second != 0)
    a = np.searchsorted(first_ids, first[both].astype(np.int64))
    b = np.searchsorted(second_ids, second[both].astype(np.int64))
    codes, shared = np.unique(a * max(1, second_ids.size) + b, return_counts=True)
    pair_first, pair_second = np.divmod(codes, max(1, second_ids.size))
    return Overlaps(
        first_ids,
        second_ids,
        first_areas,
        second_areas,
        pair_first.astype(np.int64),
        pair_second.astype(np.int64),
        shared.astype(np.int64),
    )


def best_pairs(first: IntArray, second: IntArray, weights: _Floats) -> IntArray:
    """Choose pairs so that nobody is in two and their weights add up to the most.

    Parameters
    ----------
    first, second : int64 array
        The members of every possible pair.
    weights : float array
        Positive; what choosing the pair is worth.

    Returns
    -------
    int64 array
        Which pairs were chosen, ascending. The groups of objects that touch
        directly or through others are solved one by one, so that no matrix
        of everyone with everyone is needed.
    """
    # A pair whose members have no other choice needs no solver.
    alone = (_times(first) == 1) & (_times(second) == 1)
    chosen = [np.flatnonzero(alone)]
    rest = np.flatnonzero(~alone)
    if rest.size:
        groups = _groups(first[rest], second[rest])
        order = np.argsort(groups, kind="stable")
        starts = np.flatnonzero(np.diff(groups[order])) + 1
        for members in np.split(rest[order], starts):
            picked = _solve(first[members], second[members], weights[members])
            chosen.append(members[picked])
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def middle(mask: Mask) -> tuple[float, float]:
    """Return the middle (y, x) of the pixel that is furthest from the outline."""
    from scipy import ndimage

    depth = ndimage.distance_transform_edt(np.pad(mask.data, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return mask.box[0] + int(y) + 0.5, mask.box[1] + int(x) + 0.5


def _areas(labels: npt.NDArray[Any]) -> tuple[IntArray, IntArray]:
    ids, areas = np.unique(labels[labels != 0], return_counts=True)
    return ids.astype(np.int64), areas.astype(np.int64)


def _times(members: IntArray) -> IntArray:
    """Return for every entry how often its value occurs."""
    _, position, counts = np.unique(members, return_inverse=True, return_counts=True)
    return np.asarray(counts[position], np.int64)


def _groups(first: IntArray, second: IntArray) -> IntArray:
    # scipy is imported where it is used: loading it takes longer than the
    # whole of `import napari_sam` may.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    a = np.unique(first, return_inverse=True)[1]
    b = np.unique(second, return_inverse=True)[1] + a.max() + 1
    size = int(b.max()) + 1
    graph = coo_array((np.ones(a.size, np.int8), (a, b)), shape=(size, size))
    _, group = connected_components(graph, directed=False)
    return np.asarray(group[a], np.int64)


def _solve(first: IntArray, second: IntArray, weights: _Floats) -> IntArray:
    from scipy.optimize import linear_sum_assignment

    a_ids, a = np.unique(first, return_inverse=True)
    b_ids, b = np.unique(second, return_inverse=True)
    worth = np.zeros((a_ids.size, b_ids.size))
    pair = np.full(worth.shape, -1, np.int64)
    worth[a, b] = weights
    pair[a, b] = np.arange(a.size)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    picked = pair[rows, columns]
    return np.asarray(picked[picked >= 0], np.int64)
