"""Records of objects as text, and back."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
)

from napari_sam.live import marks
from napari_sam.live.disk.kept.errors import JournalError
from napari_sam.live.values import ObjectRecord, PlaneMarks, SourceKind

if TYPE_CHECKING:
    from collections.abc import Sequence


class PlaneText(BaseModel):
    """What was said about an object on one plane."""

    model_config = ConfigDict(extra="forbid")

    index: tuple[NonNegativeInt, ...]
    marks: list[dict[str, Any]]


class _RecordText(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: PositiveInt
    source: SourceKind
    class_id: int
    annotator: str
    reviewed: bool
    model: str
    model_sha256: str
    score: float | None
    stability: float | None
    prompts: list[PlaneText]


def record_to_text(record: ObjectRecord) -> bytes:
    """Return a record as JSON on one line."""
    values = {
        "id": int(record.id),
        "source": record.source,
        "class_id": int(record.class_id),
        "annotator": record.annotator,
        "reviewed": bool(record.reviewed),
        "model": record.model,
        "model_sha256": record.model_sha256,
        # JSON knows no NaN.
        "score": _number(record.score),
        "stability": _number(record.stability),
        "prompts": prompts_to_json(record.prompts),
    }
    return json.dumps(values, separators=(",", ":"), allow_nan=False).encode()


def record_from_text(text: bytes) -> ObjectRecord:
    """Return the record that was written by `record_to_text`.

    Raises
    ------
    NapariSamError
        If it is none.
    """
    try:
        read = _RecordText.model_validate_json(text)
    except ValidationError as error:
        raise JournalError(
            f"what is kept about an object cannot be understood ({one_line(error)}): "
            "it was written by another version of this program"
        ) from error
    values = read.model_dump(exclude={"prompts", "score", "stability"})
    return ObjectRecord(
        **values,
        score=_float(read.score),
        stability=_float(read.stability),
        prompts=prompts_of(read.prompts),
    )


def prompts_to_json(prompts: Sequence[PlaneMarks]) -> list[dict[str, Any]]:
    """Return what was said about an object as plain values."""
    return [
        {
            "index": [int(i) for i in plane.index],
            # A mark that is nowhere says nothing, and could not be read again.
            "marks": marks.to_json(
                mark for mark in plane.marks if np.isfinite(mark.vertices).all()
            ),
        }
        for plane in prompts
    ]


def prompts_of(planes: Sequence[PlaneText]) -> tuple[PlaneMarks, ...]:
    """Return what `prompts_to_json` was given, after pydantic has looked at it."""
    return tuple(PlaneMarks(p.index, marks.from_json(p.marks)) for p in planes)


def one_line(error: ValidationError) -> str:
    """Return the first thing that is wrong: where and what."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    text = " ".join(first["msg"].split())
    return f"{where}: {text}" if where else text


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _float(value: float | None) -> float:
    return float("nan") if value is None else value
