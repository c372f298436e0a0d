"""Images and labels of a batch in the viewer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels

from napari_sam.live.batch.layers import OpenImage
from napari_sam.live.source import Source
from napari_sam.widgets.label_files import pixel_size
from napari_sam.widgets.layers import OURS, images, measured, place_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_sam.live.batch.opened import Opened


def open_images(viewer: ViewerModel) -> tuple[OpenImage, ...]:
    """Return the viewer's images, the lowest first.

    Raises
    ------
    ImageError
        If one of them is none that can be worked on.
    """
    return tuple(_open_image(layer) for layer in reversed(images(viewer)))


def _open_image(layer: Image) -> OpenImage:
    source = Source.from_layer(layer)
    meta = {"scale": tuple(layer.scale), "units": tuple(map(str, layer.units))}
    sizes = pixel_size(meta, f"{source.stack_axes}YX")
    path = layer.source.path or ""
    return OpenImage(source, os.path.abspath(path) if path else "", sizes)


def show(viewer: ViewerModel, opened: Opened) -> Layer:
    """Add an image and its objects; what is open already is not opened again.

    Returns
    -------
    Layer
        The one that is selected then.
    """
    image = _there(viewer, opened)
    place = measured(opened.axes, opened.pixel_size)
    if image is not None:
        place = place_of(image)
    else:
        several = len(opened.channels) > 1
        colours = ("red", "green", "blue")
        for number, one in enumerate(opened.channels):
            name = f"{opened.name}: {one.name}" if one.name else opened.name
            looks: dict[str, Any] = (
                {} if opened.rgb else {"contrast_limits": one.limits}
            )
            if several:
                looks |= {"colormap": colours[number % 3], "blending": "additive"}
            if opened.trial:
                looks["metadata"] = {OURS: {}}  # no image to be worked on
            image = Image(one.pixels, name=name, rgb=opened.rgb, **looks, **place)
            viewer.add_layer(image)
    layer: Layer | None = image
    if opened.labels is not None:
        name = f"{opened.name}: objects"
        layer = Labels(opened.labels, name=name, opacity=0.6, **place)
        layer.editable = opened.editable
        viewer.add_layer(layer)
    assert layer is not None  # an image has at least one channel
    viewer.layers.selection.active = layer
    return layer


def _there(viewer: ViewerModel, opened: Opened) -> Image | None:
    """Return the layer that shows the image already."""
    shape = opened.channels[0].pixels.shape
    for layer in images(viewer):
        path = layer.source.path
        if path and os.path.abspath(path) == str(opened.path):
            if tuple(layer.data.shape) == shape and not layer.multiscale:
                return layer
    return None
