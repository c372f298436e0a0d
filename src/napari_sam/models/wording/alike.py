"""What looks like examples on a plane, as a detector for it. No torch here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from napari_sam.types import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.images import Plane
    from napari_sam.models.protocol import ModelInfo
    from napari_sam.types import Box, Detections


class Finder(Protocol):
    """Finds what looks like examples."""

    @property
    def info(self) -> ModelInfo:
        """Which file this is."""

    def find_alike(
        self, plane: Plane, boxes: Sequence[Box], unlike: Sequence[Box] = ()
    ) -> Detections:
        """Find objects that look like those in boxes (y0, x0, y1, x1)."""


class AlikeDetector:
    """Finds what looks like examples on the plane that they lie on.

    Parameters
    ----------
    finder : Finder
    boxes : sequence of (y0, x0, y1, x1)
        Around the examples.

    Raises
    ------
    ModelError
        If there is none.
    """

    class_names = ("like the examples",)

    def __init__(self, finder: Finder, boxes: Sequence[Box]) -> None:
        if not len(boxes):
            raise ModelError("examples are boxes around objects: give at least one")
        self._finder, self._boxes = finder, tuple(boxes)

    @property
    def info(self) -> ModelInfo:
        """Which file finds them."""
        return self._finder.info

    def detect(self, planes: Sequence[Plane]) -> list[Detections]:
        """Find objects on each plane."""
        return [self._finder.find_alike(plane, self._boxes) for plane in planes]
