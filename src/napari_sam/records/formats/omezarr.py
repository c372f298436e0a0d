"""OME-Zarr 0.5: labels with a pyramid, one folder for each input."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam.records.files import atomic_folder
from napari_sam.records.formats.base import Format, Sink, Target, with_ending
from napari_sam.records.labels import label_dtype

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Mapping, Sequence
    from pathlib import Path, PurePosixPath

    import numpy.typing as npt

    from napari_sam.records.labels import PixelSize

_CHUNK: Final = 1024  # pixels, of each plane
_SMALLEST: Final = 256  # the pyramid ends where a plane is no larger
_TYPES: Final = {"t": "time", "z": "space", "y": "space", "x": "space"}


class OmeZarr(Format):
    """A label image that lies by itself, or goes into `labels` of its image."""

    name = "omezarr"

    def places(self, folder: Path, relative: PurePosixPath) -> tuple[Path, ...]:
        """Return the folder of an input."""
        return (folder / with_ending(relative, ".ome.zarr"),)

    def open(self, target: Target, files: contextlib.ExitStack) -> Sink:
        """Write chunks as planes come."""
        stack = target.stack
        lengths = dict(zip(stack.stack_axes.lower(), stack.stack_shape, strict=True))
        folder = files.enter_context(atomic_folder(target.file(".ome.zarr")))
        writer = LabelWriter(
            folder,
            name=target.relative.name,
            lengths=lengths,
            plane_shape=stack.plane_shape,
            dtype=label_dtype(target.numbers.highest_id),
            pixel_size=stack.pixel_size,
        )
        return lambda page: writer.add(target.places(page.index), page.numbered)


class LabelWriter:
    """Writes labels into an OME-Zarr folder, plane by plane.

    Parameters
    ----------
    folder : Path
        Empty.
    name : str
    lengths : mapping
        Of the stack axes "t" and "z", those that there are.
    plane_shape : (H, W)
    dtype : uint16 or uint32
    pixel_size : mapping of axis to (size, unit)
        In micrometres and seconds.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        lengths: Mapping[str, int],
        plane_shape: tuple[int, int],
        dtype: npt.DTypeLike,
        pixel_size: PixelSize,
    ) -> None:
        import zarr

        # OME-Zarr has one order only.
        self._axes = [axis for axis in "tz" if axis in lengths]
        stack = [lengths[axis] for axis in self._axes]
        axes = [*self._axes, "y", "x"]
        height, width = plane_shape
        self._levels: list[Any] = []
        group = zarr.open_group(folder, mode="w", zarr_format=3)
        factor = 1
        while not factor > 1 or max(height, width) > _SMALLEST * (factor // 2):
            shape = *stack, math.ceil(height / factor), math.ceil(width / factor)
            self._levels.append(
                group.create_array(
                    str(len(self._levels)),
                    shape=shape,
                    dtype=np.dtype(dtype),
                    chunks=(*(1 for _ in stack), *(min(n, _CHUNK) for n in shape[-2:])),
                    dimension_names=axes,
                    fill_value=0,
                )
            )
            factor *= 2
        group.attrs["ome"] = _metadata(name, axes, len(self._levels), pixel_size)

    def add(self, places: Mapping[str, int], plane: npt.NDArray[Any]) -> None:
        """Write one plane (H, W)."""
        index = tuple(places[axis] for axis in self._axes)
        for level in self._levels:
            level[index] = plane
            # Every second pixel: labels cannot be averaged.
            plane = plane[::2, ::2]


def _metadata(
    name: str, axes: Sequence[str], levels: int, pixel_size: PixelSize
) -> dict[str, Any]:
    known = {axis: pixel_size.get(axis.upper()) for axis in axes}
    described = [
        {"name": axis, "type": _TYPES[axis]}
        | ({} if size is None else {"unit": size[1]})
        for axis, size in known.items()
    ]
    sizes = [1.0 if size is None else float(size[0]) for size in known.values()]

    def scale(level: int) -> list[float]:
        return [*sizes[:-2], *(size * 2**level for size in sizes[-2:])]

    return {
        "version": "0.5",
        "multiscales": [
            {
                "name": name,
                "axes": described,
                "datasets": [
                    {
                        "path": str(level),
                        "coordinateTransformations": [
                            {"type": "scale", "scale": scale(level)}
                        ],
                    }
                    for level in range(levels)
                ],
                "type": "nearest",
            }
        ],
        # Where it lies in `labels` of its image, that is the image.
        "image-label": {"source": {"image": "../../"}},
    }
