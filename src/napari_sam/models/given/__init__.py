"""The user's own boxes or labels as a detector; no torch here."""

from napari_sam.models.given.detector import GivenDetector
from napari_sam.models.given.files import GivenFiles, is_given

__all__ = ["GivenDetector", "GivenFiles", "is_given"]
