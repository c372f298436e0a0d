"""Labels from and to files of other programs: napari's readers and writers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_error, show_info

from napari_sam.images.units import physical_size
from napari_sam.records.reading import Read, can_read, read
from napari_sam.records.single import write_single
from napari_sam.types import NapariSamError
from napari_sam.widgets.layers import measured

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LayerData = tuple[Any, dict[str, Any], str]
_NOTHING: list[Any] = [(None,)]  # napari's word for: read, and there is no layer


def get_reader(
    path: str | Sequence[str],
) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Return what reads a file or folder, where there may be labels in it."""
    paths = [path] if isinstance(path, str) else list(path)
    return _read if all(can_read(Path(one)) for one in paths) else None


def _read(path: str | Sequence[str]) -> list[LayerData]:
    paths = [path] if isinstance(path, str) else list(path)
    try:
        shape = _shape_of_image()
        found = [one for place in paths for one in read(Path(place), shape)]
    except NapariSamError as error:
        # Raised, it would look like a fault of the plugin, with its traceback.
        show_error(str(error))
        return _NOTHING
    for note in (note for one in found for note in one.notes):
        show_info(note)
    return [_layer(one) for one in found] or _NOTHING


def _shape_of_image() -> tuple[int, ...] | None:
    """Return the shape of the image on the screen, for files that do not say it."""
    viewer = napari.current_viewer()
    if viewer is None:
        return None
    images = [layer for layer in viewer.layers if isinstance(layer, Image)]
    chosen = [layer for layer in images if layer in viewer.layers.selection]
    for layer in (*chosen, *reversed(images)):
        shape = layer.data.shape[: layer.ndim]
        return tuple(int(n) for n in shape)
    return None


def _layer(one: Read) -> LayerData:
    options: dict[str, Any] = {"name": one.name}
    if one.features:
        options["features"] = dict(one.features)
    if len(one.axes) == one.labels.ndim:
        options |= measured(one.axes, one.pixel_size)
    return one.labels, options, "labels"


def write_labels(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a Labels layer in the format that the file's name says.

    Raises
    ------
    NapariSamError
        If that cannot be; napari shows its line.
    """
    # Several resolutions: the first is all there is to know.
    labels = data[0] if meta.get("multiscale") else data
    axes = axes_of(meta.get("axis_labels", ()), np.ndim(labels))
    sizes = pixel_size(meta, axes)
    name = str(meta.get("name", "labels"))
    write_single(Path(path), labels, axes=axes, name=name, pixel_size=sizes)
    return [path]


def axes_of(names: Sequence[str], ndim: int) -> str:
    """Return one letter for each axis of a layer.

    Parameters
    ----------
    names : sequence of str
        What the layer calls them; anything but t, z, y and x is passed over.
    ndim : int
    """
    letters = "".join(names).upper()
    usual = letters[-2:] == "YX" and set(letters) <= set("TZYX")
    if usual and len(letters) == len(set(letters)) == ndim:
        return letters
    if ndim not in (2, 3, 4):
        raise NapariSamError(
            f"labels of {ndim} axes cannot be written: slice them down to time, depth, "
            "height and width first"
        )
    return {2: "YX", 3: "ZYX", 4: "TZYX"}[ndim]


def pixel_size(meta: dict[str, Any], axes: str) -> dict[str, tuple[float, str]]:
    """Return how large a pixel is, in micrometres and seconds, where that is known.

    Parameters
    ----------
    meta : dict
        "scale" and "units" of a layer.
    axes : str
        One letter for each of its axes.
    """
    units = meta.get("units") or ()
    scale = meta.get("scale")
    if scale is None or len(units) != len(axes) or len(scale) != len(axes):
        return {}
    sizes: dict[str, tuple[float, str]] = {}
    for axis, size, unit in zip(axes, scale, units, strict=True):
        known = physical_size(axis, float(size), str(unit))
        if known is not None:
            sizes[axis] = known
    return sizes
