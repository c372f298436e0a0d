"""Which images can be seen together as the channels of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.widgets.layers import images

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image


def fitting(viewer: ViewerModel, image: Image) -> list[Image]:
    """Return the other images that lie pixel on pixel with this one."""
    if image.rgb:
        return []
    return [
        layer
        for layer in images(viewer)
        if layer is not image
        and not layer.rgb
        and _shape(layer) == _shape(image)
        and _same_place(layer, image)
    ]


def data_of(layer: Image) -> Any:
    """Return a layer's pixels at full resolution."""
    return layer.data[0] if layer.multiscale else layer.data


def _shape(layer: Image) -> tuple[int, ...]:
    return tuple(data_of(layer).shape)


def _same_place(one: Image, other: Image) -> bool:
    """Whether two images of one shape lie pixel on pixel."""
    corners = [np.zeros(one.ndim), np.array(_shape(one)), *np.diag(_shape(one))]
    there, here = (
        np.array([layer.data_to_world(corner) for corner in corners])
        for layer in (one, other)
    )
    return bool(np.allclose(there, here)) and tuple(one.units) == tuple(other.units)
