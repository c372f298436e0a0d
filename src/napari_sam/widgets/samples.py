"""The images that ship, as napari's *File → Open Sample* wants them."""

from __future__ import annotations

from typing import Any

import tifffile

from napari_sam.data import DemoImage, demo_images
from napari_sam.images import open_image

LayerData = tuple[Any, dict[str, Any], str]


def nuclei_timelapse() -> list[LayerData]:
    """Open the fluorescent nuclei over time."""
    return _layers("nuclei_timelapse")


def plant_nuclei_3d() -> list[LayerData]:
    """Open the 3D stack of plant nuclei."""
    return _layers("plant_nuclei_3d")


def fluorescence() -> list[LayerData]:
    """Open the single field of fluorescent nuclei."""
    return _layers("fluorescence")


def histology() -> list[LayerData]:
    """Open the purple-stained tissue."""
    return _layers("histology")


def phase_contrast() -> list[LayerData]:
    """Open the whole cells in phase contrast."""
    return _layers("phase_contrast")


def _layers(key: str) -> list[LayerData]:
    (sample,) = (image for image in demo_images() if image.key == key)
    place = _place(sample)
    image = {"name": sample.title, "rgb": "S" in sample.axes, **place}
    truth = {"name": f"{sample.title}: true objects", **place}
    return [
        (tifffile.imread(sample.image), image, "image"),
        (tifffile.imread(sample.truth), truth, "labels"),
    ]


def _place(sample: DemoImage) -> dict[str, Any]:
    """Return where the layers lie in the world, as the file says."""
    with open_image(sample.image) as stack:
        axes, known = stack.label_axes, stack.pixel_size
    place: dict[str, Any] = {"axis_labels": tuple(axes.lower())}
    if known:
        sizes = [known.get(axis, (1.0, "pixel")) for axis in axes]
        place["scale"] = tuple(size for size, _ in sizes)
        place["units"] = tuple(unit for _, unit in sizes)
    return place
