"""Label images as TIFF, written page by page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt
import tifffile

from napari_sam.images.planes import is_large
from napari_sam.records.files import atomic_file

if TYPE_CHECKING:
    from pathlib import Path

# Axis to (size, unit) as `ImageStack.pixel_size` has it: micrometres and seconds.
PixelSize = Mapping[str, tuple[float, str]]
Flavour = Literal["imagej", "ome", "shaped"]

# Offsets in a classic TIFF have 32 bits; some room is for the tags.
_CLASSIC_LIMIT: Final = 2**32 - 2**25
_TILE: Final = 1024  # pixels, of large planes


def label_dtype(highest_id: int) -> npt.DTypeLike:
    """Return uint16 where all ids fit, else uint32."""
    return np.uint16 if highest_id <= np.iinfo(np.uint16).max else np.uint32


def choose_flavour(
    axes: str, shape: Sequence[int], dtype: npt.DTypeLike, nbytes: int
) -> Flavour:
    """Choose whose metadata says what the axes are.

    ImageJ's, which most programs read, where it can hold the image: 16 bits,
    axes in the order TZYX, below 4 GB. OME's otherwise. Both drop axes of
    length 1 when they are read and want pages of Y and X, so what does not
    suit them gets tifffile's own.
    """
    if 1 in shape[:-2] or not axes.endswith("YX"):
        return "shaped"
    in_order = "".join(a for a in "TZYX" if a in axes) == axes
    small = np.dtype(dtype) == np.uint16 and nbytes < _CLASSIC_LIMIT
    return "imagej" if in_order and small and shape[-1] > 1 else "ome"


def write_labels(
    path: Path,
    planes: Iterator[npt.NDArray[Any]],
    *,
    axes: str,
    shape: Sequence[int],
    dtype: npt.DTypeLike,
    pixel_size: PixelSize,
) -> None:
    """Write a stack of label planes; the file appears when it is complete.

    Parameters
    ----------
    path : Path
    planes : iterator of arrays, shape `shape[-2:]`
        In the order of the file; only one is held at a time.
    axes : str
        One letter for each axis; pages are made of the last two.
    shape : sequence of int
    dtype : uint16 or uint32
    pixel_size : mapping of axis to (size, unit)
        What is known of it is kept in the file.
    """
    nbytes = math.prod(shape) * np.dtype(dtype).itemsize
    flavour = choose_flavour(axes, shape, dtype, nbytes)
    with (
        atomic_file(path) as file,
        tifffile.TiffWriter(
            file,
            bigtiff=nbytes >= _CLASSIC_LIMIT,
            imagej=flavour == "imagej",
            ome=flavour == "ome",
            shaped=flavour == "shaped",
        ) as writer,
    ):
        pieces: dict[str, Any]
        if is_large((shape[-2], shape[-1])):
            data = (tile for plane in planes for tile in _tiles(plane, dtype))
            pieces = {"tile": (_TILE, _TILE)}
        else:
            data = (np.ascontiguousarray(plane, dtype) for plane in planes)
            # One strip a page and one worker: one page in memory.
            pieces = {"rowsperstrip": shape[-2]}
        writer.write(
            data,
            shape=tuple(shape),
            dtype=dtype,
            photometric="minisblack",
            compression="zlib",
            maxworkers=1,
            metadata=_metadata(flavour, axes, pixel_size),
            **pieces,
            **_resolution(flavour, pixel_size),
        )


def _tiles(plane: npt.NDArray[Any], dtype: npt.DTypeLike) -> Iterator[npt.NDArray[Any]]:
    """Yield a large plane in tiles, row by row; a viewer need not read all of it."""
    height, width = plane.shape
    for y in range(0, height, _TILE):
        for x in range(0, width, _TILE):
            tile = np.zeros((_TILE, _TILE), dtype)
            part = plane[y : y + _TILE, x : x + _TILE]
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile


def _metadata(flavour: Flavour, axes: str, pixel_size: PixelSize) -> dict[str, Any]:
    values: dict[str, Any] = {"axes": axes}
    if flavour == "shaped":
        return values
    sizes = {axis: size for axis, (size, _) in pixel_size.items()}
    if flavour == "imagej":
        if sizes.keys() & set("XYZ"):
            values["unit"] = "um"
        if "Z" in sizes:
            values["spacing"] = sizes["Z"]
        if "T" in sizes:
            values |= {"finterval": sizes["T"], "tunit": "s"}
        return values
    for axis in sizes.keys() & set("XYZ"):
        values[f"PhysicalSize{axis}"] = sizes[axis]
        values[f"PhysicalSize{axis}Unit"] = "µm"
    if "T" in sizes:
        values |= {"TimeIncrement": sizes["T"], "TimeIncrementUnit": "s"}
    return values


def _resolution(flavour: Flavour, pixel_size: PixelSize) -> dict[str, Any]:
    if flavour == "ome" or "Y" not in pixel_size or "X" not in pixel_size:
        return {}
    y, x = pixel_size["Y"][0], pixel_size["X"][0]
    if flavour == "imagej":
        return {"resolution": (1 / x, 1 / y)}  # per unit, which is um
    return {"resolution": (1e4 / x, 1e4 / y), "resolutionunit": "CENTIMETER"}
