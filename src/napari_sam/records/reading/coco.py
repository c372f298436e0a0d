"""COCO annotations: an image each, or a stack where ours says so."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, TypeAlias

import numpy as np
from pydantic import BaseModel, Field, NonNegativeInt, ValidationError

from napari_sam.models.given.sa1b import mask_of_runs
from napari_sam.records.reading.base import Piece, Read, filled, joined
from napari_sam.records.reading.texts import bytes_of, first_line
from napari_sam.types import ImageError, Mask

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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


class _Category(BaseModel):
    id: int
    name: str = ""


class _File(BaseModel):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category] = []


def read_coco(path: Path) -> list[Read]:
    """Read the masks of every image as labels; "crowds" are left out.

    Raises
    ------
    ImageError
        If it cannot be read, or holds more images than can be looked at.
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
        if not annotation.iscrowd:
            of_image[annotation.image_id].append(annotation)
    stacks: dict[str, list[_Image]] = defaultdict(list)
    for image in file.images:
        stacks[image.file_name or str(image.id)].append(image)
    if len(stacks) > MOST:
        raise ImageError(
            f"{path}: it describes {len(stacks)} images, more than {MOST} are not "
            "opened at once: cut out the ones that you want to see"
        )
    only = len(set(names.values())) < 2
    return [
        _stack(path, name, images, of_image, {} if only else names)
        for name, images in stacks.items()
    ]


def _stack(
    path: Path,
    name: str,
    images: Sequence[_Image],
    of_image: dict[int, list[_Annotation]],
    names: dict[int, str],
) -> Read:
    axes = [a for a in "tz" if any(getattr(image, a) is not None for image in images)]
    places = [tuple(getattr(image, a) or 0 for a in axes) for image in images]
    sizes = {(image.height, image.width) for image in images}
    if len(sizes) > 1 or len(set(places)) < len(places):
        raise ImageError(
            f"{path}: it describes {name} several times, and not as planes of a stack: "
            "give every image a name of its own"
        )
    pieces = [
        piece
        for image, index in zip(images, places, strict=True)
        for piece in _pieces(path, image, index, of_image[image.id], names)
    ]
    lengths = [max(place[n] for place in places) + 1 for n in range(len(axes))]
    shape = (*lengths, *sizes.pop())
    plain = PurePosixPath(name).name
    letters = f"{''.join(axes).upper()}YX"
    return joined(path, pieces, shape, axes=letters, name=Path(plain).stem)


def _pieces(
    path: Path,
    image: _Image,
    index: tuple[int, ...],
    annotations: Sequence[_Annotation],
    names: dict[int, str],
) -> Iterator[Piece]:
    size = image.height, image.width
    for annotation in annotations:
        try:
            mask = _mask(annotation, size)
        except ValueError as error:
            raise ImageError(
                f"{path}: a mask of {image.file_name} is damaged ({error}): make the "
                "file again"
            ) from error
        if mask.area:
            name = names.get(annotation.category_id, "")
            yield Piece(mask, index, annotation.object_id, name)


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
