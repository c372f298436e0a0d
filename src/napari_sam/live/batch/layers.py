"""The images of open layers as files: those that they came from, or copies."""

from __future__ import annotations

import filecmp
import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import tifffile

from napari_sam.images.readers import is_zarr
from napari_sam.records.files import explained, prepare_folder
from napari_sam.types import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from napari_sam.images.units import PixelSize
    from napari_sam.live.source import Source

FOLDER: Final = "images"
_BAD: Final = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_LONGEST: Final = 120
_OME: Final = set("TZYXS")
_OME_TYPES: Final = (
    *("int8", "int16", "int32", "uint8", "uint16", "uint32"),
    *("float32", "float64"),
)
_UNITS: Final = {"micrometer": "µm", "second": "s"}
_SPACE: Final = uuid.UUID("8d8f3a34-5a55-4a34-8f43-4d5f7c6ad1b5")


@dataclass(frozen=True, slots=True, eq=False)
class OpenImage:
    """An image layer.

    Attributes
    ----------
    source : Source
    path : str
        The file that it came from, or "".
    pixel_size : dict
    """

    source: Source
    path: str
    pixel_size: PixelSize


def files_of(
    layers: Sequence[OpenImage], output: Path, *, replace: bool = False
) -> list[str]:
    """Return a file for each of these images, each file once.

    What came from no file is copied to `output/images`. A copy that is there already
    and is the same stays, so that a run goes on with it.

    Parameters
    ----------
    layers : sequence of OpenImage
    output : Path
    replace : bool
        Replace copies that are other images.

    Raises
    ------
    NapariSamError
        If a copy cannot be written, another image of this name is there, or an image
        has axes besides time and depth.
    """
    files = []
    for place, one in places_of(layers, output):
        if one is not None:
            _copy(one, place, replace)
        files.append(str(place))
    return files


def places_of(
    layers: Sequence[OpenImage], output: Path
) -> list[tuple[Path, OpenImage | None]]:
    """Return where images are, each place once, and which are copied there first."""
    places: dict[Path, OpenImage | None] = {}
    taken: set[str] = set()
    for one in layers:
        place = Path(one.path).absolute() if one.path else None
        if place is not None and (place.is_file() or is_zarr(place)):
            places.setdefault(place, None)
        else:
            name = _free(one.source.name, taken)
            places[output / FOLDER / f"{name}.tif"] = one
    return list(places.items())


def _free(name: str, taken: set[str]) -> str:
    """Return what a file can be called, once on any system."""
    plain = _BAD.sub("_", name).strip(" .") or "image"
    if _RESERVED.fullmatch(plain):  # on Windows these are devices
        plain = f"_{plain}"
    while len(plain.encode()) > _LONGEST:
        plain = plain[:-1]
    found, number = plain, 1
    while found.casefold() in taken:
        number += 1
        found = f"{plain} {number}"
    taken.add(found.casefold())
    return found


def _copy(one: OpenImage, place: Path, replace: bool) -> None:
    one.source.check_axes()
    prepare_folder(place.parent)
    part = place.with_name(f".{place.name}.part")
    with explained(place):
        try:
            with part.open("wb") as file:
                _write(file, one, place.name)
                file.flush()
                os.fsync(file.fileno())
            if place.exists() and filecmp.cmp(part, place, shallow=False):
                return
            if place.exists() and not replace:
                raise OutputError(
                    f"{place} is another image than “{one.source.name}” is now: rename "
                    "the layer, or choose another folder with --output"
                )
            part.replace(place)
        finally:
            part.unlink(missing_ok=True)


def _write(file: Any, one: OpenImage, name: str) -> None:
    source = one.source
    axes = f"{source.stack_axes}YX" + "S" * source.rgb
    first = _plain(source.read((0,) * len(source.stack_shape)))
    shape = (*source.stack_shape, *first.shape)
    metadata: dict[str, Any] = {"axes": axes}
    ome = set(axes) <= _OME and first.dtype.name in _OME_TYPES
    if ome:
        # The same pixels give the same file.
        metadata |= {"UUID": str(uuid.uuid5(_SPACE, name)), "Name": source.name}
        for axis, (size, unit) in one.pixel_size.items():
            key = "TimeIncrement" if axis == "T" else f"PhysicalSize{axis}"
            metadata |= {key: size, f"{key}Unit": _UNITS.get(unit, unit)}
    tifffile.imwrite(
        file,
        _planes(source),
        shape=shape,
        dtype=first.dtype,
        photometric="rgb" if source.rgb else "minisblack",
        bigtiff=int(np.prod(shape)) * first.dtype.itemsize > 2**31,
        ome=ome,
        metadata=metadata,
    )


def _planes(source: Source) -> Iterator[npt.NDArray[Any]]:
    for index in np.ndindex(source.stack_shape):
        yield _plain(source.read(index))


def _plain(plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return pixels as TIFF files have them."""
    return (
        plane.astype(np.uint8) if plane.dtype == bool else np.ascontiguousarray(plane)
    )
