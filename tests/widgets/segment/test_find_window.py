"""Finding all objects in a real window, with the mouse on the buttons."""

import napari
import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_sam.widgets.segment.keyboard.canvas import canvases
from napari_sam.widgets.segment.sections.find_where import Choice
from napari_sam.widgets.segment.view import Fold

pytestmark = pytest.mark.window


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    """Keep what must not be lost where the test ends."""
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path / "home"))


@pytest.fixture
def window(frames, qtbot):
    viewer = napari.Viewer()
    viewer.window.resize(1200, 900)
    viewer.add_image(frames, name="nuclei")
    _, panel = viewer.window.add_plugin_dock_widget("napari-sam-annotator", "Segment")
    viewer.dims.set_current_step(0, 0)
    panel.hint.hide()
    qtbot.wait(100)
    yield viewer, panel
    viewer.close()
    qtbot.wait(200)


def press(button):
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def test_find_filter_add_undo(window, qtbot):
    viewer, panel = window
    find, bridge = panel.find, panel.bridge
    fold = find.parent()
    assert isinstance(fold, Fold)
    assert not find.isVisible()
    press(fold.button)
    assert find.isVisible()
    qtbot.waitUntil(lambda: find.start.height() > 10)  # it has been laid out
    press(find.start)  # the model is not loaded yet
    qtbot.waitUntil(find.add.isEnabled, timeout=60_000)
    preview = bridge.desk.preview.layer
    everything = np.count_nonzero(preview.data)
    assert everything
    before = bridge.finder.found
    press(find.border.native)
    qtbot.waitUntil(lambda: bridge.finder.found is not before, timeout=10_000)
    assert 0 < np.count_nonzero(preview.data) < everything
    count = len(bridge.finder.found.objects)
    assert find.add.text() == f"Add all {count}"
    press(find.add)
    qtbot.waitUntil(lambda: bridge.desk.labels is not None, timeout=10_000)
    layer = bridge.desk.labels.layer
    assert layer in viewer.layers
    assert len(np.unique(layer.data)) == count + 1
    assert not preview.data.any()
    panel.bridge.desk.use("click")
    press(panel.view.undo)
    assert not layer.data.any()


def test_the_part_on_the_screen(window, qtbot):
    viewer, panel = window
    find, bridge = panel.find, panel.bridge
    press(find.parent().button)
    camera = viewer.scene.camera
    camera.center = (0, 30, 40)
    camera.zoom = 20
    qtbot.wait(50)
    (canvas,) = canvases(viewer)
    high, wide = canvas.height() / 20, canvas.width() / 20
    assert min(96 / high, 112 / wide) > 1.3  # a part of it only
    find.where.value = Choice.SCREEN
    press(find.start)
    qtbot.waitUntil(lambda: bridge.finder.state.phase == "found", timeout=60_000)
    masks = bridge.finder.found.masks
    assert masks
    for mask in masks:
        y, x = np.nonzero(mask.full((96, 112)))
        inside = (abs(y - 30) < high / 2 + 1) & (abs(x - 40) < wide / 2 + 1)
        assert inside.mean() > 0.5
    some = len(masks)
    find.where.value = Choice.SLICE
    press(find.start)
    qtbot.waitUntil(lambda: bridge.finder.total.objects > some, timeout=60_000)
