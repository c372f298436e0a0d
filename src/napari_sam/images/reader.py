"""Where pixels come from: one small interface, and arrays behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from napari_sam.images.units import PixelSize

Key: TypeAlias = tuple[int | slice, ...]


class Reader(Protocol):
    """An n-D image that can be read in parts.

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
    axes : str or None
        One letter for each axis, as the source names them; None if it does not.
    origin : str
        What `axes` comes from, for people.
    channel_names : tuple of str
        Empty where the source has none.
    pixel_size : dict
        Axis to (size, unit).
    notes : tuple of str
        What people should know about how it is read.
    coarser : tuple of (int, Reader)
        The same image at smaller sizes: how many times smaller in Y and X.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    axes: str | None
    origin: str
    channel_names: tuple[str, ...]
    pixel_size: PixelSize
    notes: tuple[str, ...]
    coarser: tuple[tuple[int, Reader], ...]

    def read(self, key: Key) -> npt.NDArray[Any]:
        """Read a part: an int, the whole (slice(None)) or a slice for every axis.

        Slices with bounds come for Y and X only.
        """

    def close(self) -> None:
        """Let go of files; reading ends."""


class ArrayReader:
    """Anything with a shape, a dtype and indexing: numpy, dask, zarr, xarray."""

    def __init__(
        self,
        array: Any,
        *,
        axes: str | None = None,
        origin: str = "the array",
        channel_names: tuple[str, ...] = (),
        pixel_size: PixelSize | None = None,
        notes: tuple[str, ...] = (),
        coarser: tuple[tuple[int, Reader], ...] = (),
    ) -> None:
        self.shape = tuple(int(n) for n in array.shape)
        self.dtype = np.dtype(array.dtype)
        self.axes = axes
        self.origin = origin
        self.channel_names = channel_names
        self.pixel_size = pixel_size or {}
        self.notes = notes
        self.coarser = coarser
        self._array = array

    def read(self, key: Key) -> npt.NDArray[Any]:
        """Read a part of the array."""
        return np.asarray(self._array[key])

    def close(self) -> None:
        """Drop the array."""
        self._array = None
