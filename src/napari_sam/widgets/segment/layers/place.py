"""Layers that stay exactly on their image when it is moved or scaled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Image, Layer

# In this order: napari keeps what the others say when one is set.
_MOVES = ("scale", "rotate", "shear", "translate", "affine")


class Follow:
    """Calls a function whenever a person has moved, turned or scaled an image.

    Parameters
    ----------
    image : Image
    moved : callable
    """

    def __init__(self, image: Image, moved: Callable[[], None]) -> None:
        self._image, self._moved = image, moved
        for name in _MOVES:
            getattr(image.events, name).connect(self._tell)

    def close(self) -> None:
        """Follow no longer."""
        for name in _MOVES:
            getattr(self._image.events, name).disconnect(self._tell)

    def _tell(self, event: Any = None) -> None:
        self._moved()


def put(layer: Layer, image: Layer) -> None:
    """Put a layer where an image is."""
    for name in _MOVES:
        setattr(layer, name, getattr(image, name))
