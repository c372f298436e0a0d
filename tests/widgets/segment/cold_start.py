"""Run by test_cold_start.py: the widget opens before anything was loaded for it."""

from __future__ import annotations

import sys
import threading
import time

import napari
import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_sam.widgets.segment import words


def live(done):
    """Let the window live until something holds; return how often it breathed."""
    breaths = []
    timer = QTimer()
    timer.timeout.connect(lambda: breaths.append(1))
    timer.start(10)
    while not done():
        QApplication.processEvents()
        time.sleep(0.001)
    timer.stop()
    return len(breaths)


viewer = napari.Viewer()
image = viewer.add_image(np.random.default_rng(0).random((64, 64)))
assert "skimage.color" not in sys.modules
_, panel = viewer.window.add_plugin_dock_widget("napari-sam-annotator", "Segment")
assert panel.bridge.desk is None
assert panel.view.notice.text() == words.STARTING
if "--close" in sys.argv:
    viewer.window.remove_dock_widget(panel)
    live(lambda: not any("napari-sam" in one.name for one in threading.enumerate()))
    assert panel.bridge.desk is None
    assert list(viewer.layers) == [image]
else:
    assert live(lambda: panel.bridge.desk is not None) > 5
    assert len(viewer.layers) == 4
    live(lambda: panel.bridge.session.status.phase == "ready")
viewer.close()
print("alive")
