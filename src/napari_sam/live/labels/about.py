"""What the records of objects say after an edit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_sam.live.values import ObjectRecord, PlaneMarks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_sam.live.values import Index, Mark


def described(
    known: ObjectRecord | None, number: int, about: dict[str, Any]
) -> ObjectRecord:
    """Return the record with new fields; marks on planes not named stay."""
    if known is None:
        return ObjectRecord(number, **about)
    record = replace(known, **about)
    if "prompts" not in about:
        return record
    new = {plane.index for plane in record.prompts}
    kept = tuple(plane for plane in known.prompts if plane.index not in new)
    return replace(record, prompts=kept + tuple(record.prompts))


def joined_marks(records: Iterable[ObjectRecord]) -> tuple[PlaneMarks, ...]:
    """Return the marks of several objects, those of one plane together."""
    found: dict[Index, tuple[Mark, ...]] = {}
    for record in records:
        for plane in record.prompts:
            found[plane.index] = found.get(plane.index, ()) + plane.marks
    return tuple(PlaneMarks(index, marks) for index, marks in found.items())


def part_of(whole: ObjectRecord, number: int) -> ObjectRecord:
    """Return the record of an object cut off another one.

    Scores and marks were about the whole, and nobody has looked at the part.
    """
    nan = float("nan")
    return replace(
        whole, id=number, reviewed=False, score=nan, stability=nan, prompts=()
    )


def named(ids: Sequence[int]) -> str:
    """Name objects in a few words.

    Examples
    --------
    >>> named([12]), named([3, 4])
    ('object 12', '2 objects')
    """
    return f"object {ids[0]}" if len(ids) == 1 else f"{len(ids)} objects"
