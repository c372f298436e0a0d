"""What the tests of the widget share."""

import napari
import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_sam.live.source import Source
from napari_sam.widgets.segment.keyboard.canvas import canvases
from napari_sam.widgets.segment.layers import warm

LEFT = Qt.MouseButton.LeftButton
PLAIN = Qt.KeyboardModifier.NoModifier
ANSWER_MS = 60_000  # only a test that fails waits that long


@pytest.fixture(autouse=True, scope="session")
def _warm():
    """Load what layers need, so that the widget begins at once."""
    warm.warm()


@pytest.fixture
def viewer():
    """Return a viewer without a window."""
    return ViewerModel()


@pytest.fixture
def image(viewer, frames):
    """Return four frames of nuclei in the viewer, the first one on the screen."""
    layer = viewer.add_image(frames, name="nuclei")
    viewer.dims.set_point(0, 0)
    return layer


@pytest.fixture
def source(image):
    return Source.from_layer(image)


@pytest.fixture(autouse=True)
def _no_thread_is_left(no_thread_is_left):
    """Every test here ends its threads."""


class Person:
    """Sits at a real window with the widget: a mouse, keys, and what is read."""

    def __init__(self, viewer, panel, qtbot):
        self.viewer, self.panel, self.qtbot = viewer, panel, qtbot
        (self.canvas,) = canvases(viewer)

    @property
    def bridge(self):
        return self.panel.bridge

    @property
    def session(self):
        return self.panel.bridge.session

    @property
    def prompts(self):
        return self.panel.bridge.desk.prompts

    @property
    def labels(self):
        """The layer with the objects, None where there is none."""
        labels = self.bridge.desk.labels
        return None if labels is None else labels.layer

    def show(self, layer, *index):
        """Take an image, at the first of its slices if no other is named."""
        self.panel.form.image.value = layer
        self.viewer.layers.selection.active = layer
        world = layer.data_to_world((*(index or (0,) * (layer.ndim - 2)), 0, 0))
        for axis in range(layer.ndim - 2):
            self.viewer.dims.set_point(axis - layer.ndim, world[axis])
        self.qtbot.wait(50)
        self.viewer.reset_view()
        self.viewer.scene.camera.zoom *= 0.7  # there is room beside it
        self.panel.view.tools["click"].click()

    def at(self, y, x):
        """Return where a pixel of the image is on the canvas."""
        camera, desk = self.viewer.scene.camera, self.bridge.desk
        world = desk.image.data_to_world((*desk.index, y, x))[-2:]
        middle = np.array([self.canvas.height(), self.canvas.width()]) / 2
        row, column = middle + (np.array(world) - camera.center[-2:]) * camera.zoom
        return QPoint(round(column), round(row))

    def click(self, y, x, modifier=PLAIN):
        at = self.at(y, x)
        QTest.mouseMove(self.canvas, at)
        QTest.mouseClick(self.canvas, LEFT, modifier, at)

    def press(self, key, modifier=PLAIN):
        self.canvas.setFocus()
        QTest.keyClick(self.canvas, key, modifier)

    def until(self, condition):
        self.qtbot.waitUntil(condition, timeout=ANSWER_MS)

    @property
    def open_ones(self):
        return list(self.session.suggestions.values())

    def answered(self):
        """Wait until there are suggestions, and none of them waits."""
        self.until(
            lambda: (
                bool(self.open_ones) and not any(one.waiting for one in self.open_ones)
            )
        )

    def reads(self, words):
        """Wait until these words stand on the panel, as a notice or anywhere."""
        view = self.panel.view
        shown = (view.notice, view.suggestion, view.status)
        self.until(lambda: any(words in label.text() for label in shown))

    def labels_one(self, y, x):
        """Click on an object, keep it, and see that exactly this was written."""
        number = self.session.store.next_id
        self.click(y, x)
        self.answered()
        (one,) = self.open_ones
        assert not one.error
        assert one.mask is not None
        inside = one.mask.full(self.session.store.plane_shape)
        self.press(Qt.Key.Key_Return)
        self.until(lambda: not self.open_ones)
        written = np.asarray(self.labels.data) == number
        assert written[one.index].any()
        assert not (written[one.index] & ~inside).any()
        assert written.sum() == written[one.index].sum()
        assert written[one.index][round(y), round(x)]


@pytest.fixture
def person(qtbot, monkeypatch, tmp_path):
    """Return somebody at a window with the widget and no image yet."""
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path / "home"))
    viewer = napari.Viewer()
    viewer.window.resize(1200, 800)
    _, panel = viewer.window.add_plugin_dock_widget("napari-sam-annotator", "Segment")
    panel.hint.hide()
    qtbot.wait(100)
    yield Person(viewer, panel, qtbot)
    viewer.close()
    qtbot.wait(200)
