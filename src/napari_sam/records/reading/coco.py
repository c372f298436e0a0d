"""COCO annotations: an image each, or a stack where ours says so."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, TypeAlias

import numpy as np
from pydantic import BaseModel, Field, NonNegativeInt, ValidationError

from napari_sam.models.given.sa1b import mask_of_runs
from napari_sam.records.reading.base import Part, Piece, Read, filled, joined
from napari_sam.records.reading.texts import bytes_of, first_line
from napari_sam.types import ImageError, Mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.types import BoolArray

_Side: TypeAlias = Annotated[int, Field(gt=0, lt=2**20)]
_Number: TypeAlias = Annotated[float, Field(gt=-(2**21), lt=2**21)]
MOST = 32  # images that are opened at once


class _Image(BaseModel):
    id: int
    width: _Side
    height: _Side
    file_name: str = ""
    t: NonNegativeInt | None = None
    z: NonNegativeInt | None = None


class _Code(BaseModel):
    size: tuple[_Side, _Side]
    counts: list[NonNegativeInt] | str


class _Annotation(BaseModel):
    image_id: int
    category_id: int = 0
    segmentation: _Code | list[list[_Number]] | None = None
    iscrowd: int = 0
    object_id: NonNegativeInt = 0
    score: float | None = None


class _Category(BaseModel):
    id: int
    name: str = ""


class _File(BaseModel):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category] = []


def read_coco(path: Path) -> list[Read]:
    """Read the masks of every image as labels.

    Raises
    ------
    ImageError
        If it cannot be read, or holds more images than can be looked at.
    """
    parts = coco_parts(path)
    if len(parts) > MOST:
        raise ImageError(
            f"{path}: it describes {len(parts)} images, more than {MOST} are not "
            "opened at once: cut out the ones that you want to see"
        )
    return [part.load(None) for part in parts]


def coco_parts(path: Path) -> list[Part]:
    """Read which images there are; their masks are drawn when they are wanted.

    "Crowds" are left out; the labels are no truth there.

    Raises
    ------
    ImageError
        If it cannot be read.
    """
    try:
        file = _File.model_validate_json(bytes_of(path))
    except ValidationError as error:
        raise ImageError(
            f"{path}: this is no COCO file ({first_line(error)}): it needs images and "
            "annotations, each with a segmentation"
        ) from None
    names = {category.id: category.name for category in file.categories}
    of_image: dict[int, list[_Annotation]] = defaultdict(list)
    for annotation in file.annotations:
        of_image[annotation.image_id].append(annotation)
    stacks: dict[str, list[_Image]] = defaultdict(list)
    for image in file.images:
        stacks[image.file_name or str(image.id)].append(image)
    return [
        Part(name, partial(_stack, path, name, images, of_image, names))
        for name, images in stacks.items()
    ]


def _stack(
    path: Path,
    name: str,
    images: Sequence[_Image],
    of_image: dict[int, list[_Annotation]],
    names: dict[int, str],
    shape: Sequence[int] | None,
) -> Read:
    axes = [a for a in "tz" if any(getattr(image, a) is not None for image in images)]
    places = [tuple(getattr(image, a) or 0 for a in axes) for image in images]
    sizes = {(image.height, image.width) for image in images}
    if len(sizes) > 1 or len(set(places)) < len(places):
        raise ImageError(
            f"{path}: it describes {name} several times, and not as planes of a stack: "
            "give every image a name of its own"
        )
    shown = {} if len(set(names.values())) < 2 else names
    pieces: list[Piece] = []
    crowds: list[Piece] = []
    for image, index in zip(images, places, strict=True):
        for annotation in of_image[image.id]:
            piece = _piece(path, image, index, annotation, shown)
            if piece.mask.area:
                (crowds if annotation.iscrowd else pieces).append(piece)
    lengths = [max(place[n] for place in places) + 1 for n in range(len(axes))]
    whole = (*lengths, *sizes.pop())
    if shape is not None and len(shape) == len(whole):
        # What a file says nothing about may be missing at the end, too.
        longer = zip(shape[:-2], lengths, strict=True)
        whole = (*(max(one, other) for one, other in longer), *whole[-2:])
    plain = PurePosixPath(name).name
    letters = f"{''.join(axes).upper()}YX"
    read = joined(
        path,
        pieces,
        whole,
        axes=letters,
        name=Path(plain).stem,
        class_names=[names[number] for number in sorted(names)],
    )
    return replace(read, known=_known(whole, places, crowds))


def _known(
    shape: tuple[int, ...], places: Sequence[tuple[int, ...]], crowds: Sequence[Piece]
) -> BoolArray | None:
    """Return where somebody has looked: on planes that are named, but no crowds."""
    if not crowds and len(places) == np.prod(shape[:-2], dtype=int):
        return None
    known = np.zeros(shape, np.bool_)
    for place in places:
        known[place] = True
    for crowd in crowds:
        known[crowd.index][crowd.mask.slices][crowd.mask.data] = False
    return known


def _piece(
    path: Path,
    image: _Image,
    index: tuple[int, ...],
    annotation: _Annotation,
    names: dict[int, str],
) -> Piece:
    try:
        mask = _mask(annotation, (image.height, image.width))
    except ValueError as error:
        raise ImageError(
            f"{path}: a mask of {image.file_name} is damaged ({error}): make the "
            "file again"
        ) from error
    name = names.get(annotation.category_id, "")
    score = math.nan if annotation.score is None else annotation.score
    return Piece(mask, index, annotation.object_id, name, score)


def _mask(annotation: _Annotation, size: tuple[int, int]) -> Mask:
    code = annotation.segmentation
    if isinstance(code, _Code):
        if code.size != size:
            raise ValueError(f"it has {code.size} pixels, the image {size}")
        return mask_of_runs(code.counts, size)
    if not code:
        raise ValueError("it has no outline")
    if any(len(ring) < 6 or len(ring) % 2 for ring in code):
        raise ValueError("an outline needs three corners or more")
    # Polygons are pieces of an object, which may overlap.
    whole = np.zeros(size, np.bool_)
    for ring in code:
        piece = filled([np.array(ring).reshape(-1, 2)[:, ::-1]], size)
        whole[piece.slices] |= piece.data
    return Mask.from_array(whole)
