"""Regions of interest of ImageJ: `.zip` and `.roi`."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam.records.reading.base import NOTHING, Piece, Read, filled, joined
from napari_sam.records.reading.geojson import at, fit
from napari_sam.types import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

_OURS: Final = re.compile(r"id(\d{1,10})(_|$)")
_AREAS: Final = ("POLYGON", "RECT", "OVAL", "FREEHAND", "TRACED")


def read_rois(path: Path, shape: Sequence[int] | None = None) -> Read:
    """Read the areas among regions as labels.

    Parameters
    ----------
    path : Path
    shape : sequence of int, optional
        As for `read_geojson`.

    Raises
    ------
    ImageError
        If it cannot be read.
    """
    import roifile

    try:
        regions = roifile.roiread(path)
        said = _shape_in(path)
        found = regions if isinstance(regions, list) else [regions]
        pieces = [piece for piece in map(_piece, found) if piece.mask.area]
    except MemoryError:
        raise
    except Exception as error:  # damaged files make roifile raise nearly anything
        why = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(
            f"{path}: these are no regions of ImageJ that can be read ({why[:120]}): "
            "save them again in the ROI Manager"
        ) from error
    axes, whole = said or fit(pieces, shape)
    placed = [at(one, dict(zip("TZ", one.index, strict=True)), axes) for one in pieces]
    read = joined(path, placed, whole, axes=axes, name=path.stem)
    fitted = said is None and whole != tuple(shape or ())
    if len(pieces) == len(found):
        return replace(read, fitted=fitted)
    left_out = len(found) - len(pieces)
    note = f"{path.name}: {left_out} regions are no areas, and are left out"
    return replace(read, notes=(*read.notes, note), fitted=fitted)


def _shape_in(path: Path) -> tuple[str, tuple[int, ...]] | None:
    """Return axes and shape where we wrote the file."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as pack:
        try:
            about = json.loads(pack.comment or b"{}")
            axes, shape = about["axes"].upper(), tuple(map(int, about["shape"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
    return (axes, shape) if len(axes) == len(shape) >= 2 else None


def _piece(region: Any) -> Piece:
    if region.roitype.name not in _AREAS:
        return Piece(NOTHING, (0, 0))
    # A region on a stack of one axis says only its slice.
    time, slices = region.t_position, region.z_position
    if not time and not slices:
        slices = region.position
    named = _OURS.match(region.name)
    rings = [_open(ring) for ring in region.coordinates(multi=True)]
    return Piece(
        filled([ring[:, ::-1] for ring in rings]),
        (max(time - 1, 0), max(slices - 1, 0)),
        int(named[1]) if named else 0,
    )


def _open(ring: Any) -> npt.NDArray[np.float64]:
    corners = np.asarray(ring, np.float64).reshape(-1, 2)
    closed = len(corners) > 1 and np.array_equal(corners[0], corners[-1])
    return corners[:-1] if closed else corners
