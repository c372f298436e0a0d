"""Which planes are read, and what is seen in them before a model is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_sam.images import Normalization, Plane
    from napari_sam.live.source import Source
    from napari_sam.live.values import Index

_FAR: Final = 2  # so many neighbours on either side


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A plane as models see it, or why there is nothing to be seen."""

    plane: Plane | None
    problem: str = ""


class Reader:
    """Reads planes of one image; used on one thread.

    Parameters
    ----------
    source : Source
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._contrast: Normalization | None = None

    def look(self, index: Index) -> Look:
        """Read a plane; the first time the contrast of the whole image is measured.

        Raises
        ------
        ImageError
            If it cannot be read.
        """
        plane = self.plane(index)
        if not plane.is_flat():
            return Look(plane)
        noun = _noun(self.source.stack_axes)
        return Look(None, _why_flat(self.source.read(index), noun))

    def plane(self, index: Index) -> Plane:
        """Read a plane whatever is on it; else as `look`."""
        return self.source.plane(index, self.contrast())

    def contrast(self) -> Normalization:
        """Return that of the whole image; it is measured the first time."""
        if self._contrast is None:
            self._contrast = self.source.contrast()
        return self._contrast


def around(
    index: Index | None, last: Index | None, stack_shape: tuple[int, ...]
) -> list[Index]:
    """Return the neighbours of a plane, in the order in which they may be wanted.

    Parameters
    ----------
    index : tuple of int or None
    last : tuple of int or None
        Where one came from: it tells the axis and the direction.
    stack_shape : tuple of int

    Examples
    --------
    >>> around((3,), (2,), (6,))
    [(4,), (2,), (5,), (1,)]
    """
    if index is None or not stack_shape:
        return []
    moves = [0] * len(index)
    if last is not None and len(last) == len(index):
        moves = [here - there for here, there in zip(index, last, strict=True)]
    changed = [axis for axis, move in enumerate(moves) if move]
    deep = [axis for axis, length in enumerate(stack_shape) if length > 1]
    axis = (changed or deep or [0])[-1]
    ahead = -1 if moves[axis] < 0 else 1
    steps = [sign * far for far in range(1, _FAR + 1) for sign in (ahead, -ahead)]
    places = [index[axis] + step for step in steps]
    return [
        (*index[:axis], place, *index[axis + 1 :])
        for place in places
        if 0 <= place < stack_shape[axis]
    ]


def _noun(stack_axes: str) -> str:
    if not stack_axes:
        return "image"
    return "frame" if stack_axes == "T" else "slice"


def _why_flat(pixels: npt.NDArray[Any], noun: str) -> str:
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).any():
        return f"this {noun} holds no numbers (NaN): there is nothing to outline"
    if (pixels == pixels[0, 0]).all():
        return f"this {noun} has one colour only: there is nothing to outline"
    return f"this {noun} has no contrast: there is nothing to outline"
