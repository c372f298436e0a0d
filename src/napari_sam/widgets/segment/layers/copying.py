"""Points and shapes of any layer as marks on an image, through the world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Points

from napari_sam.widgets.layers import index_on_screen
from napari_sam.widgets.segment.layers.parsing import (
    OBJECT,
    POSITIVE,
    Row,
    columns,
    read,
)

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Image, Shapes

    from napari_sam.live.source import Source


def rows_of(
    layer: Points | Shapes, viewer: ViewerModel, image: Image, source: Source, most: int
) -> list[Row]:
    """Return what another layer holds, as if it were drawn on the image.

    Layers with fewer axes than the image count for the slice on screen.

    Parameters
    ----------
    layer : Points or Shapes
    viewer : ViewerModel
    image : Image
    source : Source
    most : int
        So many rows are looked at.
    """
    here = index_on_screen(viewer, image, source)

    def placed(vertices: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        return np.array([_on_image(at, layer, image, here) for at in vertices])

    vertices = [np.atleast_2d(at) for at in layer.data[:most]]
    moved = [placed(np.asarray(at, np.float64)) for at in vertices]
    if isinstance(layer, Points):
        data = np.concatenate([np.empty((0, len(source.shape))), *moved])
        copy: Points | Shapes = Points(data, features=_features(layer, len(data)))
    else:
        copy = type(layer)(ndim=len(source.shape), features=columns())
        if moved:
            copy.add(moved, shape_type=list(layer.shape_type[:most]))
        copy.features = _features(layer, len(moved))
    return read(copy, source.shape)


def _on_image(
    point: npt.NDArray[np.float64],
    layer: Points | Shapes,
    image: Image,
    here: tuple[int, ...],
) -> npt.NDArray[np.float64]:
    world = np.asarray(layer.data_to_world(point), np.float64)
    missing = image.ndim - len(world)
    if missing > 0:
        inside = image.data_to_world((*here, 0.0, 0.0))
        world = np.concatenate([np.asarray(inside)[:missing], world])
    data = np.asarray(image.world_to_data(world[-image.ndim :]), np.float64)
    if missing > 0:
        data[:missing] = here[:missing]
    return data


def _features(layer: Points | Shapes, rows: int) -> dict[str, npt.NDArray[Any]]:
    """Return what the layer says about "this" and "not this", if it does."""
    positive = np.ones(rows, np.bool_)
    if POSITIVE in layer.features and layer.features[POSITIVE].dtype == np.bool_:
        positive = layer.features[POSITIVE].to_numpy()[:rows]
    return {OBJECT: np.arange(1, rows + 1), POSITIVE: positive}
