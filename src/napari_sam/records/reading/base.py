"""What every reader returns, and how outlines and masks become labels."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from napari_sam.types import ImageError, Mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from napari_sam.records.labels import PixelSize
    from napari_sam.types import BoolArray

_MOST: Final = 2**33  # pixels: files that ask for more are damaged
_HAIR: Final = 1e-6
_HIGHEST: Final = np.iinfo(np.uint32).max


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """Labels that were read.

    Attributes
    ----------
    name : str
    labels : integer array, shape (…, H, W)
    axes : str
        One letter for each axis, such as "ZYX"; empty where nobody knows.
    features : mapping of str to sequence
        Columns of a table with a row for each object, `index` is its label. May be
        empty.
    pixel_size : mapping of axis to (size, unit)
    notes : tuple of str
        What a person should know, one line each.
    class_names : tuple of str
        All classes, in the order of the file; also those that no object has.
    fitted : bool
        Nobody knew how large the image is: the labels are as large as the objects.
    known : bool array of the labels' shape, optional
        Where the labels are the truth; without it everywhere.
    """

    name: str
    labels: npt.NDArray[Any]
    axes: str = ""
    features: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    pixel_size: PixelSize = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    fitted: bool = False
    known: BoolArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One image of a file, to be read when it is wanted.

    Attributes
    ----------
    image : str
        What the file calls it; empty where it does not.
    load : callable
        Takes the shape of the image, or None, as `reading.read` does.
    """

    image: str
    load: Callable[[Sequence[int] | None], Read]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """An object on one plane, as a file has it.

    Attributes
    ----------
    mask : Mask
    index : tuple of int
        Along the stack axes.
    number : int
        The label that it wants; 0 for any.
    class_name : str
    score : float
        NaN where the file has none.
    """

    mask: Mask
    index: tuple[int, ...] = ()
    number: int = 0
    class_name: str = ""
    score: float = math.nan


NOTHING: Final = Mask.from_array(np.zeros((0, 0), np.bool_))


def filled(
    rings: Sequence[npt.NDArray[np.float64]], shape: tuple[int, int] | None = None
) -> Mask:
    """Return the pixels whose centres lie inside, by the even-odd rule.

    Parameters
    ----------
    rings : sequence of array, shape (N, 2)
        Corners (y, x) in pixel coordinates, where pixel (i, j) covers
        [i, i + 1) × [j, j + 1).
    shape : (H, W), optional
        What lies beyond is cut off.
    """
    from skimage.measure import grid_points_in_poly

    corners = np.concatenate([np.asarray(ring, np.float64) for ring in rings])
    low = np.maximum(np.floor(corners.min(0)), 0).astype(int)
    high = np.ceil(corners.max(0)).astype(int)
    if shape is not None:
        high = np.minimum(high, shape)
    size = high - low
    if (size <= 0).any():
        return NOTHING
    inside = np.zeros(size, np.bool_)
    for ring in rings:
        if len(ring) >= 3:
            # A hair aside: of two outlines that meet on a pixel's centre one has it.
            moved = np.asarray(ring, np.float64) - low - 0.5 - _HAIR
            inside ^= grid_points_in_poly(tuple(size), moved)
    return Mask.from_array(inside, (int(low[0]), int(low[1])))


def checked_shape(path: Path, shape: Sequence[int]) -> tuple[int, ...]:
    """Return a shape that labels can have.

    Raises
    ------
    ImageError
        If it is larger than any image.
    """
    wanted = tuple(int(n) for n in shape)
    if min(wanted, default=0) < 1 or np.prod(wanted, dtype=np.float64) > _MOST:
        raise ImageError(
            f"{path}: it says that its image has the shape {wanted}, which cannot be: "
            "is the file damaged?"
        )
    return wanted


def joined(
    path: Path,
    pieces: Iterable[Piece],
    shape: Sequence[int],
    *,
    axes: str,
    name: str,
    class_names: Sequence[str] = (),
) -> Read:
    """Draw objects into one label image.

    Labels cannot overlap: where objects do, the smaller one is drawn over the larger.
    Without `class_names` they are those of the objects.
    """
    given = list(pieces)
    classes = class_names or [one.class_name for one in given if one.class_name]
    found = sorted(given, key=lambda piece: -piece.mask.area)
    whole = checked_shape(path, shape)
    labels = np.zeros(whole, np.uint32)
    numbers = _numbers(found)
    lost = 0
    for piece, number in zip(found, numbers, strict=True):
        _y0, _x0, y1, x1 = piece.mask.box
        outside = y1 > whole[-2] or x1 > whole[-1]
        if outside or any(
            not 0 <= i < n for i, n in zip(piece.index, whole[:-2], strict=True)
        ):
            raise ImageError(
                f"{path}: an object lies outside of the image, which has the shape "
                f"{whole}: is it of another image?"
            )
        window = labels[piece.index][piece.mask.slices]
        lost += int(np.count_nonzero(window[piece.mask.data]))
        window[piece.mask.data] = number
    notes: tuple[str, ...] = ()
    if lost:
        notes = (
            f"{path.name}: objects overlap on {lost} pixels, which labels cannot: the "
            "smaller ones are on top",
        )
    features = _features(found, numbers)
    names = tuple(dict.fromkeys(classes))
    return Read(name, labels, axes, features, notes=notes, class_names=names)


def _numbers(pieces: Sequence[Piece]) -> list[int]:
    """Return a label for each: its own, or one that nobody has."""
    fits = all(0 <= piece.number <= _HIGHEST for piece in pieces)
    free = max((piece.number for piece in pieces), default=0) if fits else 0
    numbers = []
    for piece in pieces:
        own = piece.number if fits else 0
        free += own == 0
        numbers.append(own or free)
    return numbers


def _features(pieces: Sequence[Piece], numbers: Sequence[int]) -> dict[str, list[Any]]:
    known = dict(zip(numbers, pieces, strict=True))
    index = sorted(known)
    columns: dict[str, list[Any]] = {}
    if any(piece.class_name for piece in known.values()):
        columns["class_name"] = [known[number].class_name for number in index]
    if not all(math.isnan(piece.score) for piece in known.values()):
        columns["score"] = [known[number].score for number in index]
    return {"index": index, **columns} if columns else {}
