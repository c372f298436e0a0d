"""Open what `saving.save` has written, to go on with it."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np
import numpy.typing as npt
import tifffile
from pydantic import BaseModel, BeforeValidator, PositiveInt, ValidationError

from napari_sam.live.classes import ClassList
from napari_sam.live.disk.class_file import saved_classes
from napari_sam.live.disk.kept.saved import (
    PROGRESS,
    PROMPTS,
    TABLE,
    ImageText,
    SavedText,
    SaveError,
    read_saved,
)
from napari_sam.live.disk.kept.written import one_line, prompts_of
from napari_sam.live.disk.scratch import new_labels
from napari_sam.live.labels.scan import scan
from napari_sam.live.proofreading.progress_text import progress_from_json
from napari_sam.live.values import ObjectRecord, SourceKind
from napari_sam.types import NapariSamError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from napari_sam.live.labels.access import LabelArray
    from napari_sam.live.labels.changes import IntBox
    from napari_sam.live.labels.scan import Scan
    from napari_sam.live.proofreading.progress import Progress
    from napari_sam.live.values import Index

__all__ = ["ImageText", "Loaded", "SaveError", "load"]

_HIGHEST: Final = np.iinfo(np.uint32).max


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """Saved labels and all that is known about them.

    Attributes
    ----------
    labels : uint32 array or DiskLabels
        On the disk where they are too large for the memory.
    records : tuple of ObjectRecord
    next_id : int
    extents : mapping of int to mapping of index to box
        For `LabelStore`.
    image : ImageText
    classes : mapping of int to str
    state : mapping
        As `save` was given it.
    notes : tuple of str
        What does not fit together, in one line each.
    complete : Progress or None
        What is complete, where somebody has said so.
    class_list : ClassList
        The classes with their colours and keys.
    """

    labels: LabelArray
    records: tuple[ObjectRecord, ...]
    next_id: int
    extents: Mapping[int, Mapping[Index, IntBox]]
    image: ImageText
    classes: Mapping[int, str]
    state: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    complete: Progress | None = None
    class_list: ClassList = field(default_factory=ClassList)


def load(
    folder: Path,
    *,
    shape: Sequence[int] | None = None,
    still_wanted: Callable[[], bool] = lambda: True,
) -> Loaded | None:
    """Read labels, table and prompts; on any thread but the one that draws.

    What the label image shows counts: it may have been edited elsewhere since.
    Scores have four decimals, as the table has them.

    Parameters
    ----------
    folder : Path
    shape : sequence of int, optional
        Of the image that the labels must belong to, without colours.
    still_wanted : callable

    Returns
    -------
    Loaded or None
        None where it was no longer wanted.

    Raises
    ------
    SaveError
        If a file is missing, damaged, or of another image.
    """
    saved = read_saved(folder)
    if saved is None:
        raise SaveError(
            f'{folder} holds no saved labels: choose a folder with a "{PROMPTS}" in it'
        )
    if shape is not None and tuple(shape) != saved.image.shape:
        raise SaveError(
            f"the labels in {folder} have the shape {saved.image.shape}, the image has "
            f"{tuple(shape)}: they are of another image"
        )
    known = _read_table(folder / TABLE)
    labels = _read_labels(folder / saved.labels, saved.image.shape, still_wanted)
    there = None if labels is None else scan(labels, still_wanted)
    if labels is None or there is None:
        return None
    records = tuple(
        _with_prompts(known.get(record.id, record), saved, folder)
        for record in there.records
    )
    complete, trouble = _complete(folder, saved)
    class_list, strange = saved_classes(folder, saved.classes)
    return Loaded(
        labels,
        records,
        max(saved.next_id, there.next_id),
        there.extents,
        saved.image,
        saved.classes,
        {key: value for key, value in saved.state.items() if key != PROGRESS},
        (*_notes(folder, saved, known, there), *trouble, *strange),
        complete,
        class_list,
    )


def _complete(
    folder: Path, saved: SavedText
) -> tuple[Progress | None, tuple[str, ...]]:
    """Return what is complete; what cannot be read does not keep the labels back."""
    value = saved.state.get(PROGRESS)
    if value is None:
        return None, ()
    try:
        complete = progress_from_json(value)
    except NapariSamError as error:
        return None, (f"{folder / PROMPTS}: {error}",)
    if not complete.fits(saved.image.shape):
        return None, (f"{folder / PROMPTS} says what is complete of another image",)
    return complete, ()


def _notes(
    folder: Path, saved: SavedText, known: Mapping[int, ObjectRecord], there: Scan
) -> Iterator[str]:
    path = folder / saved.labels
    if new := there.extents.keys() - known.keys():
        yield f"{path} has {len(new)} objects that {TABLE} does not know"
    if gone := known.keys() - there.extents.keys():
        yield f"{len(gone)} objects of {TABLE} are not in {path} and are left out"


def _with_prompts(record: ObjectRecord, saved: SavedText, folder: Path) -> ObjectRecord:
    planes = saved.prompts.get(record.id)
    if not planes:
        return record
    try:
        return replace(record, prompts=prompts_of(planes))
    except NapariSamError as error:
        raise SaveError(f"{folder / PROMPTS}: object {record.id}: {error}") from error


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


class _Row(BaseModel):
    """What is read of a row; where the object lies is in the pixels."""

    id: PositiveInt
    class_id: int = 0
    score: Annotated[float | None, BeforeValidator(_empty_is_none)] = None
    stability: Annotated[float | None, BeforeValidator(_empty_is_none)] = None
    source: SourceKind = "import"
    annotator: str = ""
    reviewed: bool = False
    model: str = ""
    model_sha256: str = ""

    def record(self) -> ObjectRecord:
        values = self.model_dump()
        for name in ("score", "stability"):
            values[name] = float("nan") if values[name] is None else values[name]
        return ObjectRecord(**values)


def _read_table(path: Path) -> dict[int, ObjectRecord]:
    records: dict[int, ObjectRecord] = {}
    try:
        # Spreadsheets put a mark in front of UTF-8.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if "id" not in (reader.fieldnames or ()):
                raise SaveError(
                    f'{path} has no column "id": save it as CSV with commas, or take '
                    "it from a copy"
                )
            for row in reader:
                read = _Row.model_validate(row)
                records.setdefault(read.id, read.record())
    except FileNotFoundError:
        raise SaveError(f"{path} is missing: take it from a copy") from None
    except ValidationError as error:
        raise SaveError(
            f"{path}, line {reader.line_num}: {one_line(error)}: correct it, or take "
            "the file from a copy"
        ) from error
    except (OSError, UnicodeError, csv.Error) as error:
        raise SaveError(
            f"{path} cannot be read ({error}): take it from a copy"
        ) from error
    return records


def _read_labels(
    path: Path, shape: tuple[int, ...], still_wanted: Callable[[], bool]
) -> LabelArray | None:
    labels = new_labels(shape)
    indices = list(np.ndindex(*shape[:-2]))
    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            # Programs leave out axes of length 1 when they save.
            if _long(series.shape) != _long(shape) or series.dtype.kind not in "iu":
                raise SaveError(
                    f"{path} holds {series.dtype} of the shape {series.shape}, not "
                    f"labels of the shape {shape}: take it from a copy"
                )
            for index, plane in zip(indices, _planes(series, shape), strict=True):
                if not still_wanted():
                    return None
                _check(plane, path)
                labels[index] = plane
    except FileNotFoundError:
        raise SaveError(f"{path} is missing: take it from a copy") from None
    except (SaveError, MemoryError):
        raise
    except Exception as error:  # damaged files make tifffile raise nearly anything
        why = " ".join(str(error).split()) or type(error).__name__
        raise SaveError(f"{path} is damaged ({why}): take it from a copy") from error
    return labels


def _planes(series: Any, shape: tuple[int, ...]) -> Iterator[npt.NDArray[Any]]:
    count = int(np.prod(shape[:-2], dtype=np.int64))
    if len(series.pages) == count:
        for page in series.pages:
            yield page.asarray().reshape(shape[-2:])
    else:
        yield from series.asarray().reshape(count, *shape[-2:])


def _check(plane: npt.NDArray[Any], path: Path) -> None:
    if plane.min() < 0 or plane.max() > _HIGHEST:
        raise SaveError(
            f"{path} holds numbers below 0 or above {_HIGHEST}, which are no labels: "
            "take it from a copy"
        )


def _long(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)
