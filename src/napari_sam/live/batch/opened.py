"""The image and the labels of one result, as the viewer takes them."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import dask.array
import numpy as np
from dask.delayed import delayed

from napari_sam.images import open_image
from napari_sam.records.layout import Layout
from napari_sam.records.sources import open_labels
from napari_sam.records.work import TRIAL

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_sam.images import ImageStack
    from napari_sam.images.units import PixelSize
    from napari_sam.records.status import Item
    from napari_sam.records.trial import Tried
    from napari_sam.segment.recipe import Recipe

_MOST: Final = 2**30  # bytes that are held; of more each slice is read when it is seen


@dataclass(frozen=True, slots=True, eq=False)
class Channel:
    """A channel of an image.

    Attributes
    ----------
    name : str
        Empty where there is one only.
    pixels : array (..., H, W), or (..., H, W, 3) in colour
    limits : (float, float)
        What is dark and what bright, of the slice in the middle.
    """

    name: str
    pixels: Any
    limits: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """What is shown of an input.

    Attributes
    ----------
    name : str
    path : Path
        Of the image.
    axes : str
        Of the arrays, without colour: stack axes, then "YX".
    channels : list of Channel
        Those that models saw.
    rgb : bool
    labels : integer array (..., H, W), or None
        None where it is not done.
    pixel_size : dict
        Axis to (size, unit), where the file says it.
    editable : bool
        Whether the labels are in memory.
    trial : bool
        Only a slice that was tried.
    """

    name: str
    path: Path
    axes: str
    channels: list[Channel]
    rgb: bool
    labels: Any
    pixel_size: PixelSize
    editable: bool
    trial: bool = False


def open_result(item: Item, output: Path, recipe: Recipe) -> Opened:
    """Open the image of an input, and its labels where it is done.

    Raises
    ------
    NapariSamError
        If one of them cannot be read.
    """
    path = Path(item.path)
    with ExitStack() as stack:
        image = open_image(path, axes=recipe.axes, channels=recipe.channels)
        stack.callback(image.close)
        labels, held = None, False
        if item.state == "done":
            place = Layout(output, ()).labels(PurePosixPath(item.name))
            found = open_labels(place, image.label_axes)
            stack.callback(found.close)
            labels, held = _array(found)
        opened = Opened(
            PurePosixPath(item.name).name,
            path,
            f"{image.stack_axes}YX",
            _channels(image),
            image.rgb,
            labels,
            image.pixel_size,
            held,
        )
        stack.pop_all()  # what is in memory is closed, and the rest is read later
    return opened


def open_tried(one: Tried, output: Path) -> Opened:
    """Open what models saw of a slice that was tried, and what was found on it.

    Raises
    ------
    NapariSamError
        If its files are not there any more.
    """
    folder = output / TRIAL
    pixels, _ = _array(open_image(folder / one.picture))
    labels, held = _array(open_labels(folder / one.labels, "YX"))
    axes = zip(one.stack_axes, one.index, strict=True)
    at = "".join(f", {axis} {n + 1}" for axis, n in axes)
    return Opened(
        f"{one.image}{at.lower()} (try-out)",
        folder / one.picture,
        "YX",
        [Channel("", pixels, (0, 255))],
        True,
        labels,
        {},
        held,
        trial=True,
    )


def _channels(image: ImageStack) -> list[Channel]:
    middle = image.read(tuple(n // 2 for n in image.stack_shape))
    pixels, _ = _array(image)
    if image.rgb or middle.ndim == 2:
        return [Channel("", pixels, _limits(middle))]
    names = image.channel_names
    return [
        Channel(
            names[n] if names else f"channel {n}",
            pixels[..., place],
            _limits(middle[..., place]),
        )
        for place, n in enumerate(image.channels)
    ]


def _limits(plane: npt.NDArray[Any]) -> tuple[float, float]:
    low, high = float(plane.min()), float(plane.max())
    return low, high if high > low else low + 1


class _Slices:
    """Reads slices of an open file, which is closed when nobody needs them."""

    def __init__(self, stack: ImageStack) -> None:
        self._stack = stack

    def __call__(self, index: tuple[int, ...]) -> npt.NDArray[Any]:
        return self._stack.read(index)

    def __del__(self) -> None:
        self._stack.close()


def _array(stack: ImageStack) -> tuple[Any, bool]:
    """Return all planes as one array, and whether it is in memory.

    What is not stays open as long as the array is there.
    """
    first = stack.read(next(iter(stack.indices())))
    indices = list(stack.indices())
    shape = (*stack.stack_shape, *first.shape)
    if math.prod(shape) * first.dtype.itemsize <= _MOST:
        planes = np.stack([first, *(stack.read(index) for index in indices[1:])])
        stack.close()
        return planes.reshape(shape), True
    arrays: Any = dask.array  # its functions have no types
    read = delayed(_Slices(stack))
    parts = [
        arrays.from_delayed(read(index), first.shape, first.dtype) for index in indices
    ]
    return arrays.stack(parts).reshape(shape), False
