"""New numbers for the objects of a label array, one plane in memory at a time."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.records.files import write_text
from napari_sam.types import NapariSamError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from napari_sam.records.ondisk.array import DiskLabels


def numbers_in(
    labels: npt.NDArray[Any] | DiskLabels,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict[int, int]:
    """Return how many pixels every object has; the one pass that tables need.

    Parameters
    ----------
    labels : integer array or DiskLabels, shape (..., H, W)
        Numbers above 0 are objects.
    progress : callable
        Gets how many planes of how many were looked at.

    Returns
    -------
    dict of int to int
        In the order of the numbers.

    Examples
    --------
    >>> numbers_in(np.array([[[0, 7], [7, 3]], [[7, 0], [0, 0]]]))
    {3: 1, 7: 3}
    """
    found: dict[int, int] = {}
    for plane in _planes(labels, progress):
        numbers, counts = np.unique(labels[plane], return_counts=True)
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            if number > 0:
                found[number] = found.get(number, 0) + count
    return dict(sorted(found.items()))


def relabel(
    labels: npt.NDArray[Any] | DiskLabels,
    table: Mapping[int, int] | None = None,
    *,
    written: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict[int, int]:
    """Give objects other numbers, in place.

    It cannot be undone but with its own table turned round. Numbers below 0 stay.

    Parameters
    ----------
    labels : integer array or DiskLabels, shape (..., H, W)
    table : mapping of int to int, optional
        Old to new numbers; objects that are not in it stay as they are. Without one
        the objects are numbered from 1 without gaps, in their order.
    written : Path, optional
        The table is written there as CSV with the columns `old` and `new`, in front of
        the first change.
    progress : callable
        Gets how many planes of how many were looked at, in each of the two passes.

    Returns
    -------
    dict of int to int
        The table; of what has stayed nothing.

    Raises
    ------
    NapariSamError
        If two objects would become one, or a number does not fit; nothing was changed.

    Examples
    --------
    >>> labels = np.array([[0, 7], [7, 3]])
    >>> relabel(labels)
    {3: 1, 7: 2}
    >>> labels.tolist()
    [[0, 2], [2, 1]]
    """
    there = list(numbers_in(labels, progress))
    if table is None:
        table = {old: new for new, old in enumerate(there, 1)}
    _check(there, table, np.iinfo(labels.dtype).max)
    changes = {old: table[old] for old in there if table.get(old, old) != old}
    if written is not None:
        _write(written, changes)
    old, new = (
        np.array(list(one), labels.dtype) for one in (changes, changes.values())
    )
    for index in _planes(labels, progress):
        plane = labels[index]
        at = np.searchsorted(old, plane)
        known = at < old.size
        known[known] = old[at[known]] == plane[known]
        if known.any():
            after = plane.copy()
            after[known] = new[at[known]]
            labels[index] = after
    return changes


def _planes(
    labels: npt.NDArray[Any] | DiskLabels, progress: Callable[[int, int], None]
) -> Iterator[tuple[int, ...]]:
    count = int(np.prod(labels.shape[:-2], dtype=np.int64))
    for done, index in enumerate(np.ndindex(*labels.shape[:-2]), 1):
        yield index
        progress(done, count)


def _check(there: list[int], table: Mapping[int, int], highest: int) -> None:
    new: dict[int, int] = {}
    for old in there:
        number = table.get(old, old)
        if not 0 < number <= highest:
            raise NapariSamError(
                f"object {old} cannot become number {number}: these labels hold 1 to "
                f"{highest}"
            )
        if number in new:
            raise NapariSamError(
                f"objects {new[number]} and {old} would both become number {number}: "
                "merge them instead, or give one another number"
            )
        new[number] = old


def _write(path: Path, changes: Mapping[int, int]) -> None:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("old", "new"))
    rows.writerows(changes.items())
    write_text(path, text.getvalue())
