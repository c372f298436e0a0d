"""A real napari window with the widget "Segment", worked through Qt's mouse."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
import tifffile
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from scipy import ndimage
from vispy.gloo.glir import GlirProgram

from napari_sam.data import FOLDER
from napari_sam.widgets.segment.keyboard.canvas import canvases

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

PLUGIN = "napari-sam-annotator"
SLICES, SIDE = 20, 512


def make_stack() -> tuple[npt.NDArray[Any], list[npt.NDArray[np.float64]]]:
    """Return 20 slices of 512 × 512 with nuclei, and their middles on each slice.

    They are the demo's nuclei over time, repeated and mirrored.
    """
    frames = tifffile.imread(FOLDER / "images" / "nuclei_timelapse.tif")
    truth = tifffile.imread(FOLDER / "truth" / "nuclei_timelapse.tif")
    which = np.arange(SLICES) % len(frames)
    stack, masks = (_enlarged(part[which]) for part in (frames, truth > 0))
    middles = []
    for plane in masks:
        labels, count = ndimage.label(plane)
        sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        whole = np.flatnonzero(sizes > np.median(sizes) / 2) + 1
        middles.append(np.array(ndimage.center_of_mass(plane, labels, whole)))
    return stack, middles


def _enlarged(frames: npt.NDArray[Any]) -> npt.NDArray[Any]:
    height, width = frames.shape[1:]
    beyond = ((0, 0), (0, max(0, SIDE - height)), (0, max(0, SIDE - width)))
    return np.ascontiguousarray(
        np.pad(frames, beyond, mode="symmetric")[:, :SIDE, :SIDE]
    )


def keep_programs() -> None:
    """Let no layer's shaders be deleted.

    Mesa 22.3's software renderer, as in Debian 12, ends the process when they are: in
    napari alone, add a Shapes layer, remove it, and let the window be painted.
    """
    GlirProgram.delete = lambda self: None


class Window:
    """A viewer with one image and the widget.

    Parameters
    ----------
    stack : array, shape (Z, H, W)
    """

    def __init__(self, stack: npt.NDArray[Any]) -> None:
        keep_programs()
        self.viewer = napari.Viewer()
        self.viewer.window.resize(1400, 900)
        self.image = self.viewer.add_image(stack, name="nuclei")
        self.viewer.dims.set_current_step(0, 0)
        self.wait(0.5)
        (self.canvas,) = canvases(self.viewer)
        self.panel: Any = None

    def open_widget(self) -> None:
        """Open it, as the menu does."""
        _, self.panel = self.viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
        self.until(lambda: self.panel.bridge.desk is not None)

    @property
    def session(self) -> Any:
        """The session behind the widget."""
        return self.panel.bridge.session

    @property
    def suggestions(self) -> list[Any]:
        """Those that are open."""
        return list(self.session.suggestions.values())

    def wait(self, seconds: float) -> None:
        """Let the window live for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.001)

    def until(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        """Let the window live until something holds."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise SystemExit("it did not happen in time")
            QApplication.processEvents()
            time.sleep(0.0005)

    def ready(self) -> bool:
        """Whether the slice on the screen is prepared."""
        return bool(self.session.status.phase == "ready")

    def place(self, y: float, x: float) -> QPoint:
        """Return where a pixel of the image is on the canvas."""
        camera = self.viewer.scene.camera
        world = self.image.data_to_world((0, y, x))[-2:]
        middle = np.array([self.canvas.height(), self.canvas.width()]) / 2
        row, column = middle + (np.array(world) - camera.center[-2:]) * camera.zoom
        return QPoint(round(column), round(row))

    def click(self, y: float, x: float) -> float:
        """Click, and return when the button was let go (`perf_counter`)."""
        place, button = self.place(y, x), Qt.MouseButton.LeftButton
        plain = Qt.KeyboardModifier.NoModifier
        QTest.mouseMove(self.canvas, place)
        QTest.mousePress(self.canvas, button, plain, place)
        began = time.perf_counter()
        QTest.mouseRelease(self.canvas, button, plain, place)
        return began

    def close(self) -> None:
        """Close it, and let what is running end."""
        self.viewer.close()
        self.wait(0.3)


def random_mobile_sam(folder: Path) -> Path:
    """Write MobileSAM with random weights, as its checkpoint is."""
    import torch

    from napari_sam.models.ultra import load_ultralytics

    load_ultralytics()
    from ultralytics.models.sam.build import build_mobile_sam

    torch.manual_seed(0)
    path = folder / "mobile_sam.pt"
    torch.save(build_mobile_sam(None).state_dict(), path)
    return path
