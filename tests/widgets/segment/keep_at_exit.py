"""Run by test_keep_at_exit.py: a process that ends while the widget is open."""

from __future__ import annotations

import sys
import time

import napari
import numpy as np
import tifffile
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_sam.data import FOLDER
from napari_sam.live.values import Rule
from napari_sam.types import Mask

pixels = tifffile.imread(FOLDER / "images" / "nuclei_timelapse.tif")[:4, :96, :112]
viewer = napari.Viewer()
viewer.add_image(pixels, name="nuclei")
_, panel = viewer.window.add_plugin_dock_widget("napari-sam-annotator", "Segment")
while panel.bridge.session.status.phase != "ready":
    QApplication.processEvents()
    time.sleep(0.002)
session = panel.bridge.session
mask = Mask((10, 12, 18, 20), np.ones((8, 8), bool), 0.9)
session.edit(session.store.add((0,), mask, Rule.KEEP))
if sys.argv[1] == "quit":
    QTimer.singleShot(100, QApplication.instance().quit)
    napari.run()
elif sys.argv[1] == "close":
    QTimer.singleShot(100, viewer.window._qt_window.close)
    napari.run()
