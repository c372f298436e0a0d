"""How far all objects of a frame move together: a stage drifts, a tissue flows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    _Floats = npt.NDArray[np.float64]

# Of fewer objects nobody can tell what they have in common.
_LEAST: Final = 16
# Moves that differ by so many diameters count as the same, hardly.
_WIDTH: Final = 0.25
_ALIKE: Final = 0.25  # the same for sizes: the logarithm of their ratio
# A move must explain so many times what staying in place does, and what any move
# explains by chance.
_BETTER: Final = 1.5
_THAN_CHANCE: Final = 2.5


def common_move(
    before: _Floats,
    after: _Floats,
    sizes: tuple[_Floats, _Floats],
    diameter: float,
    farthest: float,
) -> _Floats:
    """Return by how much most objects of one frame lie elsewhere on the next.

    Each pair of objects votes for the move between them, the more the more alike
    their sizes are. Where objects lie about as far apart as they move, votes for a
    neighbour are as many as those for the object itself, but of another size.

    Parameters
    ----------
    before, after : float64 array, shape (N, 3)
        Centres (z, y, x) on both frames, on one scale.
    sizes : pair of float64 array, shape (N,)
        Areas or volumes, on both.
    diameter : float
        Of a middle-sized object.
    farthest : float
        Objects move by less than this.

    Returns
    -------
    float64 array, shape (3,)
        Zero where they have nothing in common that can be told.
    """
    from scipy.spatial import cKDTree

    nowhere = np.zeros(3)
    if min(len(before), len(after)) < _LEAST:
        return nowhere
    pairs = cKDTree(before).sparse_distance_matrix(
        cKDTree(after), farthest, output_type="coo_matrix"
    )
    if pairs.nnz == 0:
        return nowhere
    moves = after[pairs.col] - before[pairs.row]
    ratio = np.log(sizes[1][pairs.col] / sizes[0][pairs.row])
    votes = np.exp(-0.5 * (ratio / _ALIKE) ** 2)
    width = _WIDTH * diameter
    move = _first_guess(moves, votes, width)
    by_chance = _by_chance(votes, width, farthest, 3 if moves[:, 0].any() else 2)

    def weights(where: _Floats) -> _Floats:
        apart = ((moves - where) ** 2).sum(1)
        return np.asarray(votes * np.exp(-0.5 * apart / width**2))

    for _ in range(10):
        near = weights(move)
        move = (near[:, None] * moves).sum(0) / near.sum()
    least = max(_BETTER * weights(nowhere).sum(), _THAN_CHANCE * by_chance)
    return move if weights(move).sum() >= least else nowhere


def _first_guess(moves: _Floats, votes: _Floats, width: float) -> _Floats:
    """Return a move that explains much: the highest place of a smooth histogram."""
    from scipy import ndimage

    cells = np.rint(moves / (width / 2)).astype(np.int64)
    lowest = cells.min(0)
    counted = np.zeros(np.ptp(cells, axis=0) + 1)
    np.add.at(counted, tuple((cells - lowest).T), votes)
    support = ndimage.gaussian_filter(counted, 2.0, mode="constant")
    highest = np.unravel_index(np.argmax(support), support.shape)
    return np.asarray((np.array(highest) + lowest) * (width / 2))


def _by_chance(votes: _Floats, width: float, farthest: float, axes: int) -> float:
    """Return what any move explains if all moves are equally likely."""
    ball = math.pi * farthest**2 if axes == 2 else 4 / 3 * math.pi * farthest**3
    return float(votes.sum() * (math.sqrt(2 * math.pi) * width) ** axes / ball)
