"""Planes as a model sees them: whole in memory, or made part by part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from napari_sam.images.normalization import Normalization
    from napari_sam.types import IntBox

LARGE: Final = 2**24
"""Pixels; the colours of a plane with more are made where they are looked at."""

_ROWS: Final = 2**22  # pixels that are looked at together
_SAMPLES: Final = 8  # blocks along each side of a large plane
_SAMPLE: Final = 128  # pixels along each side of a block


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """One 2-D image as the model sees it.

    Attributes
    ----------
    pixels : uint8 array, shape (H, W, 3)
    index : tuple of int
        Position along the stack axes; empty for a single image.
    normalization : Normalization
        How the pixels were made.
    diameter : float, optional
        Of a typical object, in pixels, where somebody has said so.
    """

    pixels: npt.NDArray[np.uint8]
    index: tuple[int, ...]
    normalization: Normalization
    diameter: float | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width, _ = self.pixels.shape
        return height, width

    @property
    def coarser(self) -> tuple[tuple[int, Plane], ...]:
        """The same plane at smaller sizes: how many times smaller, and the plane."""
        return ()

    def crop(self, box: IntBox) -> Plane:
        """Return a part (y0, x0, y1, x1) of it."""
        y0, x0, y1, x1 = box
        pixels = np.ascontiguousarray(self.pixels[y0:y1, x0:x1])
        return Plane(pixels, self.index, self.normalization, self.diameter)

    def bands(self, box: IntBox, multiple: int = 1) -> Iterator[Plane]:
        """Yield a part in bands of few rows, from top to bottom.

        Parameters
        ----------
        box : (y0, x0, y1, x1)
        multiple : int
            The rows of every band but the last are a multiple of this.
        """
        y0, x0, y1, x1 = box
        rows = max(1, _ROWS // ((x1 - x0) * multiple)) * multiple
        for top in range(y0, y1, rows):
            yield self.crop((top, x0, min(top + rows, y1), x1))

    def is_flat(self) -> bool:
        """Whether it has only one colour."""
        return not bool((self.pixels != self.pixels[0, 0]).any())


class LargePlane(Plane):
    """A plane whose colours are made part by part, whenever they are looked at.

    Parameters
    ----------
    paint : callable
        Returns the pixels, uint8 (h, w, 3), of a part (y0, x0, y1, x1).
    shape : (H, W)
    index, normalization, diameter, coarser
        See `Plane`.
    """

    __slots__ = ("_coarser", "_paint", "_shape")

    def __init__(
        self,
        paint: Callable[[IntBox], npt.NDArray[np.uint8]],
        shape: tuple[int, int],
        index: tuple[int, ...],
        normalization: Normalization,
        diameter: float | None = None,
        coarser: Sequence[tuple[int, Plane]] = (),
    ) -> None:
        for name, value in (
            ("_coarser", tuple(coarser)),
            ("_paint", paint),
            ("_shape", shape),
            ("index", index),
            ("normalization", normalization),
            ("diameter", diameter),
        ):
            object.__setattr__(self, name, value)

    _paint: Callable[[IntBox], npt.NDArray[np.uint8]]
    _shape: tuple[int, int]
    _coarser: tuple[tuple[int, Plane], ...]

    @property
    def coarser(self) -> tuple[tuple[int, Plane], ...]:
        """The same plane at smaller sizes: how many times smaller, and the plane."""
        return self._coarser

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """All of it, which may take gigabytes."""
        return self._paint((0, 0, *self._shape))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self._shape

    def crop(self, box: IntBox) -> Plane:
        """Return a part (y0, x0, y1, x1) of it, in memory."""
        return Plane(self._paint(box), self.index, self.normalization, self.diameter)

    def is_flat(self) -> bool:
        """Whether it has only one colour; it looks until it has seen another one."""
        colour = None
        for band in self.bands((0, 0, *self._shape)):
            colour = band.pixels[0, 0] if colour is None else colour
            if (band.pixels != colour).any():
                return False
        return True


def is_large(shape: tuple[int, int]) -> bool:
    """Whether a plane of this shape should not be held in memory as colours."""
    return shape[0] * shape[1] > LARGE


def smaller_by(shape: Sequence[int], other: Sequence[int]) -> int | None:
    """Return how many times smaller the plane of a level of a pyramid is.

    Parameters
    ----------
    shape, other : sequence of int
        Of the whole image, and of the level; Y and X last.

    Returns
    -------
    int or None
        None where anything but Y and X differs, or these differ otherwise.
    """
    if len(shape) != len(other) or tuple(shape[:-2]) != tuple(other[:-2]):
        return None
    factor = round(shape[-2] / other[-2])
    pairs = zip(shape[-2:], other[-2:], strict=True)
    same = factor > 0 and all(abs(n / factor - less) < 1 for n, less in pairs)
    return factor if factor > 1 and same else None


def sample_boxes(shape: tuple[int, int]) -> Iterator[IntBox]:
    """Yield fixed, evenly spaced blocks of a large plane, to take the contrast from."""
    rows, columns = (
        np.linspace(0, max(0, side - _SAMPLE), _SAMPLES).astype(int).tolist()
        for side in shape
    )
    height, width = shape
    for y in rows:
        for x in columns:
            yield y, x, min(y + _SAMPLE, height), min(x + _SAMPLE, width)
