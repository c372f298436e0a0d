"""Snapshots: one file in the place of all older logs.

They are written bit by bit, so that what is drawn meanwhile is kept in between.
Only one plane is in memory at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam.live.disk.kept.entries import MAGIC, Entry, Packed
from napari_sam.live.disk.kept.errors import JournalError, readable
from napari_sam.live.disk.kept.folder import gather
from napari_sam.live.disk.kept.written import record_to_text
from napari_sam.records.files import atomic_file

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping
    from pathlib import Path

    from napari_sam.live.disk.kept.entries import Log
    from napari_sam.live.labels.access import LabelArray
    from napari_sam.live.values import Index, ObjectRecord

# Small, so that no other thread waits for the text of many records.
_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True, eq=False)
class Base:
    """What there was before the first change.

    The pixels may be edited while they are read: what changes is in the log too,
    and is written over them when they are restored.
    """

    labels: LabelArray
    records: Mapping[int, ObjectRecord]
    next_id: int


def write_base(path: Path, base: Base, time: float) -> Generator[None]:
    """Write a snapshot of an array; it appears when the last step is done."""
    texts = ((number, record_to_text(r)) for number, r in base.records.items())
    with atomic_file(path) as file:
        file.write(MAGIC)
        for entry in _record_entries(texts, base.next_id, time):
            file.write(entry.encode())
            yield
        for index in np.ndindex(*base.labels.shape[:-2]):
            packed = Packed.of_plane(index, base.labels[index])
            if packed is not None:
                file.write(Entry("change", time, patches=(packed,)).encode())
            yield
        # So far nobody has drawn anything.
        file.write(Entry("saved", time, next_id=base.next_id).encode())


def write_compact(
    path: Path, logs: list[Log], plane_shape: tuple[int, int], next_id: int
) -> Generator[None]:
    """Write a snapshot of what logs hold; it appears when the last step is done."""
    state = gather(logs, next_id)
    places = _places(logs)
    with atomic_file(path) as file:
        file.write(MAGIC)
        texts = state.records.items()
        for entry in _record_entries(texts, state.next_id, state.time):
            file.write(entry.encode())
            yield
        for index, patches in places.items():
            packed = _joined(index, patches, plane_shape)
            if packed is not None:
                file.write(Entry("change", state.time, patches=(packed,)).encode())
            yield
        last = Entry("saved", state.time, state.saved, state.next_id, state.unsaved)
        file.write(last.encode())


def _record_entries(
    texts: Iterable[tuple[int, bytes]], next_id: int, time: float
) -> Iterator[Entry]:
    waiting = iter(texts)
    while some := dict(islice(waiting, _AT_ONCE)):
        yield Entry("change", time, next_id=next_id, records=some)


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where the pixels of a patch lie."""

    path: Path
    size: int
    patch: Packed

    def read(self) -> Packed:
        with readable(self.path), self.path.open("rb") as file:
            file.seek(self.patch.at)
            return replace(self.patch, data=file.read(self.size))


def _places(logs: list[Log]) -> dict[Index, list[_Place]]:
    """Return the patches of every plane, oldest first."""
    found: dict[Index, list[_Place]] = {}
    for log in logs:
        for entry in log:
            for patch in entry.patches:
                place = _Place(log.path, len(patch.data), replace(patch, data=b""))
                found.setdefault(patch.index, []).append(place)
    return found


def _joined(
    index: Index, places: list[_Place], shape: tuple[int, int]
) -> Packed | None:
    if len(places) == 1:
        return places[0].read()
    plane = np.zeros(shape, np.int64)
    for place in places:
        put(plane, (), place.read())
    if plane.min() >= 0:
        plane = plane.astype(np.min_scalar_type(int(plane.max())))
    return Packed.of_plane(index, plane)


def put(labels: LabelArray, index: Index, patch: Packed) -> None:
    """Write a patch into a plane of an array.

    Raises
    ------
    JournalError
        If it does not belong there.
    """
    _, _, y1, x1 = patch.box
    height, width = labels.shape[-2:]
    if y1 > height or x1 > width:
        raise JournalError("kept pixels lie beside the image")
    pixels = patch.array()
    limits = np.iinfo(labels.dtype)
    if pixels.min() < limits.min or pixels.max() > limits.max:
        raise JournalError(
            f"the labels layer ({labels.dtype}) has no room for object {pixels.max()}: "
            "choose a new one"
        )
    where: tuple[int | slice, ...] = (*index, *patch.slices)
    labels[where] = pixels
