"""What models find, as ordinary layers that belong to the person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Shapes

from napari_sam.widgets.layers import OURS, place_of

if TYPE_CHECKING:
    from napari_sam.live.proposals.boxes import Boxes
    from napari_sam.live.values import Index
    from napari_sam.types import FloatArray

_HALF = 0.5  # napari's pixel centres are at whole numbers, ours at halves
_COLOUR = "#ffd166"
_WIDTH = 0.6  # pixels of the image


def box_layer(image: Image, boxes: Boxes) -> Shapes:
    """Return boxes as rectangles, with what is known of them as features.

    It may be made on any thread.
    """
    corners = boxes.corners.copy()
    corners[..., -2:] -= _HALF
    features: dict[str, Any] = {
        "confidence": boxes.scores,
        "stability": boxes.stabilities,
    }
    if any(boxes.classes):
        features["class"] = boxes.classes
    return Shapes(
        list(corners) or None,
        ndim=corners.shape[-1],
        shape_type="rectangle",
        name=f"{image.name}: found boxes",
        features=features,
        edge_color=_COLOUR,
        edge_width=_WIDTH,
        face_color="transparent",
        **place_of(image),
    )


def edge_layer(image: Image, index: Index, edges: FloatArray) -> Image:
    """Return edges of one slice as an image that is seen on this slice only."""
    place = place_of(image)
    start = (*index, 0, 0)
    origin = np.array(image.data_to_world(start), np.float64)
    axes = [
        np.array(image.data_to_world(np.add(start, step))) - origin
        for step in np.eye(len(start))
    ]
    affine = np.eye(len(start) + 1)
    affine[:-1, :-1] = np.transpose(axes)
    affine[:-1, -1] = origin
    where = f" ({', '.join(map(str, index))})" if index else ""
    return Image(
        edges[(None,) * len(index)],
        name=f"{image.name}: edges{where}",
        affine=affine,
        units=place["units"],
        axis_labels=place["axis_labels"],
        colormap="magma",
        blending="additive",
        contrast_limits=(0, 1),
        metadata={OURS: "edges"},
    )
