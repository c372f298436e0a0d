"""Which reader a file or an array needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.images.axes import letter_of
from napari_sam.images.reader import ArrayReader, Reader
from napari_sam.types import ImageError

if TYPE_CHECKING:
    from pathlib import Path

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"


def array_reader(source: Any, where: str) -> Reader:
    """Wrap an array-like; plain lists become numpy arrays.

    Raises
    ------
    ImageError
        If it is nothing like an array.
    """
    if type(source).__module__.partition(".")[0] == "zarr":
        from napari_sam.images.zarrs import zarr_reader

        return zarr_reader(source, where)
    if not (hasattr(source, "shape") and hasattr(source, "dtype")):
        try:
            source = np.asarray(source)
        except ValueError as exc:
            raise ImageError(f"{where}: this is no image: {exc}") from exc
    dims = getattr(source, "dims", None)
    if not isinstance(dims, tuple):
        return ArrayReader(source)
    return ArrayReader(source, axes="".join(letter_of(str(name)) for name in dims))


def file_reader(path: Path) -> Reader:
    """Open a file or a Zarr folder by what is in it, not by its name.

    Raises
    ------
    ImageError
        If there is nothing that can be read as an image.
    """
    if is_zarr(path):
        from napari_sam.images.zarrs import open_zarr

        return open_zarr(path)
    if path.is_dir():
        raise ImageError(
            f"{path}: this is a folder, not an image: give the images in it"
        )
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except FileNotFoundError as exc:
        raise ImageError(f"{path}: there is no such file: check the name") from exc
    except OSError as exc:
        raise ImageError(
            f"{path}: the file cannot be read ({exc.strerror}): check its permissions"
        ) from exc
    if not head:
        raise ImageError(f"{path}: the file is empty (0 bytes): copy it again")
    if head[:4] in _TIFF:
        from napari_sam.images.tiff import TiffReader

        return TiffReader(path)
    if head.startswith((_PNG, _JPEG)):
        from napari_sam.images.pictures import PictureReader

        return PictureReader(path)
    raise ImageError(
        f"{path}: this is no image that can be read (its content is neither TIFF, PNG, "
        "JPEG nor Zarr, whatever its name says): convert it to TIFF"
    )


def is_zarr(path: Path) -> bool:
    """Whether a path is a folder that holds a Zarr array or group."""
    return path.is_dir() and (
        path.suffix.lower() == ".zarr"
        or any((path / name).is_file() for name in ("zarr.json", ".zarray", ".zgroup"))
    )
