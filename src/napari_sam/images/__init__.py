"""From files and arrays to planes: axes, channels, normalization."""

from napari_sam.images.inputs import InputFile, find_inputs, stem_of
from napari_sam.images.normalization import (
    Normalization,
    Plane,
    fit_normalization,
    make_plane,
)
from napari_sam.images.stack import ImageStack, open_image

__all__ = [
    "ImageStack",
    "InputFile",
    "Normalization",
    "Plane",
    "find_inputs",
    "fit_normalization",
    "make_plane",
    "open_image",
    "stem_of",
]
