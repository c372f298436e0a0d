"""The image and the labels of one result, as the viewer takes them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import dask.array
import numpy as np
from dask.delayed import delayed

from napari_sam.images import open_image
from napari_sam.records.layout import Layout
from napari_sam.records.sources import open_labels

if TYPE_CHECKING:
    from napari_sam.images import ImageStack
    from napari_sam.images.units import PixelSize
    from napari_sam.records.status import Item
    from napari_sam.segment.recipe import Recipe

_MOST: Final = 2**30  # bytes that are held; of more each slice is read when it is seen


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """What is shown of an input that is done.

    Attributes
    ----------
    name : str
    path : Path
        Of the image.
    axes : str
        Of the arrays, without colour: stack axes, then "YX".
    channels : list of (name, array)
        The channels that models saw, each (..., H, W), or (..., H, W, 3) in colour.
    rgb : bool
    labels : integer array (..., H, W)
    pixel_size : dict
        Axis to (size, unit), where the file says it.
    editable : bool
        Whether the labels are in memory.
    """

    name: str
    path: Path
    axes: str
    channels: list[tuple[str, Any]]
    rgb: bool
    labels: Any
    pixel_size: PixelSize
    editable: bool


def open_result(item: Item, output: Path, recipe: Recipe) -> Opened:
    """Open the image and the labels of an input that is done.

    Raises
    ------
    NapariSamError
        If one of them cannot be read.
    """
    path = Path(item.path)
    image = open_image(path, axes=recipe.axes, channels=recipe.channels)
    place = Layout(output, ()).labels(PurePosixPath(item.name))
    labels = open_labels(place, image.label_axes)
    found, held = _array(labels)
    return Opened(
        PurePosixPath(item.name).name,
        path,
        f"{image.stack_axes}YX",
        _channels(image),
        image.rgb,
        found,
        image.pixel_size,
        held,
    )


def _channels(image: ImageStack) -> list[tuple[str, Any]]:
    pixels, _ = _array(image)
    if image.rgb or pixels.ndim == len(image.stack_axes) + 2:
        return [("", pixels)]
    names = image.channel_names
    return [
        (names[n] if names else f"channel {n}", pixels[..., place])
        for place, n in enumerate(image.channels)
    ]


def _array(stack: ImageStack) -> tuple[Any, bool]:
    """Return all planes as one array, and whether it is in memory."""
    first = stack.read(next(iter(stack.indices())))
    indices = list(stack.indices())
    shape = (*stack.stack_shape, *first.shape)
    if math.prod(shape) * first.dtype.itemsize <= _MOST:
        planes = np.stack([first, *(stack.read(index) for index in indices[1:])])
        return planes.reshape(shape), True
    arrays: Any = dask.array  # its functions have no types
    read = delayed(stack.read)
    parts = [
        arrays.from_delayed(read(index), first.shape, first.dtype) for index in indices
    ]
    return arrays.stack(parts).reshape(shape), False
