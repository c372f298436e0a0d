"""What a brush has painted over, from what napari says about the stroke."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_sam.live.labels.access import pixels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sam.live.labels.access import LabelArray
    from napari_sam.live.labels.changes import IntBox
    from napari_sam.live.values import Index

Pixels = npt.NDArray[Any]
# Plane, box, which of its pixels were painted (None: all), what they were.
_Piece = tuple["Index", "IntBox", "npt.NDArray[np.bool_] | None", Pixels]


def before(
    labels: LabelArray, atoms: Sequence[Any]
) -> list[tuple[Index, IntBox, Pixels]]:
    """Return the touched box of every plane as it was in front of a stroke.

    Parameters
    ----------
    labels : integer array, shape (..., H, W)
        As it is after the stroke.
    atoms : sequence
        The value of napari's `paint` event: what was painted, piece by piece. Old
        releases tell the pixels one by one, newer ones box by box.
    """
    pieces = [piece for atom in atoms for piece in _pieces(atom)]
    boxes: dict[Index, IntBox] = {}
    for index, box, _, _ in pieces:
        boxes[index] = _union(boxes.get(index, box), box)
    old = {index: pixels(labels, index, box).copy() for index, box in boxes.items()}
    # Pieces may lie on each other: the first one knows what was there.
    for index, box, painted, values in reversed(pieces):
        top, left = boxes[index][:2]
        y0, x0, y1, x1 = box
        part = old[index][y0 - top : y1 - top, x0 - left : x1 - left]
        np.copyto(part, values, where=True if painted is None else painted)
    return [(index, boxes[index], old[index]) for index in boxes]


def _pieces(atom: Any) -> Iterator[_Piece]:
    if hasattr(atom, "slice_key"):
        yield from _boxed(atom.slice_key, atom.mask, np.asarray(atom.old_values))
    else:
        indices, values, *_ = atom
        yield from _listed(indices, np.asarray(values))


def _boxed(
    key: tuple[slice, ...], mask: npt.NDArray[np.bool_] | None, values: Pixels
) -> Iterator[_Piece]:
    y, x = key[-2:]
    box = (int(y.start), int(x.start), int(y.stop), int(x.stop))
    if mask is None:
        old = values
    else:
        old = np.zeros(mask.shape, values.dtype)
        old[mask] = values
    starts = [int(axis.start) for axis in key[:-2]]
    for at in np.ndindex(old.shape[:-2]):
        index = tuple(start + i for start, i in zip(starts, at, strict=True))
        yield index, box, None if mask is None else mask[at], old[at]


def _listed(indices: Sequence[Any], values: Pixels) -> Iterator[_Piece]:
    at = np.stack([np.asarray(axis).ravel() for axis in indices])
    values = np.broadcast_to(values, at.shape[1:])
    planes, which = np.unique(at[:-2], axis=1, return_inverse=True)
    for number in range(planes.shape[1] if len(at) > 2 else 1):
        here = which.ravel() == number if len(at) > 2 else slice(None)
        y, x = at[-2][here], at[-1][here]
        box = (int(y.min()), int(x.min()), int(y.max()) + 1, int(x.max()) + 1)
        painted = np.zeros((box[2] - box[0], box[3] - box[1]), np.bool_)
        old = np.zeros(painted.shape, values.dtype)
        # The last of several would win: the first is what was there.
        painted[y[::-1] - box[0], x[::-1] - box[1]] = True
        old[y[::-1] - box[0], x[::-1] - box[1]] = values[here][::-1]
        index = tuple(int(i) for i in planes[:, number]) if len(at) > 2 else ()
        yield index, box, painted, old


def _union(a: IntBox, b: IntBox) -> IntBox:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])
