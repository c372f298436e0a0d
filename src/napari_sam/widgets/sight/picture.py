"""A small picture of a plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap

from napari_sam.models.tiles.large import reduced

if TYPE_CHECKING:
    from napari_sam.images import Plane

_WIDE: Final = 260  # pixels of the picture, at most
_LOOKED_THROUGH: Final = 8  # times the picture, twice as fine: what is read for it


def small(plane: Plane) -> Plane:
    """Return a plane at the size of the picture, or what is in the middle of it.

    All of a very large plane would have to be read, unless a smaller one is there.
    """
    step = max(1, max(plane.shape) // (2 * _WIDE))
    if step > _LOOKED_THROUGH and not plane.coarser:
        corners = [(n // 2 - _WIDE, n // 2 + _WIDE) for n in plane.shape]
        (y0, y1), (x0, x1) = (
            (max(0, low), min(n, high))
            for (low, high), n in zip(corners, plane.shape, strict=True)
        )
        return plane.crop((y0, x0, y1, x1))
    return reduced(plane, (0, 0, *plane.shape), step)


def pixmap(plane: Plane) -> QPixmap:
    """Return a plane as Qt shows it."""
    pixels = np.ascontiguousarray(plane.pixels)
    height, width = pixels.shape[:2]
    picture = QImage(
        pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888
    )
    return QPixmap.fromImage(picture).scaled(
        _WIDE,
        _WIDE,
        Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )
