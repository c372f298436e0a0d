"""Masks in the format of SA-1B, the data set that SAM was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeAlias

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from napari_sam.models.given.detector import detections
from napari_sam.types import Detections, Mask, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_sam.types import FloatArray, IntArray

_Side: TypeAlias = Annotated[int, Field(gt=0, lt=2**20)]
_Place: TypeAlias = Annotated[float, Field(gt=-(2**21), lt=2**21)]  # no NaN
_MOST = 2**31  # pixels that one mask may take in memory
_BEGINNING = 2**16


class _Image(BaseModel):
    width: _Side
    height: _Side
    file_name: str = ""


class _Code(BaseModel):
    size: tuple[_Side, _Side]
    counts: list[Annotated[int, Field(ge=0)]] | str


class _Annotation(BaseModel):
    segmentation: _Code
    predicted_iou: float = Field(default=1.0, allow_inf_nan=False)
    stability_score: float = Field(default=1.0, allow_inf_nan=False)
    point_coords: list[tuple[_Place, _Place]] = Field(default_factory=list)
    crop_box: tuple[_Place, _Place, _Place, _Place] | None = None


class _File(BaseModel):
    image: _Image
    annotations: list[_Annotation]


@dataclass(frozen=True, slots=True, eq=False)
class Sa1b:
    """The masks of one image.

    Attributes
    ----------
    image : str
        The name of its file, as the record says.
    shape : (H, W)
    masks : tuple of Mask
        With predicted IoU and stability; they may overlap, and one may be empty.
    points : float32 array, shape (N, 2)
        The click (y, x) that gave each mask, in data pixels; NaN where none is
        known.
    crops : int64 array, shape (N, 4)
        The part (y0, x0, y1, x1) of the image that the model looked at.
    """

    image: str
    shape: tuple[int, int]
    masks: tuple[Mask, ...]
    points: FloatArray
    crops: IntArray

    def detections(self) -> Detections:
        """Return the boxes of the masks, with the predicted IoU as score."""
        masks = [mask for mask in self.masks if mask.area]
        return detections([m.box for m in masks], [m.score for m in masks])


def is_sa1b(path: Path) -> bool:
    """Tell from its beginning whether a JSON file is one of these records.

    In folders other JSON files, such as a program's settings, lie beside labels.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_BEGINNING)
    except OSError:
        return False
    return b'"annotations"' in text or b'"image_id"' in text


def read_sa1b(path: Path, shape: tuple[int, int] | None = None) -> Sa1b:
    """Read one record of SA-1B's format: a JSON file for one image.

    Parameters
    ----------
    path : Path
    shape : (H, W), optional
        Of the image that it must belong to.

    Raises
    ------
    ModelError
        If it cannot be read, is no such record, or of an image of another size.
    """
    try:
        file = _File.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(
            f"{path}: this file cannot be read ({error.strerror}): check it"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ModelError(
            f"{path}: this is no record of SA-1B ({place or 'file'}: {first['msg']}): "
            "it needs image and annotations, each with a run-length segmentation"
        ) from None
    size = file.image.height, file.image.width
    if shape is not None and size != shape:
        raise ModelError(
            f"{path}: these masks are of an image of {size} pixels, this one has "
            f"{shape}: give masks of that image"
        )
    masks = []
    for number, annotation in enumerate(file.annotations, start=1):
        try:
            masks.append(_mask(annotation, size))
        except ValueError as error:
            raise ModelError(
                f"{path}: the mask of annotation {number} is damaged ({error}): make "
                "the file again"
            ) from error
    points = [_point(annotation) for annotation in file.annotations]
    crops = [_crop(annotation, size) for annotation in file.annotations]
    return Sa1b(
        file.image.file_name,
        size,
        tuple(masks),
        np.array(points, np.float32).reshape(-1, 2),
        np.array(crops, np.int64).reshape(-1, 4),
    )


def _mask(annotation: _Annotation, size: tuple[int, int]) -> Mask:
    code = annotation.segmentation
    if code.size != size:
        raise ValueError(f"it has {code.size} pixels, the image {size}")
    return mask_of_runs(
        code.counts,
        size,
        score=annotation.predicted_iou,
        stability=annotation.stability_score,
    )


def mask_of_runs(
    code: str | Sequence[int],
    size: tuple[int, int],
    *,
    score: float = 1.0,
    stability: float = 1.0,
) -> Mask:
    """Return the mask of COCO's run-length code.

    Parameters
    ----------
    code : str or sequence of int
        Compressed, or the runs themselves.
    size : (H, W)
    score, stability : float

    Raises
    ------
    ValueError
        If it is damaged, or of another size.
    """
    counts = run_lengths(code) if isinstance(code, str) else code
    if sum(counts) != size[0] * size[1]:
        raise ValueError(f"its runs are {sum(counts)} pixels long in all")
    # Runs of background and object take turns, down the columns.
    ends = np.cumsum(np.array(counts, np.int64))
    runs = ends[: len(ends) // 2 * 2].reshape(-1, 2)
    runs = runs[runs[:, 0] < runs[:, 1]]
    if not len(runs):
        nothing = np.zeros((0, 0), np.bool_)
        return Mask.from_array(nothing, score=score, stability=stability)
    height = size[0]
    first, last = int(runs[0, 0]) // height, (int(runs[-1, 1]) - 1) // height
    if (last + 1 - first) * height > _MOST:
        raise ValueError("it is too large for this computer")
    steps = np.zeros((last + 1 - first) * height + 1, np.int8)
    np.add.at(steps, runs[:, 0] - first * height, 1)
    np.add.at(steps, runs[:, 1] - first * height, -1)
    inside = steps[:-1].cumsum(dtype=np.int8).astype(np.bool_)
    columns = inside.reshape(-1, height)
    return Mask.from_array(columns.T, (0, first), score=score, stability=stability)


def run_lengths(code: str) -> list[int]:
    """Return the runs of COCO's compressed run-length code.

    Each number has five bits a character, lowest first; from the fourth on
    it is the difference to the one before the last.

    Raises
    ------
    ValueError
        If it is no such code. pycocotools, which is written in C, reads beyond
        the end of such a text.
    """
    counts: list[int] = []
    value = shift = 0
    for character in code.encode():
        bits = character - 48
        if not 0 <= bits < 64 or shift > 50:
            raise ValueError("its code has characters that mean nothing")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("its code ends in the middle of a number")
    if any(count < 0 for count in counts):
        raise ValueError("a run has less than no pixels")
    return counts


def _point(annotation: _Annotation) -> tuple[float, float]:
    """Return the click; in SA-1B the centre of a pixel is at whole numbers."""
    if not annotation.point_coords:
        return np.nan, np.nan
    x, y = annotation.point_coords[0]
    return y + 0.5, x + 0.5


def _crop(annotation: _Annotation, size: tuple[int, int]) -> tuple[float, ...]:
    if annotation.crop_box is None:
        return (0, 0, *size)
    x, y, width, height = annotation.crop_box
    return y, x, y + height, x + width
