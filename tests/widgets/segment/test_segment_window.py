"""The widget in a real window, worked with mouse and keys as Qt delivers them."""

import napari
import numpy as np
import pytest
import tifffile
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from scipy import ndimage

from napari_sam.data import FOLDER
from napari_sam.widgets.segment.keyboard.canvas import canvases
from napari_sam.widgets.segment.panel import Segment

pytestmark = pytest.mark.window

LEFT = Qt.MouseButton.LeftButton
PLAIN = Qt.KeyboardModifier.NoModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
CTRL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    """Keep what must not be lost where the test ends."""
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path / "home"))


@pytest.fixture(autouse=True)
def _no_thread_is_left(no_thread_is_left):
    """Every test here ends its threads."""


class Hands:
    """Mouse and keys on the canvas of a viewer."""

    def __init__(self, viewer, panel, qtbot):
        self.viewer, self.panel, self.qtbot = viewer, panel, qtbot
        (self.canvas,) = canvases(viewer)

    def at(self, y, x):
        """Return where a pixel of the image is on the canvas."""
        camera, native = self.viewer.scene.camera, self.canvas
        layer = self.panel.bridge.desk.image
        world = layer.data_to_world((*self.panel.bridge.desk.index, y, x))[-2:]
        middle = np.array([native.height(), native.width()]) / 2
        row, column = middle + (np.array(world) - camera.center[-2:]) * camera.zoom
        return QPoint(round(column), round(row))

    def click(self, y, x, modifier=PLAIN):
        at = self.at(y, x)
        QTest.mouseMove(self.canvas, at)
        QTest.mouseClick(self.canvas, LEFT, modifier, at)

    def drag(self, start, end):
        native = self.canvas
        first, last = self.at(*start), self.at(*end)
        QTest.mouseMove(native, first)
        QTest.mousePress(native, LEFT, PLAIN, first)
        for part in (0.3, 0.7, 1.0):
            QTest.mouseMove(native, first + (last - first) * part)
            self.qtbot.wait(20)
        QTest.mouseRelease(native, LEFT, PLAIN, last)

    def press(self, key, modifier=PLAIN):
        """Press a key where the keyboard is."""
        target = self.canvas.window().focusWidget() or self.canvas
        QTest.keyClick(target, key, modifier)

    def answered(self):
        self.qtbot.waitUntil(self._all_there, timeout=60_000)

    def _all_there(self):
        open_ones = self.panel.bridge.session.suggestions.values()
        return bool(open_ones) and not any(one.waiting for one in open_ones)

    def until(self, condition):
        self.qtbot.waitUntil(condition, timeout=30_000)

    @property
    def open_ones(self):
        return list(self.panel.bridge.session.suggestions.values())

    @property
    def labels(self):
        layer = self.panel.bridge.desk.labels
        return None if layer is None else layer.layer.data


@pytest.fixture(scope="module")
def places():
    """Return the middles of some nuclei on the first frame."""
    truth = tifffile.imread(FOLDER / "truth" / "nuclei_timelapse.tif")[0, :96, :112]
    ids = [i for i in np.unique(truth[12:-12, 12:-12]) if i]
    return ndimage.center_of_mass(truth > 0, truth, ids)


@pytest.fixture
def hands(frames, qtbot):
    viewer = napari.Viewer()
    viewer.window.resize(1200, 800)
    viewer.add_image(frames, name="nuclei")
    _, panel = viewer.window.add_plugin_dock_widget("napari-sam-annotator", "Segment")
    assert isinstance(panel, Segment)
    viewer.dims.set_current_step(0, 0)
    qtbot.wait(100)
    viewer.reset_view()
    someone = Hands(viewer, panel, qtbot)
    someone.canvas.setFocus()
    qtbot.waitUntil(
        lambda: panel.bridge.session.status.phase == "ready", timeout=60_000
    )
    yield someone
    viewer.close()
    qtbot.wait(200)


def test_click_tab_enter_undo(hands, places):
    hands.click(*places[0])
    hands.answered()
    (one,) = hands.open_ones
    seen = [one.choice]
    for _ in one.candidates.masks[1:]:
        hands.press(Qt.Key.Key_Tab)
        hands.until(lambda: hands.open_ones[0].choice != seen[-1])
        seen.append(hands.open_ones[0].choice)
    assert sorted(seen) == list(range(len(one.candidates.masks)))
    hands.press(Qt.Key.Key_Return)
    hands.until(lambda: hands.labels is not None and hands.labels.any())
    assert not hands.open_ones
    hands.press(Qt.Key.Key_Z, CTRL)
    hands.until(lambda: not hands.labels.any())
    assert len(hands.open_ones) == 1
    hands.press(Qt.Key.Key_Z, CTRL | SHIFT)
    hands.until(lambda: hands.labels.any())


def test_shift_click_is_not_part_of_it(hands, places):
    hands.click(*places[0])
    hands.answered()
    hands.click(places[0][0], places[0][1] + 12, SHIFT)
    hands.until(lambda: len(hands.open_ones[0].marks) == 2)
    assert [mark.positive for mark in hands.open_ones[0].marks] == [True, False]
    hands.press(Qt.Key.Key_Escape)
    hands.until(lambda: not hands.open_ones)


def test_boxes_are_objects(hands, places):
    hands.panel.view.tools["box"].click()
    for y, x in places[:2]:
        hands.drag((y - 8, x - 8), (y + 8, x + 8))
        hands.qtbot.wait(50)
    hands.until(lambda: len(hands.open_ones) == 2)
    hands.answered()
    hands.press(Qt.Key.Key_Return)
    hands.until(lambda: hands.labels is not None and len(np.unique(hands.labels)) == 3)


def test_one_click_one_object(hands, places):
    hands.panel.form.one_click.value = True
    for place in places[:3]:
        hands.click(*place)
        hands.qtbot.wait(300)
    hands.answered()
    hands.until(lambda: len(hands.panel.bridge.session.store.records) == 2)


def test_delete_takes_the_object_under_the_mouse(hands, places):
    hands.click(*places[0])
    hands.answered()
    hands.press(Qt.Key.Key_Return)
    hands.until(lambda: hands.labels is not None and hands.labels.any())
    QTest.mouseMove(hands.canvas, hands.at(*places[0]))
    hands.qtbot.wait(50)
    hands.press(Qt.Key.Key_Delete)
    hands.until(lambda: not hands.labels.any())


def test_closing_in_the_middle_of_it(hands, places):
    hands.click(*places[0])


def test_closing_the_dock_keeps_the_objects(hands, places):
    hands.click(*places[0])
    hands.answered()
    hands.press(Qt.Key.Key_Return)
    hands.until(lambda: hands.labels is not None and hands.labels.any())
    dock = hands.panel.parent()
    while not hasattr(dock, "destroyOnClose"):
        dock = dock.parent()
    dock.destroyOnClose()
    hands.qtbot.wait(200)
    assert [layer.name for layer in hands.viewer.layers] == ["nuclei", "nuclei: labels"]
