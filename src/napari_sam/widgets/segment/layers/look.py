"""How the prompt layers look: alike at every zoom, readable on every image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer, Points, Shapes

from napari_sam.widgets.layers import place_of
from napari_sam.widgets.segment.layers.parsing import OBJECT, POSITIVE, columns, count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

POINT, CROSS = 13.0, 19.0  # in pixels of the screen, whatever the zoom
LINE = 2.5
# Blue and vermilion differ for everybody; the symbols and fillings differ too.
_THIS, _NOT_THIS = "#35b6ffff", "#ff5a36ff"
_EMPTY, _FILLED = "#35b6ff00", "#ff5a3655"
# By whether a mark is positive.
_SYMBOLS = ("x", "disc")
_SIZES = (CROSS, POINT)


def new_points(image: Image) -> Points:
    """Return an empty layer for clicks on an image."""
    return Points(
        ndim=len(image.scale),
        name=f"{image.name}: clicks",
        features=columns(),
        border_color="black",
        border_width=0.07,
        **place_of(image),
    )


def new_shapes(image: Image) -> Shapes:
    """Return an empty layer for boxes and outlines."""
    return Shapes(
        ndim=len(image.scale),
        name=f"{image.name}: boxes",
        features=columns(),
        opacity=1.0,
        **place_of(image),
    )


def aim(layer: Points | Shapes, number: int, positive: bool, pixel: float) -> None:
    """Let the next mark be of this object and kind; no other changes.

    Parameters
    ----------
    layer : Points or Shapes
    number : int
    positive : bool
    pixel : float
        How large a pixel of the image is on the screen.
    """
    if not {OBJECT, POSITIVE} <= set(layer.features):
        return  # a person has replaced the table
    said = {OBJECT: number, POSITIVE: positive}
    color = _THIS if positive else _NOT_THIS
    looks: dict[str, Any] = {"current_face_color": color}
    if isinstance(layer, Points):
        looks["current_symbol"] = _SYMBOLS[positive]
        looks["current_size"] = _SIZES[positive] / pixel
    else:
        looks["current_edge_color"] = color
        looks["current_face_color"] = _EMPTY if positive else _FILLED
    others = layer.feature_defaults.iloc[0].to_dict()
    # napari tells everybody of what is set, also where it is no news: that takes
    # longer than all the rest of a click.
    new = {
        name: look
        for name, look in looks.items()
        if str(getattr(layer, name)) != str(look)
    }
    with layer.block_update_properties():
        if others | said != others:
            layer.feature_defaults = others | said
        for name, look in new.items():
            setattr(layer, name, look)


def dress(layer: Points | Shapes, positive: Sequence[bool], pixel: float) -> None:
    """Let all marks look like what they say."""
    if not count(layer):
        return
    main = [_THIS if yes else _NOT_THIS for yes in positive]
    if isinstance(layer, Points):
        symbols = [_SYMBOLS[yes] for yes in positive]
        if [str(symbol) for symbol in layer.symbol] != symbols:
            layer.symbol = symbols
            layer.size = [_SIZES[yes] / pixel for yes in positive]
        if not _alike(layer.face_color, main):
            layer.face_color = main
        return
    if not _alike(layer.edge_color, main):
        layer.edge_color = main
    fill = [_EMPTY if yes else _FILLED for yes in positive]
    if not _alike(layer.face_color, fill):
        layer.face_color = fill


def fit(layer: Points | Shapes, pixel: float) -> None:
    """Suit marks to another zoom."""
    with layer.block_update_properties():
        if isinstance(layer, Points):
            # Limits of the size would do too, but marks are picked by their size, and
            # where a limit is reached the border grows over the mark.
            sizes = dict(zip(_SYMBOLS, _SIZES, strict=True))
            layer.size = [sizes.get(str(one), POINT) / pixel for one in layer.symbol]
        else:
            layer.current_edge_width = LINE / pixel
            layer.edge_width = LINE / pixel


def pixel_on_screen(viewer: ViewerModel, image: Image) -> float:
    """Return how many pixels of the screen one of the image's pixels is wide."""
    origin = np.zeros(len(image.scale))
    along = origin.copy()
    along[-1] = 1
    world = np.subtract(image.data_to_world(along), image.data_to_world(origin))
    return float(np.linalg.norm(world) * viewer.scene.camera.zoom) or 1.0


def refresh(layer: Layer) -> None:
    """Draw a layer anew: no more than its pixels."""
    layer.refresh(thumbnail=False, highlight=False, extent=False)


def _alike(colors: Any, wanted: Sequence[str]) -> bool:
    there = np.asarray(colors)[:, :3] * 255
    rgb = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in wanted])
    # An outline that was given up leaves a colour too many behind in napari.
    return there.shape == rgb.shape and bool(np.allclose(there, rgb, atol=1))


def add_quietly(viewer: ViewerModel, layer: Layer, at: int | None = None) -> None:
    """Add a layer, and leave the mouse to the layer that has it."""
    layers = viewer.layers
    active = layers.selection.active
    layers.insert(len(layers) if at is None else at, layer)
    if active is None:
        layers.selection.clear()
    else:
        layers.selection.active = active
