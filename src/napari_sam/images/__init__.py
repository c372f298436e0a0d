"""From files and arrays to planes: axes, channels, normalization."""

from napari_sam.images.inputs import InputFile, find_inputs, stem_of
from napari_sam.images.normalization import (
    Normalization,
    fit_normalization,
    lazy_plane,
    make_plane,
)
from napari_sam.images.planes import LargePlane, Plane
from napari_sam.images.stack import ImageStack, open_image

__all__ = [
    "ImageStack",
    "InputFile",
    "LargePlane",
    "Normalization",
    "Plane",
    "find_inputs",
    "fit_normalization",
    "lazy_plane",
    "make_plane",
    "open_image",
    "stem_of",
]
