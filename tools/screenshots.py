"""Make the pictures of the widgets in the documentation; needs a display.

xvfb-run -a -s "-screen 0 1600x1000x24" .venv/bin/python tools/screenshots.py
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import napari
from qtpy.QtWidgets import QApplication

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGES = Path(__file__).parents[1] / "docs" / "images"
PLUGIN = "napari-sam-annotator"


def main() -> None:
    """Make them all."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    auto_annotate(IMAGES / "auto-annotate.png")


def auto_annotate(path: Path) -> None:
    """Show the nuclei over time, half-way through the frames, all found."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Auto-annotate")
    image, truth = viewer.open_sample(PLUGIN, "nuclei_timelapse")
    viewer.layers.remove(truth)
    panel.find_all()
    wait(lambda: not panel.session.state.busy)
    viewer.dims.set_current_step(0, image.data.shape[0] // 2)
    viewer.reset_view()
    started = time.monotonic()
    wait(lambda: time.monotonic() > started + 1)
    viewer.screenshot(path, canvas_only=False, flash=False)
    viewer.close()


def wait(condition: Callable[[], bool], seconds: float = 300) -> None:
    """Let the window live until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("it did not happen in time")
        QApplication.processEvents()
        time.sleep(0.01)


if __name__ == "__main__":
    main()
