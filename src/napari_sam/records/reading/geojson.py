"""GeoJSON, as QuPath and `napari-sam` write it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, Field, NonNegativeInt, ValidationError

from napari_sam.records.reading.base import Piece, Read, filled, joined
from napari_sam.records.reading.texts import bytes_of, first_line
from napari_sam.types import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

_Number: TypeAlias = Annotated[float, Field(gt=-(2**21), lt=2**21)]  # no NaN
_Ring: TypeAlias = list[Annotated[list[_Number], Field(min_length=2, max_length=4)]]


class _Plane(BaseModel):
    z: NonNegativeInt = 0
    t: NonNegativeInt = 0


class _Geometry(BaseModel):
    type: str
    coordinates: list[Any] = []
    plane: _Plane = Field(default_factory=_Plane)


class _Polygon(BaseModel):
    coordinates: list[_Ring]


class _MultiPolygon(BaseModel):
    coordinates: list[list[_Ring]]


class _Class(BaseModel):
    name: str = ""


class _Properties(BaseModel):
    name: str | int | None = None
    classification: _Class | None = None


class _Feature(BaseModel):
    type: Literal["Feature"] = "Feature"
    geometry: _Geometry | None = None
    properties: _Properties | None = None


class _Image(BaseModel):
    axes: str
    shape: list[int]


class _Collection(BaseModel):
    features: list[_Feature]
    image: _Image | None = None


def read_geojson(path: Path, shape: Sequence[int] | None = None) -> Read:
    """Read polygons as labels.

    Parameters
    ----------
    path : Path
        A FeatureCollection, a list of features as older QuPath wrote it, or a feature.
    shape : sequence of int, optional
        Of the image that they belong to; without it, and where the file does not say
        it, the labels are as large as the objects.

    Raises
    ------
    ImageError
        If it cannot be read.
    """
    text = bytes_of(path)
    if text.lstrip().startswith(b"["):
        text = b'{"features":%s}' % text
    elif b'"features"' not in text and b'"Feature"' in text:
        text = b'{"features":[%s]}' % text
    try:
        collection = _Collection.model_validate_json(text)
        pieces = [
            _piece(feature, feature.geometry)
            for feature in collection.features
            if feature.geometry is not None
        ]
    except ValidationError as error:
        raise ImageError(
            f"{path}: this is no GeoJSON of polygons ({first_line(error)}): export the "
            "objects again"
        ) from None
    drawn = [piece for piece in pieces if piece.mask.area]
    left_out = len(collection.features) - len(drawn)
    said = collection.image
    if said is not None and len(said.axes) == len(said.shape):
        axes, whole, fitted = said.axes.upper(), tuple(said.shape), False
    else:
        axes, whole = fit(drawn, shape)
        fitted = whole != tuple(shape or ())
    placed = [_placed(piece, axes) for piece in drawn]
    read = joined(path, placed, whole, axes=axes, name=path.stem)
    notes = read.notes
    if left_out:
        note = f"{path.name}: {left_out} features are no areas, and are left out"
        notes = (*notes, note)
    return replace(read, notes=notes, fitted=fitted)


def _piece(feature: _Feature, geometry: _Geometry) -> Piece:
    about = feature.properties or _Properties()
    name = str(about.name or "")
    rings = list(_rings(geometry))
    return Piece(
        filled(rings)
        if (rings := list(_rings(geometry)))
        else filled([np.zeros((1, 2))]),
        (geometry.plane.t, geometry.plane.z),
        int(name) if name.isdecimal() and len(name) < 10 else 0,
        "" if about.classification is None else about.classification.name,
    )


def _rings(geometry: _Geometry) -> Iterator[npt.NDArray[np.float64]]:
    polygons: list[list[Any]] = []
    if geometry.type == "Polygon":
        polygons = [_Polygon(coordinates=geometry.coordinates).coordinates]
    elif geometry.type == "MultiPolygon":
        polygons = _MultiPolygon(coordinates=geometry.coordinates).coordinates
    for polygon in polygons:
        for ring in polygon:
            corners = np.array([point[:2] for point in ring], np.float64)
            if len(corners) > 3:
                yield corners[:-1, ::-1]


def fit(
    pieces: Sequence[Piece], shape: Sequence[int] | None
) -> tuple[str, tuple[int, ...]]:
    """Return axes and shape for objects whose index is (t, z).

    Taken from an image where all of them lie on it, else as large as needed.
    """
    boxes = np.array([piece.mask.box for piece in pieces]).reshape(-1, 4)
    height, width = (int(boxes[:, side].max(initial=1)) for side in (2, 3))
    frames, slices = (
        max((piece.index[axis] for piece in pieces), default=0) + 1 for axis in (0, 1)
    )
    for axes in {2: [""], 3: ["T", "Z"], 4: ["TZ"]}.get(len(shape or ()), []):
        whole = tuple(shape or ())
        room = dict(zip(axes, whole, strict=False))
        enough = frames <= room.get("T", 1) and slices <= room.get("Z", 1)
        if enough and height <= whole[-2] and width <= whole[-1]:
            return f"{axes}YX", whole
    letters = ("T" if frames > 1 else "") + ("Z" if slices > 1 else "")
    lengths = [n for n in (frames, slices) if n > 1]
    return f"{letters}YX", (*lengths, height, width)


def _placed(piece: Piece, axes: str) -> Piece:
    """Keep of (t, z) what there are axes for."""
    return at(piece, dict(zip("TZ", piece.index, strict=True)), axes)


def at(piece: Piece, places: dict[str, int], axes: str) -> Piece:
    """Return an object with the index that it has along these axes."""
    index = tuple(places.get(axis, 0) for axis in axes[:-2])
    return replace(piece, index=index)
