"""Rules that turn a raw mask into one object without specks and pinholes.

Pieces are connected through pixel sides (4 neighbours) and, to match, holes
are connected through corners too (8 neighbours): a background pixel that
reaches the outside only diagonally is no hole.
"""

from __future__ import annotations

import numpy as np

from napari_sam.types import BoolArray, Mask


def clean_mask(
    mask: Mask,
    *,
    max_hole: float = 0.1,
    min_fragment: float = 1.0,
    free: BoolArray | None = None,
) -> Mask:
    """Drop fragments, then fill holes.

    Parameters
    ----------
    mask : Mask
    max_hole : float
        A hole is filled when it is at most this fraction of the area that is
        left after fragments were dropped.
    min_fragment : float
        A piece is kept only when it is larger than this fraction of the
        largest one, which is always kept (of equally large ones the first).
    free : bool array, optional
        Of the shape of `mask.data`: a hole is filled only when all of it is
        free.

    Returns
    -------
    Mask
        With the box fitted to what is left; empty if `mask` is.
    """
    if mask.area == 0:
        return Mask.from_array(mask.data, score=mask.score, stability=mask.stability)
    data = fill_holes(drop_fragments(mask.data, min_fragment), max_hole, free)
    return Mask.from_array(
        data, mask.box[:2], score=mask.score, stability=mask.stability
    )


def drop_fragments(
    data: BoolArray, fraction: float, wanted: BoolArray | None = None
) -> BoolArray:
    """Keep the largest piece, those larger than `fraction` of it, and wanted ones."""
    from scipy import ndimage

    pieces, count = ndimage.label(data)
    if count <= 1:
        return data
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    largest = int(sizes.argmax())
    keep = sizes > fraction * sizes[largest]
    keep[largest] = True
    if wanted is not None:
        keep[pieces[wanted]] = True
    keep[0] = False
    return np.asarray(keep[pieces])


def fill_holes(
    data: BoolArray, fraction: float, free: BoolArray | None = None
) -> BoolArray:
    """Fill holes of at most `fraction` of the area, if all of them is free."""
    from scipy import ndimage

    gaps, count = ndimage.label(~data, np.ones((3, 3)))
    if count == 0:
        return data
    sizes = np.bincount(gaps.ravel())
    fill = sizes <= fraction * data.sum()
    fill[0] = False
    for edge in (gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1]):
        fill[edge] = False
    if free is not None:
        fill[gaps[~free]] = False
    return np.asarray(data | fill[gaps])
