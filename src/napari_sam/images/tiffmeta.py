"""Channel names and pixel sizes from the metadata of TIFF files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from napari_sam.images.units import PixelSize, physical_size

if TYPE_CHECKING:
    import tifffile


def channel_names(tiff: tifffile.TiffFile) -> tuple[str, ...]:
    """Return the names of the channels; empty where the file has none."""
    pixels = _ome_pixels(tiff)
    if pixels is not None:
        names = [_attribute(c, "Name") for c in _children(pixels, "Channel")]
    else:
        # ImageJ labels every plane, channels running fastest.
        meta: dict[str, Any] = tiff.imagej_metadata or {}
        labels, count = meta.get("Labels"), meta.get("channels", 1)
        if not isinstance(labels, (list, tuple)) or len(labels) < count:
            return ()
        names = [str(label).strip() for label in labels[:count]]
    return tuple(names) if all(names) and len(set(names)) == len(names) else ()


def pixel_size(tiff: tifffile.TiffFile) -> PixelSize:
    """Return axis to (size, unit), only for what the file states."""
    pixels = _ome_pixels(tiff)
    stated = _imagej_sizes(tiff) if pixels is None else _ome_sizes(pixels)
    sizes = {axis: physical_size(axis, *values) for axis, values in stated.items()}
    return {axis: size for axis, size in sizes.items() if size is not None}


def _ome_pixels(tiff: tifffile.TiffFile) -> ElementTree.Element | None:
    if not tiff.ome_metadata:
        return None
    try:
        root = ElementTree.fromstring(tiff.ome_metadata)
    except ElementTree.ParseError:
        return None  # the pixels can be read without it
    for image in _children(root, "Image"):
        for pixels in _children(image, "Pixels"):
            return pixels
    return None


def _children(element: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [child for child in element if child.tag.rpartition("}")[2] == name]


def _attribute(element: ElementTree.Element, name: str) -> str:
    return element.attrib.get(name, "").strip()


def _ome_sizes(pixels: ElementTree.Element) -> dict[str, tuple[object, object]]:
    get = pixels.attrib.get
    sizes: dict[str, tuple[object, object]] = {
        axis: (get(f"PhysicalSize{axis}"), get(f"PhysicalSize{axis}Unit", "µm"))
        for axis in "ZYX"
    }
    return {"T": (get("TimeIncrement"), get("TimeIncrementUnit", "s")), **sizes}


def _imagej_sizes(tiff: tifffile.TiffFile) -> dict[str, tuple[object, object]]:
    meta: dict[str, Any] = tiff.imagej_metadata or {}
    unit = meta.get("unit")
    sizes: dict[str, tuple[object, object]] = {
        "T": (meta.get("finterval"), meta.get("tunit", "sec")),
        "Z": (meta.get("spacing"), meta.get("zunit", unit)),
        "Y": (_per_pixel(tiff, "YResolution"), meta.get("yunit", unit)),
        "X": (_per_pixel(tiff, "XResolution"), unit),
    }
    return sizes if meta else {}


def _per_pixel(tiff: tifffile.TiffFile, tag: str) -> float | None:
    """Return the size of a pixel; the tag holds pixels per unit as a fraction."""
    value = tiff.pages.first.tags.valueof(tag)
    if not isinstance(value, tuple) or len(value) != 2 or 0 in value:
        return None
    return float(value[1]) / float(value[0])
