"""An object through the stack by hand: slice by slice, and what is left is filled."""

import napari
import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from tests.widgets.segment.conftest import Person

from napari_sam.data import FOLDER
from napari_sam.live.following.filling import FillState
from napari_sam.widgets.segment.panel import Segment
from napari_sam.widgets.segment.sections import follow_words as words
from napari_sam.widgets.segment.view import Fold

FIRST, MIDDLE, LAST = 1, 3, 6
NUCLEI = ((40, 13), (62, 36))
SHIFT = Qt.KeyboardModifier.ShiftModifier
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    """Keep what must not be lost where the test ends."""
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def stack():
    whole = tifffile.imread(FOLDER / "images" / "plant_nuclei_3d.tif")
    return np.ascontiguousarray(whole[44:52])


@pytest.fixture
def panel(viewer, stack, qtbot):
    """Show the stack with an object on two slices, two others on none between."""
    viewer.add_image(stack, name="plant")
    viewer.dims.set_point(0, FIRST)
    panel = Segment(viewer)
    qtbot.addWidget(panel)
    labels = np.zeros(stack.shape, np.uint32)
    for number, (y, x) in enumerate(NUCLEI, 4):
        for z in (FIRST, LAST):
            labels[z, y - 4 : y + 5, x - 4 : x + 5] = number
    layer = viewer.add_labels(labels, name="mine")
    panel.form.labels.value = layer
    qtbot.waitUntil(lambda: panel.bridge.desk.labels is not None, timeout=20_000)
    yield panel
    panel.end()


def done(panel):
    return lambda: not panel.bridge.filling.state.busy


def test_all_gaps_are_filled_in_one_step(panel, qtbot):
    fill, layer = panel.follow.fill, panel.bridge.desk.labels.layer
    before = layer.data.copy()
    assert not fill.says.text() and fill.all.isEnabled()
    fill.all.click()
    assert not fill.all.isEnabled() and not panel.follow.start.isEnabled()
    qtbot.waitUntil(done(panel), timeout=60_000)
    assert fill.says.text() == "8 slices of 2 objects filled."
    assert all((plane == 4).sum() == 81 for plane in layer.data[FIRST : LAST + 1])
    assert panel.view.undo.toolTip().startswith("Take back: fill between slices")
    panel.view.undo.click()
    assert np.array_equal(layer.data, before)


def test_the_object_that_is_selected(panel, qtbot):
    fill, layer = panel.follow.fill, panel.bridge.desk.labels.layer
    assert fill.one.text() == "Fill one object" and not fill.one.isEnabled()
    layer.selected_label = 5
    assert fill.one.text() == "Fill object 5"
    assert panel.view.add_to.text() == "Add to object 5 (Shift+Enter)"
    fill.one.click()
    qtbot.waitUntil(done(panel), timeout=60_000)
    assert fill.says.text() == "4 slices of 1 object filled."
    assert (layer.data[MIDDLE] == 5).any() and not (layer.data[MIDDLE] == 4).any()
    fill.one.click()
    qtbot.waitUntil(done(panel), timeout=60_000)
    assert fill.says.text().startswith("Nothing to fill")


def test_there_must_be_an_object_to_add_to(panel):
    panel.bridge.desk.labels.layer.selected_label = 77
    assert not panel.view.add_to.isEnabled()
    panel.bridge.add_to()
    assert "no object to add to" in panel.view.notice.text()


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (FillState(), ""),
        (FillState("filling", 3, 1200), "Filling: 3 of 1,200 objects looked at."),
        (FillState("done"), "Nothing to fill: no object is missing on a frame"),
        (FillState("done", 9, 9, 1, frozenset({4}), 1), "1 frame of 1 object filled. "),
        (FillState("stopped", 1, 9, 3, frozenset({4})), "Stopped. 3 frames of 1 obj"),
        (FillState("failed", error="no disk"), "⚠ No disk. 0 frames of 0 objects"),
    ],
)
def test_what_it_says(state, text):
    assert words.filled(state, "T").startswith(text)


@pytest.mark.window
def test_a_person_labels_one_nucleus_on_three_slices_and_fills_the_rest(stack, qtbot):
    viewer = napari.Viewer()
    viewer.window.resize(1200, 900)
    layer = viewer.add_image(stack, name="plant")
    _, panel = viewer.window.add_plugin_dock_widget("napari-sam-annotator", "Segment")
    panel.hint.hide()
    qtbot.wait(100)
    person = Person(viewer, panel, qtbot)
    try:
        QTest.mouseClick(panel.follow.parent().button, LEFT)
        assert isinstance(panel.follow.parent(), Fold)
        person.show(layer, MIDDLE)
        person.labels_one(*NUCLEI[1])
        person.labels_one(*NUCLEI[0])
        number = person.labels.selected_label
        assert number == person.session.store.next_id - 1  # the one kept last
        for at, use in ((FIRST, "key"), (LAST, "button")):
            viewer.dims.set_point(0, at)
            person.click(*NUCLEI[0])
            person.answered()
            button = panel.view.add_to
            assert button.text() == f"Add to object {number} (Shift+Enter)"
            if use == "key":
                person.press(Qt.Key.Key_Return, SHIFT)
            else:
                QTest.mouseClick(button, LEFT)
            person.until(lambda: not person.open_ones)
        data = person.labels.data
        on = [z for z in range(len(data)) if (data[z] == number).any()]
        assert on == [FIRST, MIDDLE, LAST]
        assert set(np.unique(data)) == {0, 1, 2}
        by_hand = data.copy()
        QTest.mouseClick(panel.follow.fill.one, LEFT)
        person.until(
            lambda: "3 slices of 1 object filled" in panel.follow.fill.says.text()
        )
        assert all((plane == number).any() for plane in data[FIRST : LAST + 1])
        assert np.array_equal(data[by_hand > 0], by_hand[by_hand > 0])
        # Each of it was a step of its own, and the journal has them all.
        assert person.bridge.keeper.unsaved > 4
        for _ in range(2):
            person.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        on = [z for z in range(len(data)) if (data[z] == number).any()]
        assert on == [FIRST, MIDDLE]
        assert len(person.open_ones) == 1  # a suggestion again
    finally:
        viewer.close()
        qtbot.wait(200)
