"""Zarr arrays and OME-Zarr images, at full resolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from napari_sam.images.axes import letter_of
from napari_sam.images.planes import smaller_by
from napari_sam.images.reader import ArrayReader, Reader
from napari_sam.images.units import PixelSize, physical_size
from napari_sam.types import ImageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def open_zarr(path: Path) -> Reader:
    """Open a Zarr folder.

    Raises
    ------
    ImageError
        If there is no image in it, or more than one.
    """
    try:
        node = zarr.open(path, mode="r")
    except MemoryError:
        raise
    except Exception as exc:  # missing or damaged metadata raise nearly anything
        raise ImageError(
            f"{path}: the Zarr folder cannot be opened, its metadata is missing or "
            f"damaged ({type(exc).__name__}): copy or export it again"
        ) from exc
    return zarr_reader(node, str(path))


def zarr_reader(node: zarr.Array[Any] | zarr.Group, where: str) -> Reader:
    """Read a Zarr array, or the image in a group.

    Raises
    ------
    ImageError
        If there is no image in the group, or more than one.
    """
    if isinstance(node, zarr.Array):
        return ArrayReader(node, axes=_named_axes(node), origin="from Zarr")
    attributes = dict(node.attrs)
    ome = attributes.get("ome")
    meta: Mapping[str, Any] = ome if isinstance(ome, dict) else attributes
    try:
        return _group_reader(node, meta, where)
    except (KeyError, TypeError, IndexError, AttributeError) as exc:
        raise ImageError(
            f"{where}: the OME-Zarr metadata is damaged or not valid "
            f"({type(exc).__name__}: {exc}): export it again"
        ) from exc


def _group_reader(node: zarr.Group, meta: Mapping[str, Any], where: str) -> Reader:
    if "plate" in meta or "well" in meta:
        raise ImageError(
            f"{where}: this is a plate or well of OME-Zarr images: "
            "give the images in it, for example PLATE.zarr/A/1/0"
        )
    if meta.get("multiscales"):
        return _ome_reader(node, meta)
    arrays = sorted(name for name, _ in node.arrays())
    if len(arrays) == 1:
        return zarr_reader(_array(node, arrays[0]), where)
    if arrays:
        raise ImageError(
            f"{where}: there are several arrays in it ({', '.join(arrays)}): "
            f"give one, for example {where}/{arrays[0]}"
        )
    # bioformats2raw puts its images into groups 0, 1, ...
    inner = sorted(name for name, _ in node.groups() if name.isdecimal())
    if not inner:
        raise ImageError(
            f"{where}: there is no array in this Zarr group: give an image"
        )
    if len(inner) > 1:
        raise ImageError(
            f"{where}: there are {len(inner)} images in it: "
            f"give one, for example {where}/{inner[0]}"
        )
    return zarr_reader(node[inner[0]], f"{where}/{inner[0]}")


def _array(node: zarr.Group, name: str) -> zarr.Array[Any]:
    array = node[name]
    if not isinstance(array, zarr.Array):
        raise TypeError(f"{name} is no array")
    return array


def _ome_reader(node: zarr.Group, meta: Mapping[str, Any]) -> Reader:
    image = meta["multiscales"][0]
    level = image["datasets"][0]
    array = _array(node, level["path"])
    axes = image.get("axes")
    if axes is None:  # OME-Zarr 0.1 and 0.2 have no axes: they are always these
        axes = list("TCZYX") if array.ndim == 5 else []
    named = [a if isinstance(a, dict) else {"name": a} for a in axes]
    letters = "".join(_letter(axis) for axis in named) or None
    return ArrayReader(
        array,
        axes=letters,
        origin="from OME-Zarr",
        channel_names=_channel_names(meta),
        pixel_size=_sizes(named, letters or "", [level, image]),
        coarser=_coarser(node, image["datasets"][1:], array.shape, letters or ""),
    )


def _coarser(
    node: zarr.Group,
    levels: Sequence[Mapping[str, Any]],
    shape: tuple[int, ...],
    letters: str,
) -> tuple[tuple[int, Reader], ...]:
    """Return the levels of a pyramid that are smaller in Y and X only."""
    if letters[-2:] != "YX":
        return ()
    arrays = [_array(node, level["path"]) for level in levels]
    found = [(smaller_by(shape, array.shape), array) for array in arrays]
    return tuple((factor, ArrayReader(array)) for factor, array in found if factor)


def _letter(axis: Mapping[str, Any]) -> str:
    kind = {"time": "T", "channel": "C"}.get(str(axis.get("type")))
    return kind or letter_of(str(axis["name"]))


def _named_axes(array: zarr.Array[Any]) -> str | None:
    names = getattr(array.metadata, "dimension_names", None)
    names = names or array.attrs.get("_ARRAY_DIMENSIONS")
    if not isinstance(names, (list, tuple)) or len(names) != array.ndim:
        return None
    return "".join(letter_of(str(name or "?")) for name in names)


def _channel_names(meta: Mapping[str, Any]) -> tuple[str, ...]:
    omero = meta.get("omero")
    channels = omero.get("channels", []) if isinstance(omero, dict) else []
    names = tuple(str(c.get("label", "")).strip() for c in channels)
    return names if all(names) else ()


def _sizes(
    axes: Sequence[Mapping[str, Any]], letters: str, parts: Sequence[Mapping[str, Any]]
) -> PixelSize:
    """Multiply the scales of the level and of the whole image."""
    scale = np.ones(len(axes))
    for part in parts:
        for step in part.get("coordinateTransformations", []):
            if step.get("type") == "scale" and len(step.get("scale", [])) == len(axes):
                scale *= np.asarray(step["scale"], np.float64)
    sizes: PixelSize = {}
    for axis, letter, size in zip(axes, letters, scale, strict=True):
        known = physical_size(letter, float(size), axis.get("unit"))
        if known is not None:
            sizes[letter] = known
    return sizes
