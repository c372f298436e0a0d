"""Planes that are larger than a model looks at in one piece. No torch here."""

from napari_sam.models.tiles.grid import Grid, Part, Tiling
from napari_sam.models.tiles.large import LargeEmbedding
from napari_sam.models.tiles.model import TiledModel, View
from napari_sam.models.tiles.moving import PartMemory, seen_on, shifted

__all__ = [
    "Grid",
    "LargeEmbedding",
    "Part",
    "PartMemory",
    "TiledModel",
    "Tiling",
    "View",
    "seen_on",
    "shifted",
]
