"""The widget in a real window, with every Qt binding that is installed."""

import importlib.util
import os
import subprocess
import sys

import napari
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_sam.widgets.auto_annotate.panel import AutoAnnotate
from napari_sam.widgets.segment.keyboard.canvas import canvases

pytestmark = pytest.mark.window


@pytest.fixture
def viewer_with_panel(frames, qapp):
    viewer = napari.Viewer()
    viewer.add_image(frames, name="nuclei")
    dock, panel = viewer.window.add_plugin_dock_widget(
        "napari-sam-annotator", "Auto-annotate"
    )
    assert isinstance(panel, AutoAnnotate)
    return viewer, dock, panel


# That no thread of ours is left is checked after each test, see conftest.py.


def test_closing_the_viewer_ends_everything(viewer_with_panel, qtbot):
    viewer, _, panel = viewer_with_panel
    panel.find_all()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=60_000)
    viewer.close()
    qtbot.wait(200)


def test_closing_the_dock_ends_the_search_and_keeps_the_layer(viewer_with_panel, qtbot):
    viewer, dock, panel = viewer_with_panel
    try:
        panel.find_all()
        qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=60_000)
        dock.destroyOnClose()
        qtbot.wait(200)
        assert not panel.session.state.busy
        assert viewer.layers["nuclei: objects"].data.any()
        viewer.layers.clear()  # it does not listen any more
        _, again = viewer.window.add_plugin_dock_widget(
            "napari-sam-annotator", "Auto-annotate"
        )
        assert again is not panel
    finally:
        viewer.close()


def test_a_line_is_drawn_with_the_mouse(viewer_with_panel, qtbot):
    viewer, _, panel = viewer_with_panel
    try:
        viewer.reset_view()
        panel.sight.parent().button.click()
        panel.sight.from_line.click()
        qtbot.wait(200)
        (canvas,) = canvases(viewer)
        middle = canvas.rect().center()
        end = QPoint(middle.x() + 90, middle.y())
        left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        QTest.mouseMove(canvas, middle)
        QTest.mousePress(canvas, left, none, middle)
        for at in (QPoint(middle.x() + 40, middle.y()), end):
            QTest.mouseMove(canvas, at)
            qtbot.wait(50)
        QTest.mouseRelease(canvas, left, none, end)
        qtbot.waitUntil(lambda: panel.sight.diameter.pixels > 0, timeout=10_000)
        wanted = 90 / viewer.scene.camera.zoom
        assert panel.sight.diameter.pixels == pytest.approx(wanted, rel=0.05)
        qtbot.waitUntil(lambda: "Diameter" not in viewer.layers, timeout=10_000)
        assert [layer.name for layer in viewer.layers] == ["nuclei"]
    finally:
        viewer.close()


_SCRIPT = """
import sys, time
{before}
import napari, numpy as np, tifffile
from qtpy.QtWidgets import QApplication
from napari_sam.data import FOLDER
viewer = napari.Viewer()
frames = tifffile.imread(FOLDER / "images" / "nuclei_timelapse.tif")[:2, :96, :112]
viewer.add_image(frames, name="nuclei")
_, panel = viewer.window.add_plugin_dock_widget("napari-sam-annotator", "Auto-annotate")
{after}
panel.find_all()
end = time.monotonic() + 120
while panel.session.state.busy and time.monotonic() < end:
    QApplication.processEvents()
    time.sleep(0.01)
seen = viewer.screenshot(canvas_only=False, flash=False)
print(panel.session.state.phase, int(viewer.layers[-1].data.max()) > 5, seen.std() > 1)
viewer.close()
QApplication.processEvents()
"""


@pytest.mark.parametrize("binding", ["PyQt6", "PySide6"])
@pytest.mark.parametrize("opencv", ["before", "after"])
def test_every_binding_with_opencv_beside_it(binding, opencv, tmp_path):
    if importlib.util.find_spec(binding) is None:
        pytest.skip(f"{binding} is not installed")
    code = _SCRIPT.format(**{"before": "", "after": "", opencv: "import cv2"})
    environment = {
        **os.environ,
        "QT_API": binding.lower(),
        "NAPARI_CONFIG": str(tmp_path / "settings.yaml"),
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["done", "True", "True"], done.stderr
