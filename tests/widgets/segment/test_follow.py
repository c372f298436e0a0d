"""The section "Follow through the stack", with the real built-in model."""

import napari
import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from tests.widgets.segment.conftest import Person

from napari_sam.data import FOLDER
from napari_sam.live.following.wanted import State
from napari_sam.widgets.segment.panel import Segment
from napari_sam.widgets.segment.sections import follow_words as words
from napari_sam.widgets.segment.view import Fold

HERE = 3
NUCLEI = ((40, 13), (62, 36))


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
    viewer.add_image(stack, name="plant")
    viewer.dims.set_point(0, HERE)
    panel = Segment(viewer)
    qtbot.addWidget(panel)
    qtbot.waitUntil(lambda: panel.bridge.session.model is not None, timeout=60_000)
    yield panel
    panel.end()


@pytest.fixture
def labelled(panel, qtbot):
    """Two nuclei are objects on the fourth slice."""
    session = panel.bridge.session
    for key, place in enumerate(NUCLEI):
        add = panel.bridge.desk.prompts.points.add
        panel.bridge.desk.prompts.new_object()
        add((HERE, *place))
        qtbot.waitUntil(
            lambda count=key + 1: (
                len(session.suggestions) == count
                and not any(one.waiting for one in session.suggestions.values())
            ),
            timeout=60_000,
        )
    panel.bridge.add()
    assert len(session.store.records) == 2
    return panel


def done(follow):
    return lambda: not follow._following.state.busy


def test_all_objects_go_on_and_come_back_in_one_step(labelled, qtbot):
    follow, store = labelled.follow, labelled.bridge.session.store
    assert follow.start.text() == "Follow 2 objects"
    follow.start.click()
    assert not follow.start.isEnabled()
    assert follow.cancel.isEnabled()
    assert follow.bar.isVisibleTo(follow)
    qtbot.waitUntil(done(follow), timeout=60_000)
    state = follow._following.state
    assert state.outlines >= 4
    assert follow.says.text() == f"{state.outlines} outlines added."
    assert not follow.bar.isVisibleTo(follow)
    layer = labelled.bridge.desk.labels.layer
    assert sum(plane.any() for plane in layer.data) >= 3
    assert set(np.unique(layer.data)) == {0, *store.records}
    assert labelled.view.undo.toolTip().startswith("Take back: follow 2 objects")
    labelled.view.undo.click()
    assert [bool(plane.any()) for plane in layer.data] == [
        index == HERE for index in range(8)
    ]


def test_the_selected_object_one_way(labelled, viewer, qtbot):
    follow, layer = labelled.follow, labelled.bridge.desk.labels.layer
    first, second = sorted(labelled.bridge.session.store.records)
    follow.whom.value = words.SELECTED
    layer.selected_label = 77
    follow.start.click()
    assert "selected object is not on this slice" in labelled.view.notice.text()
    layer.selected_label = second
    follow.ways.value = words.EARLIER
    follow.reach.value = 2
    follow.start.click()
    qtbot.waitUntil(done(follow), timeout=60_000)
    assert not (layer.data[HERE + 1 :]).any()
    assert not (layer.data[0]).any()
    assert (layer.data[HERE - 1] == second).any()
    assert not (layer.data[HERE - 1] == first).any()


def test_it_says_where_there_is_nothing_to_follow(panel, viewer, stack):
    follow = panel.follow
    assert follow.start.text() == "Follow"
    follow.start.click()
    assert "add one first" in panel.view.notice.text()
    viewer.layers.clear()
    viewer.add_image(stack[0], name="one")
    assert not follow.start.isEnabled()
    assert "one slice only" in follow.says.text()
    viewer.layers.clear()
    assert not follow.start.isEnabled()
    assert follow.says.text() == ""


def test_the_axis_can_be_chosen_where_there_are_two(panel, viewer, stack):
    assert not panel.follow.axis.visible
    viewer.layers.clear()
    film = viewer.add_image(np.stack([stack, stack]), name="film")
    film.axis_labels = ("t", "z", "y", "x")
    panel.form.image.value = film
    panel.bridge.leave()
    panel.bridge.open(film)
    assert [label for label, _ in words.axes("TZ")] == ["Time", "Depth (z)"]
    assert panel.follow.axis.value == 1  # depth


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (State(), ""),
        (State("following", 3, 4, 20), "Following 3 objects: 4 of at most 20 slices"),
        (State("done", 1, 5, 9), "Found on no other slice."),
        (State("done", 1, 0, 0), "Nothing to follow."),
        (State("done", 1, 5, 9, 1), "1 outline added."),
        (State("done", 2, 5, 9, 1200, 1), "1,200 outlines added. 1 was not: other"),
        (State("stopped", 1, 5, 9, 3), "Stopped. 3 outlines added; they stay."),
        (State("failed", 1, error="no disk"), "⚠ No disk. 0 outlines added before"),
    ],
)
def test_what_it_says(state, text):
    assert words.following(state, 10.0, "Z").startswith(text)


@pytest.mark.window
def test_a_person_follows_the_object_under_the_mouse(stack, qtbot):
    viewer = napari.Viewer()
    viewer.window.resize(1200, 900)
    layer = viewer.add_image(stack, name="plant")
    _, panel = viewer.window.add_plugin_dock_widget("napari-sam-annotator", "Segment")
    panel.hint.hide()
    qtbot.wait(100)
    person = Person(viewer, panel, qtbot)
    try:
        fold = panel.follow.parent()
        assert isinstance(fold, Fold)
        QTest.mouseClick(fold.button, Qt.MouseButton.LeftButton)
        person.show(layer, HERE)
        person.labels_one(*NUCLEI[0])
        person.press(Qt.Key.Key_T, Qt.KeyboardModifier.ShiftModifier)
        person.until(lambda: panel.follow._following.state.phase == "done")
        assert sum(plane.any() for plane in person.labels.data) >= 3
        assert "outlines added" in panel.follow.says.text()
    finally:
        viewer.close()
        qtbot.wait(200)


def test_a_correction_can_be_followed_on(labelled, viewer, qtbot):
    follow, session = labelled.follow, labelled.bridge.session
    follow.start.click()
    qtbot.waitUntil(done(follow), timeout=60_000)
    assert follow.go_on.isHidden()
    layer = labelled.bridge.desk.labels.layer
    number = next(
        n for n, on in session.store.extents.items() if (HERE + 1,) in on and (0,) in on
    )
    viewer.dims.set_point(0, HERE + 1)
    y, x = np.argwhere(layer.data[HERE + 1] == number).mean(0).astype(int)
    layer.selected_label, layer.brush_size = number, 5
    layer.mode = "paint"
    layer.paint((HERE + 1, y - 12, x), number)
    qtbot.waitUntil(lambda: follow.go_on.isVisibleTo(follow))
    assert follow.go_on.text() == "Follow 1 corrected object on from this slice"
    before = layer.data.copy()
    follow.go_on.click()
    assert follow._following.state.objects == 1
    qtbot.waitUntil(done(follow), timeout=60_000)
    np.testing.assert_array_equal(layer.data[: HERE + 2], before[: HERE + 2])
    assert follow.go_on.isHidden()
