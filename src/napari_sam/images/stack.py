"""An n-D image seen as a stack of planes that are read one by one."""

from __future__ import annotations

from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_sam.images.axes import Understanding, understand
from napari_sam.images.channels import choose_channels
from napari_sam.images.normalization import (
    PERCENTILES,
    Mode,
    Normalization,
    fit_normalization,
    lazy_plane,
    make_plane,
)
from napari_sam.images.planes import LargePlane, Plane, is_large, sample_boxes
from napari_sam.images.readers import array_reader, file_reader
from napari_sam.images.units import parse_length
from napari_sam.types import ImageError, NapariSamError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from napari_sam.images.reader import Key, Reader
    from napari_sam.images.units import PixelSize
    from napari_sam.types import IntBox

_SAMPLED_PLANES = 16
_COLOURS = ("red", "green", "blue", "alpha")


class ImageStack:
    """An image whose planes are read one by one; made by `open_image`.

    Attributes
    ----------
    name : str
    path : Path or None
        Where the file is; None for arrays.
    axes : str
        As understood, in the order of the source, for example "TZCYX"; "S"
        is colour.
    shape : tuple of int
        One for each of `axes`.
    dtype : dtype
    channels : tuple of int
        The channels that are read, in this order.
    channel_names : tuple of str
        Of all channels in the file; empty where it has no names.
    rgb : bool
        Planes are colour, (H, W, 3).
    pixel_size : dict
        Axis to (size, unit): micrometers, and seconds for T. Only where the
        file has them.
    """

    def __init__(
        self,
        reader: Reader,
        understanding: Understanding,
        channels: Sequence[int | str] | None,
        *,
        name: str,
        path: Path | None,
    ) -> None:
        self.name = name
        self.path = path
        self.dtype = reader.dtype
        self._reader = reader
        self._letters = understanding.letters
        self._origin = understanding.origin
        self._notes = (*reader.notes, *understanding.notes)
        kept = [i for i, letter in enumerate(self._letters) if letter != "_"]
        self.axes = "".join(self._letters[i] for i in kept)
        self.shape = tuple(reader.shape[i] for i in kept)
        self._sizes = dict(zip(self.axes, self.shape, strict=True))
        self.pixel_size: PixelSize = {
            axis: size for axis, size in reader.pixel_size.items() if axis in self.axes
        }
        self.channel_names: tuple[str, ...] = ()
        self._choose(channels)
        chosen = self.channels if self._chosen else None
        self._coarser = [
            (factor, ImageStack(level, understanding, chosen, name=name, path=path))
            for factor, level in reader.coarser
        ]

    def _choose(self, channels: Sequence[int | str] | None) -> None:
        """Settle which channels are read, and whether they are colour."""
        where = str(self.path or self.name)
        # Choosing channels of a colour image makes its samples plain channels.
        split = "S" in self.axes and "C" not in self.axes and channels is not None
        axis = "S" if split else "C"
        self.rgb = "S" in self.axes and not split
        count = self._sizes.get(axis, 1)
        names = _COLOURS[:count] if split else self._reader.channel_names
        self.channel_names = names if len(names) == count else ()
        self._chosen = channels is not None
        self.channels = (
            (0,)
            if channels is None
            else choose_channels(channels, count, self.channel_names, where)
        )
        if self.rgb and len(self.channels) > 1:
            raise ImageError(
                f"{where}: every channel of this image is in colour already: choose one"
            )

    @property
    def stack_axes(self) -> str:
        """The axes that planes are counted along, in the source's order."""
        return "".join(axis for axis in self.axes if axis not in "CYXS")

    @property
    def stack_shape(self) -> tuple[int, ...]:
        """Lengths of `stack_axes`; empty for a single plane."""
        return tuple(self._sizes[axis] for axis in self.stack_axes)

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Height and width of a plane."""
        return self._sizes["Y"], self._sizes["X"]

    @property
    def label_axes(self) -> str:
        """The axes of a label image: the source's without C and S."""
        return "".join(axis for axis in self.axes if axis not in "CS")

    @property
    def label_shape(self) -> tuple[int, ...]:
        """Lengths of `label_axes`."""
        return tuple(self._sizes[axis] for axis in self.label_axes)

    def __len__(self) -> int:
        """Return the number of planes."""
        return int(np.prod(self.stack_shape, dtype=np.int64))

    def indices(self) -> Iterator[tuple[int, ...]]:
        """Yield the index of every plane; the last stack axis runs fastest."""
        yield from np.ndindex(*self.stack_shape)

    def label_key(self, index: tuple[int, ...]) -> tuple[int | slice, ...]:
        """Return where the plane `index` sits in an array of `label_shape`.

        What is put there is (H, W), or (W, H) where X comes before Y.
        """
        where = dict(zip(self.stack_axes, index, strict=True))
        return tuple(where.get(axis, slice(None)) for axis in self.label_axes)

    def read(
        self, index: tuple[int, ...] = (), box: IntBox | None = None
    ) -> npt.NDArray[Any]:
        """Read one plane as it is in the file, chosen channels only.

        Parameters
        ----------
        index : tuple of int
            Position along `stack_axes`.
        box : (y0, x0, y1, x1), optional
            Only this part of it.

        Returns
        -------
        array, shape (H, W), or (H, W, C) for several channels or colour

        Raises
        ------
        ImageError
            If there is no such plane or the file is damaged there.
        """
        index = tuple(int(i) for i in index)
        if len(index) != len(self.stack_shape) or not all(
            0 <= i < n for i, n in zip(index, self.stack_shape, strict=True)
        ):
            raise ImageError(
                f"{self._where}: there is no plane {index}: "
                f"the axes {self.stack_axes!r} have the lengths {self.stack_shape}"
            )
        try:
            plane = self._read(index, box)
        except (NapariSamError, MemoryError):
            raise
        except Exception as exc:  # decoders raise nearly anything on damaged data
            raise ImageError(
                f"{self._where}: plane {self._position(index)} cannot be read, the "
                f"data is damaged ({_short(exc)}): copy or export it again"
            ) from exc
        wanted = self.plane_shape if box is None else _shape_of(box)
        if plane.shape[:2] != wanted:
            raise ImageError(
                f"{self._where}: plane {self._position(index)} has "
                f"{_sides(plane.shape)} pixels now, not {_sides(wanted)}: the file was "
                "replaced meanwhile, open it again"
            )
        if plane.dtype.isnative:
            return plane
        return plane.astype(plane.dtype.newbyteorder("="))

    def _read(self, index: tuple[int, ...], box: IntBox | None) -> npt.NDArray[Any]:
        if "C" not in self.axes:
            pixels = self._read_channel(index, 0, box)
        else:
            read = [self._read_channel(index, c, box) for c in self.channels]
            pixels = read[0] if len(read) == 1 else np.stack(read, axis=-1)
        if self.rgb:
            return pixels[..., :3]  # without alpha
        if "S" in self.axes:
            pixels = pixels[..., list(self.channels)]
            return pixels[..., 0] if len(self.channels) == 1 else pixels
        return pixels

    def _read_channel(
        self, index: tuple[int, ...], channel: int, box: IntBox | None
    ) -> npt.NDArray[Any]:
        where: dict[str, int] = dict(zip(self.stack_axes, index, strict=True))
        where |= {"C": channel, "_": 0}
        left = [letter for letter in self._letters if letter not in where]
        parts: dict[str, int | slice] = {**where}
        if box is not None:
            y0, x0, y1, x1 = box
            parts |= {"Y": slice(y0, y1), "X": slice(x0, x1)}
        key: Key = tuple(parts.get(letter, slice(None)) for letter in self._letters)
        part = self._reader.read(key)
        return part.transpose([left.index(a) for a in "YXS" if a in left])

    def normalization(
        self, mode: Mode = "stack", percentiles: tuple[float, float] = PERCENTILES
    ) -> Normalization:
        """Find the contrast from at most 16 fixed, evenly spaced planes.

        Of large ones from fixed blocks in them.
        """
        return fit_normalization(
            self._sample(), rgb=self.rgb, mode=mode, percentiles=percentiles
        )

    def _sample(self) -> Iterator[npt.NDArray[Any]]:
        count = min(len(self), _SAMPLED_PLANES)
        for flat in np.linspace(0, len(self) - 1, count).round().astype(int):
            yield from self._seen(tuple(np.unravel_index(flat, self.stack_shape)))

    def _seen(self, index: tuple[int, ...]) -> Iterator[npt.NDArray[Any]]:
        """Yield what of a plane decides about the contrast."""
        if not is_large(self.plane_shape):
            yield self.read(index)
            return
        for box in sample_boxes(self.plane_shape):
            yield self.read(index, box)

    def plane(
        self,
        index: tuple[int, ...] = (),
        normalization: Normalization | None = None,
        diameter: float | None = None,
    ) -> Plane:
        """Return one plane as a model sees it.

        A large one is read part by part, where it is looked at.

        Parameters
        ----------
        index : tuple of int
            Position along `stack_axes`.
        normalization : Normalization, optional
            By default the plane's own contrast.
        diameter : float, optional
            Of a typical object, in pixels.
        """
        if not is_large(self.plane_shape):
            return make_plane(
                self.read(index),
                normalization,
                rgb=self.rgb,
                index=index,
                diameter=diameter,
            )
        if normalization is None or normalization.ranges is None:
            percentiles = (normalization or Normalization()).percentiles
            normalization = fit_normalization(
                self._seen(index), rgb=self.rgb, percentiles=percentiles
            )
        return self._lazy(index, normalization, diameter)

    def _lazy(
        self, index: tuple[int, ...], contrast: Normalization, diameter: float | None
    ) -> LargePlane:
        coarser = (
            (factor, stack._lazy(index, contrast, diameter))
            for factor, stack in self._coarser
        )
        return lazy_plane(
            partial(self.read, index),
            self.plane_shape,
            contrast,
            rgb=self.rgb,
            index=index,
            diameter=diameter,
            coarser=tuple(coarser),
        )

    def pixels_of(self, length: float | str | None) -> float | None:
        """Return how many pixels a length in a plane is.

        Parameters
        ----------
        length : float or str, optional
            In pixels, or with a unit of length: "8 um". None is None.

        Raises
        ------
        ImageError
            If it has such a unit, and the file does not say how large a pixel is.
        """
        if length is None:
            return None
        value, unit = parse_length(length)
        if unit is None:
            return value
        sizes = [self.pixel_size[axis][0] for axis in "YX" if axis in self.pixel_size]
        if not sizes:
            raise ImageError(
                f"{self._where}: the file does not say how large a pixel is: give the "
                f"diameter in pixels, not as {length!r}"
            )
        return value / float(np.mean(sizes))

    def describe(self) -> str:
        """Say in one line what was understood."""
        height, width = self.plane_shape
        count = len(self)
        along = ", ".join(f"{a} {self._sizes[a]}" for a in self.stack_axes)
        parts = [
            f"{count} plane{'s' * (count != 1)} of {height} × {width}"
            + (f" ({along})" if along else ""),
            str(self.dtype),
            f"axes {self.axes} ({self._origin})",
            *self._colour_text(),
            *self._size_text(),
            *self._notes,
        ]
        return f"{self.name}: {'; '.join(parts)}"

    def _colour_text(self) -> list[str]:
        parts = ["colour"] if self.rgb else []
        axis = "C" if "C" in self.axes else "S"
        count = self._sizes.get(axis, 1)
        if (self.rgb and axis == "S") or count == 1:
            return parts
        named = [
            f"{c} ({self.channel_names[c]})" if self.channel_names else str(c)
            for c in self.channels
        ]
        text = f"channel{'s' * (len(named) > 1)} {', '.join(named)} of {count}"
        return [*parts, text if self._chosen else f"{text}, choose with --channels"]

    def _size_text(self) -> list[str]:
        sizes = [
            f"{axis} {size:.4g} {'s' if unit == 'second' else 'µm'}"
            for axis, (size, unit) in self.pixel_size.items()
        ]
        return [f"pixel size {', '.join(sizes)}"] if sizes else []

    @property
    def _where(self) -> str:
        return str(self.path or self.name)

    def _position(self, index: tuple[int, ...]) -> str:
        pairs = zip(self.stack_axes, index, strict=True)
        return ", ".join(f"{axis}={i}" for axis, i in pairs) or "0"

    def close(self) -> None:
        """Close the file; no plane can be read afterwards."""
        self._reader.close()

    def __enter__(self) -> ImageStack:
        """Return the stack itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()


def open_image(
    source: Any,
    *,
    axes: str | None = None,
    channels: Sequence[int | str] | None = None,
    name: str | None = None,
) -> ImageStack:
    """Open an image without reading its pixels.

    Parameters
    ----------
    source : str, Path, array-like or ImageStack
        A TIFF, PNG or JPEG file, a Zarr array or OME-Zarr image (its full
        resolution), a numpy, dask or zarr array. An `ImageStack` is returned
        as it is.
    axes : str, optional
        One of T, C, Z, Y, X, S for each axis, for example "TZYX"; overrides
        what the file says.
    channels : sequence of int or str, optional
        One to three channels, by number or by the name the file gives them.
        By default the first one.
    name : str, optional
        By default the file's name, or "image".

    Raises
    ------
    ImageError
        If the image cannot be read, or not be understood as planes.
    """
    if isinstance(source, ImageStack):
        return source
    if isinstance(source, (str, PathLike)):
        path = Path(source)
        reader, where = file_reader(path), str(path)
        name = name or path.name
    else:
        path, name = None, name or "image"
        reader, where = array_reader(source, name), name
    try:
        if reader.dtype.kind not in "buif":
            raise ImageError(
                f"{where}: the pixels are of the type {reader.dtype}: "
                "only real numbers can be annotated, convert them first"
            )
        understanding = understand(
            reader.shape,
            reader.dtype,
            where=where,
            found=reader.axes,
            origin=reader.origin,
            override=axes,
        )
        return ImageStack(reader, understanding, channels, name=name, path=path)
    except BaseException:
        reader.close()
        raise


def _shape_of(box: IntBox) -> tuple[int, int]:
    y0, x0, y1, x1 = box
    return y1 - y0, x1 - x0


def _sides(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape[:2]))


def _short(exc: Exception) -> str:
    text = " ".join(str(exc).split()) or type(exc).__name__
    return text if len(text) <= 120 else text[:117] + "..."
