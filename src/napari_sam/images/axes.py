"""What the axes of an image mean: T, C, Z, Y, X and S (colour samples)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_sam.types import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

AXES = "TCZYXS"
_NAMES = {
    "time": "T",
    "channel": "C",
    "channels": "C",
    "ch": "C",
    "slice": "Z",
    "plane": "Z",
    "depth": "Z",
    "row": "Y",
    "col": "X",
    "column": "X",
    "rgb": "S",
    "rgba": "S",
    "sample": "S",
    "samples": "S",
}


@dataclass(frozen=True, slots=True)
class Understanding:
    """How the axes of an array were understood.

    Attributes
    ----------
    letters : str
        One for each axis of the array: of `AXES`, or "_" for an axis of
        length 1 that is left out.
    origin : str
        Where the letters come from, for people.
    notes : tuple of str
        What was assumed on the way, for people.
    """

    letters: str
    origin: str
    notes: tuple[str, ...] = ()


def letter_of(name: str) -> str:
    """Return the axis letter for a name such as "z" or "time"; "?" if unknown."""
    plain = name.strip().lower()
    if len(plain) == 1 and plain.upper() in AXES:
        return plain.upper()
    return _NAMES.get(plain, "?")


def understand(
    shape: Sequence[int],
    dtype: npt.DTypeLike,
    *,
    where: str,
    found: str | None = None,
    origin: str = "the file",
    override: str | None = None,
) -> Understanding:
    """Give every axis of an array its letter.

    Parameters
    ----------
    shape : sequence of int
    dtype : dtype
    where : str
        The file's name, for messages.
    found : str, optional
        One letter for each axis as the file has it; letters outside `AXES`
        mean that the axis has no usual name.
    origin : str
        Where `found` comes from.
    override : str, optional
        What the user says; it wins.

    Raises
    ------
    ImageError
        If the letters contradict the shape or each other, or there is no
        sensible reading.
    """
    if 0 in shape:
        raise ImageError(
            f"{where}: the image is empty, its shape is {_text(shape)}: "
            "give an image without an axis of length 0"
        )
    if override is not None:
        return _overridden(shape, override, found, where)
    if found is None or not _usable(found, len(shape)):
        return _guessed(shape, dtype, where)
    return _settled(shape, found, origin, where)


def _usable(found: str, ndim: int) -> bool:
    known = [letter for letter in found if letter in AXES]
    return (
        len(found) == ndim
        and len(set(known)) == len(known)
        and {"Y", "X"} <= set(known)
    )


def _overridden(
    shape: Sequence[int], override: str, found: str | None, where: str
) -> Understanding:
    letters = override.strip().upper()
    hint = f"the image has the shape {_text(shape)}"
    wrong = sorted(set(letters) - set(AXES))
    if wrong:
        raise ImageError(
            f"{where}: the axes {override!r} contain {', '.join(map(repr, wrong))}: "
            f"use only T, C, Z, Y, X and S ({hint})"
        )
    twice = sorted({letter for letter in letters if letters.count(letter) > 1})
    if twice:
        raise ImageError(
            f"{where}: the axes {override!r} name {', '.join(twice)} twice: "
            f"name every axis once ({hint})"
        )
    if not {"Y", "X"} <= set(letters):
        raise ImageError(
            f"{where}: the axes {override!r} lack Y or X: both are needed ({hint})"
        )
    if len(letters) != len(shape):
        letters = _with_gaps(shape, letters, found, override, where)
    samples = dict(zip(letters, shape, strict=True)).get("S", 3)
    if samples not in (3, 4):
        raise ImageError(
            f"{where}: the axes {override!r} give {samples} colour samples (S), "
            f"which must be 3 or 4: use C for channels ({hint})"
        )
    return Understanding(letters, "as given")


def _with_gaps(
    shape: Sequence[int], letters: str, found: str | None, override: str, where: str
) -> str:
    """Let axes of length 1 that the file does not name go unmentioned."""
    names = (
        found if found is not None and len(found) == len(shape) else "?" * len(shape)
    )
    unnamed = [
        n == 1 and name not in "TCZYX" for n, name in zip(shape, names, strict=True)
    ]
    if len(letters) != len(shape) - sum(unnamed):
        raise ImageError(
            f"{where}: the axes {override!r} name {len(letters)} axes, the image has "
            f"{len(shape)}: its shape is {_text(shape)}"
        )
    rest = iter(letters)
    return "".join("_" if gap else next(rest) for gap in unnamed)


def _guessed(shape: Sequence[int], dtype: npt.DTypeLike, where: str) -> Understanding:
    ndim = len(shape)
    if ndim < 2:
        raise ImageError(
            f"{where}: an image needs at least two axes, this has the shape "
            f"{_text(shape)}"
        )
    colour = ndim > 2 and np.dtype(dtype) == np.uint8 and shape[-1] in (3, 4)
    plain = {2: "YX", 3: "ZYX", 4: "TZYX", 5: "TCZYX"}.get(ndim - colour)
    if plain is None:
        raise ImageError(_too_many(shape, where))
    letters = plain + "S" * colour
    known = ndim == 2
    return Understanding(letters, "2-D" if known else "assumed, change with --axes")


def _too_many(shape: Sequence[int], where: str) -> str:
    if len(shape) > len(AXES):
        return (
            f"{where}: the image has {len(shape)} axes, its shape is {_text(shape)}: "
            "at most T, C, Z, Y, X and S are understood; cut out a part with fewer"
        )
    return (
        f"{where}: what the axes of the shape {_text(shape)} mean is not clear: "
        "say it with --axes, for example TCZYX"
    )


def _settled(
    shape: Sequence[int], found: str, origin: str, where: str
) -> Understanding:
    """Keep the letters we know, find a place for the others."""
    letters = list(found)
    for i, (letter, size) in enumerate(zip(found, shape, strict=True)):
        if size == 1 and letter not in "TCZYX":
            letters[i] = "_"
        elif letter == "S" and size not in (3, 4):
            letters[i] = "C" if "C" not in found else "?"
        elif letter == "E" and "C" not in letters:
            letters[i] = "C"
    unnamed = [i for i, letter in enumerate(letters) if letter not in AXES + "_"]
    free = [letter for letter in "ZTC" if letter not in letters][: len(unnamed)]
    if len(free) < len(unnamed):
        raise ImageError(_too_many(shape, where))
    chosen = sorted(free, key=AXES.index)
    for i, letter in zip(unnamed, chosen, strict=True):
        letters[i] = letter
    notes: tuple[str, ...] = ()
    if unnamed:
        what = "the unnamed axis is" if len(unnamed) == 1 else "unnamed axes are"
        notes = (f"{what} taken as {', '.join(chosen)}, change with --axes",)
    return Understanding("".join(letters), origin, notes)


def _text(shape: Sequence[int]) -> str:
    return "(" + ", ".join(str(int(n)) for n in shape) + ")"
