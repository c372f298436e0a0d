"""Planes that were encoded before, on the disk. No torch here."""

from napari_sam.models.cache.entry import Packed
from napari_sam.models.cache.key import key_of
from napari_sam.models.cache.slices import LIMIT, SHARE, EmbeddingCache, default_folder

__all__ = ["LIMIT", "SHARE", "EmbeddingCache", "Packed", "default_folder", "key_of"]
