"""What numpy's indices mean, as a box and what is taken of it."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Box: TypeAlias = tuple[tuple[int, int], ...]
"""(start, stop) of each axis."""


def boxed(key: Any, shape: tuple[int, ...]) -> tuple[Box, tuple[Any, ...] | None]:
    """Return the box in which everything lies, and how numpy takes it from there.

    Parameters
    ----------
    key : index
        As numpy takes it: numbers, slices, arrays, ..., and all of these mixed; no
        new axes.
    shape : tuple of int
        Of the array.

    Returns
    -------
    box : tuple of (start, stop)
    inner : tuple or None
        The same index, counted from the corner of the box; None for all of it.

    Raises
    ------
    IndexError
        If there is nothing like that in the array.

    Examples
    --------
    >>> boxed((2, slice(3, 9, 2)), (5, 10, 4))
    (((2, 3), (3, 8), (0, 4)), (0, slice(0, 5, 2), slice(0, 4, 1)))
    >>> boxed(slice(None), (5, 4))
    (((0, 5), (0, 4)), None)
    """
    box: list[tuple[int, int]] = []
    inner: list[Any] = []
    whole = True
    for one, length in zip(_full(key, shape), shape, strict=True):
        if isinstance(one, slice):
            found = range(*one.indices(length))
            low, high = (min(found), max(found) + 1) if found else (0, 0)
            box.append((low, high))
            inner.append(_within(found, low))
            whole = whole and found.step == 1
        elif isinstance(one, (int, np.integer)) and not isinstance(one, np.bool_):
            number = int(one)
            number += length if number < 0 else 0
            if not 0 <= number < length:
                raise IndexError(f"there is nothing at {one} on an axis of {length}")
            box.append((number, number + 1))
            inner.append(0)
            whole = False
        else:
            at = _checked(np.asarray(one), length)
            low, high = (int(at.min()), int(at.max()) + 1) if at.size else (0, 0)
            box.append((low, high))
            inner.append(0 if at.ndim == 0 else at - low)
            whole = False
    return tuple(box), None if whole else tuple(inner)


def listed(inner: tuple[Any, ...], box: Box) -> tuple[npt.NDArray[np.intp], ...] | None:
    """Return the places of single pixels; None where it is no list of such."""
    if not any(isinstance(one, np.ndarray) for one in inner) or any(
        isinstance(one, slice) for one in inner
    ):
        return None
    counted = [one + low for one, (low, _) in zip(inner, box, strict=True)]
    return tuple(np.broadcast_arrays(*(np.asarray(one, np.intp) for one in counted)))


def _full(key: Any, shape: tuple[int, ...]) -> list[Any]:
    """Return one index for each axis."""
    parts: list[Any] = []
    for one in key if isinstance(key, tuple) else (key,):
        if one is None:
            raise IndexError("labels on the disk get no new axes: take a part first")
        if _is_mask(one):
            mask = np.asarray(one)
            axis = len(parts)
            if mask.shape != shape[axis : axis + mask.ndim]:
                raise IndexError(f"the mask {mask.shape} does not fit labels {shape}")
            parts += np.nonzero(mask)
        else:
            parts.append(one)
    dots = [i for i, part in enumerate(parts) if part is Ellipsis]
    missing = len(shape) - len(parts) + len(dots)
    if len(dots) > 1 or missing < 0:
        raise IndexError(f"too many indices for labels of the shape {shape}")
    fill = [slice(None)] * missing
    at = dots[0] if dots else len(parts)
    return [*parts[:at], *fill, *parts[at + len(dots) :]]


def _is_mask(one: Any) -> bool:
    return getattr(one, "dtype", None) == np.bool_ or (
        isinstance(one, list) and np.asarray(one).dtype == np.bool_
    )


def _within(found: range, low: int) -> slice:
    if not found:
        return slice(0, 0)
    end = found[-1] - low + (1 if found.step > 0 else -1)
    return slice(found[0] - low, None if end < 0 else end, found.step)


def _checked(at: npt.NDArray[Any], length: int) -> npt.NDArray[np.intp]:
    if at.dtype.kind not in "iu" and at.size:
        raise IndexError(f"labels are counted in whole numbers, not in {at.dtype}")
    counted = at.astype(np.intp)
    counted = np.where(counted < 0, counted + length, counted)
    if at.size and (counted.min() < 0 or counted.max() >= length):
        raise IndexError(f"there is nothing at {at} on an axis of {length}")
    return counted
