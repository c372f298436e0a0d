"""What our layers have in common with the image that they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_sam.live.source import Source

OURS = "napari_sam"  # in the metadata of a picture that we made of an image
_PLACE = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


def place_of(layer: Layer) -> dict[str, Any]:
    """Return the arguments that put another layer exactly where this one is."""
    return {key: getattr(layer, key) for key in _PLACE}


def measured(axes: str, sizes: Mapping[str, tuple[float, str]]) -> dict[str, Any]:
    """Return the arguments that say which axes a layer has, and how large a pixel is.

    Parameters
    ----------
    axes : str
        One letter for each axis of the layer.
    sizes : dict
        Of a letter: (size, unit); it may be empty.
    """
    known = [sizes.get(axis, (1.0, "pixel")) for axis in axes]
    return {
        "axis_labels": tuple(axes.lower()),
        "scale": tuple(size for size, _ in known),
        "units": tuple(unit for _, unit in known),
    }


def images(viewer: ViewerModel) -> list[Image]:
    """Return the viewer's image layers, the topmost first, without those we made."""
    return [
        layer
        for layer in reversed(viewer.layers)
        if isinstance(layer, Image) and OURS not in layer.metadata
    ]


def index_on_screen(
    viewer: ViewerModel, layer: Image, source: Source
) -> tuple[int, ...]:
    """Return which plane of a layer the viewer's sliders are at."""
    point = layer.world_to_data(viewer.dims.point[-layer.ndim :])
    return tuple(
        int(np.clip(np.rint(at), 0, n - 1))
        for at, n in zip(point, source.stack_shape, strict=False)
    )
