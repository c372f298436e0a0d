"""Bring back work that was not saved."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam.live.disk.kept.errors import JournalError
from napari_sam.live.disk.kept.folder import Folder
from napari_sam.live.disk.kept.snapshots import put
from napari_sam.live.disk.kept.written import record_from_text
from napari_sam.live.labels.scan import scan
from napari_sam.types import NapariSamError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from napari_sam.live.disk.kept.folder import State
    from napari_sam.live.labels.access import LabelArray
    from napari_sam.live.labels.changes import IntBox
    from napari_sam.live.values import Index, ObjectRecord


@dataclass(frozen=True, slots=True, eq=False)
class Restored:
    """What `restore` has brought back besides the pixels.

    Attributes
    ----------
    records : tuple of ObjectRecord
    next_id : int
    extents : mapping of int to mapping of index to box
        Where the objects are; for `LabelStore`.
    planes : int
        How many planes have objects.
    notes : tuple of str
        What could not be brought back, in one line each.
    """

    records: tuple[ObjectRecord, ...]
    next_id: int
    extents: Mapping[int, Mapping[Index, IntBox]]
    planes: int
    notes: tuple[str, ...] = ()


def restore(
    folder: Path,
    labels_out: LabelArray,
    still_wanted: Callable[[], bool] = lambda: True,
) -> Restored | None:
    """Bring back what a session has kept.

    Where the end of a file is damaged, everything before it is brought back.

    Parameters
    ----------
    folder : Path
        As `find` says. A `Journal` of this folder goes on with the session.
    labels_out : integer array or DiskLabels
        Of the labels' shape, all 0.
    still_wanted : callable
        Asked again and again.

    Returns
    -------
    Restored or None
        None where it was no longer wanted.

    Raises
    ------
    JournalError
        If it cannot be read, or does not fit into this array.
    """
    kept = Folder(folder)
    about, state = kept.about(), kept.state()
    if about is None or state is None:
        raise JournalError(f"{folder} holds no unsaved work")
    if about.shape != labels_out.shape:
        raise JournalError(
            f"{folder} holds labels of the shape {about.shape}, the image has "
            f"{labels_out.shape}: they are of another image"
        )
    for log in kept.logs():
        for entry in log:
            if not still_wanted():
                return None
            for patch in entry.patches:
                put(labels_out, _checked(labels_out, patch.index), patch)
    there = scan(labels_out, still_wanted)
    if there is None:
        return None
    known, lost = _records(state)
    records = tuple(known.get(r.id, r) for r in there.records)
    planes = {index for extent in there.extents.values() for index in extent}
    return Restored(
        records,
        max(state.next_id, there.next_id),
        there.extents,
        len(planes),
        tuple(_notes(state, lost)),
    )


def _checked(labels: LabelArray, index: Index) -> Index:
    stack = labels.shape[:-2]
    if len(index) != len(stack) or any(
        i >= n for i, n in zip(index, stack, strict=True)
    ):
        raise JournalError(f"kept pixels lie on the slice {index}, which is not there")
    return index


def _records(state: State) -> tuple[dict[int, ObjectRecord], int]:
    """Return what is known about objects, and of how many it is not understood."""
    known: dict[int, ObjectRecord] = {}
    for number, text in state.records.items():
        with contextlib.suppress(NapariSamError):
            known[number] = record_from_text(text)
    return known, len(state.records) - len(known)


def _notes(state: State, lost: int) -> Iterator[str]:
    if state.torn:
        yield "the last change was not written completely and is left out"
    if not state.complete:
        yield (
            "the objects that were there before are not included: open the file that "
            "you began with"
        )
    if lost:
        yield f"of {lost} objects the outlines are back, but not how they were made"
