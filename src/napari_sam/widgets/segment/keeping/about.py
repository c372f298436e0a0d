"""What is kept about an image: its name and file, the size of its pixels."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from napari_sam.live.disk.saving import ImageText

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_sam.live.source import Source

_UNITS = {"T": "second"}  # what is not time is a length


def path_of(image: Image) -> str | None:
    """Return the file that an image was read from, where there is one."""
    path = image.source.path
    return None if path is None else str(path)


def text_of(image: Image, source: Source, fingerprint: str) -> ImageText:
    """Say which image it is."""
    return ImageText(
        name=source.name,
        shape=source.shape,
        stack_axes=source.stack_axes,
        path=path_of(image) or "",
        fingerprint=fingerprint,
    )


def pixel_size(image: Image, source: Source) -> dict[str, tuple[float, str]]:
    """Return the sizes of the pixels, where the layer knows them."""
    sizes: dict[str, tuple[float, str]] = {}
    axes = source.stack_axes + "YX"
    scales: Any = zip(axes, image.scale, image.units, strict=False)
    for axis, scale, unit in scales:
        with suppress(Exception):  # pixels, or a unit of something else
            wanted = _UNITS.get(axis, "micrometer")
            sizes[axis] = (float((float(scale) * unit).to(wanted).magnitude), wanted)
    return sizes
