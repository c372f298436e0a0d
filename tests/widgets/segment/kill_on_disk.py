"""Run by test_on_disk.py, which kills it while labels come to the disk."""

from __future__ import annotations

import time

import napari
import numpy as np
import tifffile
from qtpy.QtWidgets import QApplication

from napari_sam.data import FOLDER
from napari_sam.live.values import Rule
from napari_sam.types import Mask
from napari_sam.widgets.segment.form import ON_DISK

pixels = tifffile.imread(FOLDER / "images" / "nuclei_timelapse.tif")[:4, :96, :112]
viewer = napari.Viewer()
viewer.add_image(pixels, name="nuclei")
_, panel = viewer.window.add_plugin_dock_widget("napari-sam-annotator", "Segment")
session = panel.bridge.session
while session.status.phase != "ready":
    QApplication.processEvents()
    time.sleep(0.002)
panel.form.labels.value = ON_DISK
for number in range(1, 41):
    box = (number, 2 * number, number + 9, 2 * number + 9)
    mask = Mask(box, np.ones((9, 9), bool), 0.9)
    session.edit(session.store.add((number % 4,), mask, Rule.KEEP))
# Until the first chunk is on the disk, and all is in the journal.
labels, keeper = session.store.labels, panel.bridge.keeper
while labels.waiting == 4 or keeper.folder is None:
    QApplication.processEvents()
    time.sleep(0.001)
assert keeper._writing.journal.flush()
print("go", flush=True)
number = 100
while True:  # chunks are written all the time, and the journal says nothing new
    number += 1
    labels[number % 4, 90:, 100:] = number
    time.sleep(0.01)
