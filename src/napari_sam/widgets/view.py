"""Show what the demo found, in napari."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import napari
import tifffile

from napari_sam.data import DemoImage, demo_images
from napari_sam.types import OutputError

if TYPE_CHECKING:
    from pathlib import Path

# The images differ in size: in the gallery all get the same height.
_HEIGHT = 512


def show_demo(output: Path) -> None:
    """Open napari with the demo's images and what was found; return when closed.

    Parameters
    ----------
    output : Path
        The folder that the demo wrote.

    Raises
    ------
    OutputError
        If the demo's labels are not there.
    """
    open_gallery(output)
    napari.run()


def open_gallery(output: Path) -> napari.Viewer:
    """Open a window with one picture per image: pixels, truth, found objects."""
    layers = [layer for image in demo_images() for layer in _layers(image, output)]
    viewer = napari.Viewer(title="SAM Annotator: what the demo found")
    for data, options, kind in layers:
        getattr(viewer, f"add_{kind}")(data, **options)
    grid = viewer.canvas.grid
    grid.stride = len(layers) // len(demo_images())
    grid.enabled = True
    viewer.reset_view()
    return viewer


def _layers(image: DemoImage, output: Path) -> list[tuple[Any, dict[str, Any], str]]:
    found = output / "labels" / f"{image.key}.tif"
    if not found.is_file():
        raise OutputError(
            f"{found} is missing: run the demo with this output folder first"
        )
    truth = tifffile.imread(image.truth)
    scale = (1.0,) * (truth.ndim - 2) + (_HEIGHT / truth.shape[-2],) * 2
    return [
        (
            tifffile.imread(image.image),
            {"name": image.title, "rgb": "S" in image.axes, "scale": scale},
            "image",
        ),
        (
            truth,
            {"name": f"{image.title}: truth", "scale": scale, "visible": False},
            "labels",
        ),
        (
            tifffile.imread(found),
            {"name": f"{image.title}: found", "scale": scale, "opacity": 0.5},
            "labels",
        ),
    ]
