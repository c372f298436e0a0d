"""The section "Proofread": without a window, and with keys in a real one."""

import napari
import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_sam.data import FOLDER
from napari_sam.live.proofreading.asking import Asked
from napari_sam.widgets.segment.keyboard.canvas import canvases
from napari_sam.widgets.segment.layers import outlines, visiting
from napari_sam.widgets.segment.panel import Segment
from napari_sam.widgets.segment.sections import proofread_words as words
from napari_sam.widgets.segment.view import Fold

SHIFT = Qt.KeyboardModifier.ShiftModifier
NO = Qt.KeyboardModifier.NoModifier


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    """Keep what must not be lost where the test ends."""
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path / "home"))


@pytest.fixture
def truth():
    """Return the nuclei of four frames as people have outlined them."""
    whole = tifffile.imread(FOLDER / "truth" / "nuclei_timelapse.tif")
    return np.ascontiguousarray(whole[:4, :96, :112]).astype(np.uint16)


@pytest.fixture
def panel(viewer, image, qtbot, no_thread_is_left):
    panel = Segment(viewer)
    qtbot.addWidget(panel)
    yield panel
    panel.end()


def adopt(panel, layer, qtbot):
    panel.bridge.places.write_to(layer)
    qtbot.waitUntil(lambda: panel.bridge.desk.labels is not None, timeout=10_000)


@pytest.fixture
def layer(panel, viewer, truth, qtbot):
    """Return the layer with the objects, as it was opened from a file."""
    layer = viewer.add_labels(truth.copy(), name="from Fiji")
    adopt(panel, layer, qtbot)
    return layer


@pytest.fixture
def section(panel, layer, qtbot):
    """Return the section at the first doubtful object."""
    section = panel.proofread
    section.start.click()
    qtbot.waitUntil(section.accept.isEnabled, timeout=10_000)
    return section


def current(section):
    return section._bridge.proofreader.current


def framed(panel):
    """Return the rows and columns where something is drawn over the image."""
    return np.argwhere(panel.bridge.desk.preview.layer.data[0] == outlines.LINE)


def test_without_objects_it_says_where_to_get_some(panel, viewer, image):
    assert panel.proofread.says.text() == words.NO_OBJECTS
    assert not panel.proofread.start.isEnabled()
    viewer.layers.remove(image)
    assert not panel.proofread.start.isEnabled()


def test_it_says_what_it_does_before_it_does_it(panel, layer):
    assert panel.proofread.says.text() == words.BEFORE
    assert panel.proofread.start.isEnabled()
    for button in (panel.proofread.accept, panel.proofread.next):
        assert not button.isEnabled()


def test_it_shows_an_object_and_says_why(section, panel, viewer, layer):
    at = current(section)
    says = section.says.text()
    assert says.startswith(f"Object {at.id}: {at.reasons[0]}")
    assert f"0 of {len(np.unique(layer.data)) - 1} reviewed" in says
    assert panel.bridge.desk.index == at.index
    assert layer.selected_label == at.id
    y0, x0, y1, x1 = at.box
    center = np.array(viewer.scene.camera.center[-2:])
    assert np.allclose(center, [(y0 + y1 - 1) / 2, (x0 + x1 - 1) / 2])
    drawn = framed(panel)
    assert len(drawn)
    inside = ((drawn >= [y0, x0]) & (drawn < [y1, x1])).all(1)
    assert not inside.any()


def test_accept_goes_on_and_changes_no_pixel(section, layer, truth):
    before = current(section)
    section.accept.click()
    assert current(section) not in (None, before)
    assert "1 of" in section.says.text()
    assert np.array_equal(layer.data, truth)
    section.previous.click()
    section.next.click()
    assert section._bridge.session.store.records[before.id].reviewed


def test_the_table_of_the_layer_says_what_was_reviewed(section, panel, layer):
    number = current(section).id
    section.accept.click()
    panel.bridge.desk.labels.tabulate()
    table = layer.features.set_index("index")
    assert table.reviewed[number]
    assert table.reviewed.sum() == 1


def test_delete_takes_one_object_away(section, panel, layer, truth):
    at = current(section)
    section.delete.click()
    assert np.array_equal(layer.data, np.where(truth == at.id, 0, truth))
    assert current(section) not in (None, at)
    panel.view.undo.click()
    assert np.array_equal(layer.data, truth)
    assert current(section) == at
    assert panel.bridge.desk.index == at.index


def test_refine_lets_clicks_work_on_it(section, panel, layer, viewer, truth):
    viewer.layers.selection.active = layer
    at = current(section)
    section.refine.click()
    session, desk = panel.bridge.session, panel.bridge.desk
    (shown,) = session.suggestions.values()
    assert (shown.object_id, shown.index) == (at.id, at.index)
    assert viewer.layers.selection.active is desk.prompts.points
    assert desk.prompts.current == shown.key
    assert "The object as it is" in panel.view.suggestion.text()
    section.accept.click()
    assert not session.suggestions
    assert session.store.records[at.id].reviewed
    assert np.array_equal(layer.data, truth)


def test_all_of_them(section, layer, truth):
    review = section._bridge.proofreader.review
    for _ in range(review.doubtful):
        section.accept.click()
    assert section.says.text().startswith("Nothing is doubtful any more.")
    assert not section.accept.isEnabled()
    assert np.array_equal(layer.data, truth)


def test_the_frame_is_on_its_own_slice(section, panel, viewer):
    at = current(section)
    panel.bridge.session.edit(
        panel.bridge.session.store.delete(
            [at.id], index=tuple((i + 1) % 4 for i in at.index)
        )
    )
    viewer.dims.set_current_step(0, (at.index[0] + 1) % 4)
    assert not len(framed(panel))
    section.next.click()
    section.previous.click()
    assert len(framed(panel))


def test_another_layer_ends_it(section, panel, viewer, truth, qtbot):
    other = viewer.add_labels(np.zeros_like(truth), name="other")
    panel.bridge.places.write_to(other)
    qtbot.waitUntil(lambda: panel.bridge.desk.labels.layer is other, timeout=10_000)
    assert section.says.text() == words.NO_OBJECTS
    assert not section.accept.isEnabled()
    assert not len(framed(panel))


def test_the_image_is_taken_away(section, viewer, image):
    viewer.layers.remove(image)
    assert not section.accept.isEnabled()
    assert not section.start.isEnabled()


def test_the_model_is_asked_too(section, qtbot):
    reader = section._bridge.proofreader
    section.ask.value = True
    assert section.cancel.isEnabled()
    qtbot.waitUntil(lambda: reader.asking.state.phase == "done", timeout=60_000)
    assert section.asked.text().startswith("The model has looked at all")
    assert not section.cancel.isEnabled()
    assert reader.review.opinions


def test_asking_is_cancelled(section, qtbot):
    reader = section._bridge.proofreader
    section.ask.value = True
    qtbot.waitUntil(lambda: reader.asking.state.phase == "asking", timeout=60_000)
    section.cancel.click()
    assert section.asked.text().startswith("Stopped")
    assert not section.cancel.isEnabled()
    assert current(section) is not None


def test_closing_the_dock_ends_it(section, panel, qtbot):
    reader = section._bridge.proofreader
    section.ask.value = True
    qtbot.waitUntil(lambda: reader.asking.state.phase == "asking", timeout=60_000)
    section.start.click()
    panel.end()
    assert reader.review is None
    assert reader.state.phase == "nothing"
    assert not reader.asking.state.busy


def test_what_is_drawn_lies_above_the_objects(panel, layer, viewer):
    desk = panel.bridge.desk
    order = [viewer.layers.index(one) for one in (layer, desk.preview.layer)]
    assert order == sorted(order)
    for one in desk.prompts.layers:
        assert viewer.layers.index(one) > viewer.layers.index(desk.preview.layer)


def test_every_key_is_listed_and_can_be_chosen(panel, image):
    from napari.settings import get_plugin_settings

    from napari_sam.widgets.segment.keyboard.touch import ALL_SHORTCUTS

    actions = panel.bridge.actions()
    ours = {one.name: one.key for one in ALL_SHORTCUTS}
    assert len(set(ours.values())) == len(ours)
    chosen = get_plugin_settings("napari-sam-annotator").shortcuts
    for name in panel.bridge.proofreader.actions():
        assert name in actions
        assert getattr(chosen, f"key_{name}") == ours[name]


def test_what_is_said_about_the_model():
    assert words.asking(Asked(), 0) == ""
    asked = Asked("asking", done=50, total=300)
    assert words.asking(asked, 1) == "The model has looked at 50 of 300 objects…"
    assert "about 50 s left" in words.asking(asked, 10)
    assert words.asking(Asked("failed", error="no file"), 0) == "⚠ no file"
    assert words.asking(Asked("loading"), 0) == "Loading the model…"


@pytest.mark.parametrize("pixel", [0.1, 1.0, 8.0])
def test_a_frame_is_around_the_box_and_not_on_it(pixel):
    plane = np.zeros((400, 500), np.uint8)
    box = (150, 200, 190, 280)
    for picture in visiting.frame(box, pixel):
        outlines.paste(plane, *picture)
    y0, x0, y1, x1 = box
    assert not plane[y0:y1, x0:x1].any()
    rows, columns = np.nonzero(plane == outlines.LINE)
    assert rows.min() < y0
    assert rows.max() >= y1
    assert columns.min() < x0
    assert columns.max() >= x1
    whole = plane[y0 - 80 : y1 + 80, x0 - 80 : x1 + 80]
    assert np.array_equal(whole, whole[::-1])
    assert np.array_equal(whole, whole[:, ::-1])


# In a real window.


@pytest.fixture
def window(frames, truth, qtbot):
    viewer = napari.Viewer()
    viewer.window.resize(1200, 900)
    viewer.add_image(frames, name="nuclei", scale=(3, 0.5, 0.5), rotate=20)
    layer = viewer.add_labels(
        truth.copy(), name="from Fiji", scale=(3, 0.5, 0.5), rotate=20
    )
    _, panel = viewer.window.add_plugin_dock_widget("napari-sam-annotator", "Segment")
    viewer.dims.set_current_step(0, 0)
    panel.hint.hide()
    qtbot.wait(100)
    adopt(panel, layer, qtbot)
    yield viewer, panel, layer
    viewer.close()
    qtbot.wait(200)


def seen(viewer, layer, at):
    """Return where on the canvas the corners of an object are, as parts of it."""
    (canvas,) = canvases(viewer)
    camera, size = viewer.scene.camera, np.array([canvas.height(), canvas.width()])
    y0, x0, y1, x1 = at.box
    corners = [
        layer.data_to_world((*at.index, y, x))[-2:]
        for y in (y0 - 0.5, y1 - 0.5)
        for x in (x0 - 0.5, x1 - 0.5)
    ]
    on_canvas = (np.array(corners) - camera.center[-2:]) * camera.zoom
    return on_canvas / size + 0.5


@pytest.mark.window
def test_with_keys_in_a_window(window, qtbot, truth):
    viewer, panel, layer = window
    section, reader = panel.proofread, panel.bridge.proofreader
    fold = section.parent()
    assert isinstance(fold, Fold)
    fold.button.click()
    assert section.isVisible()
    panel.bridge.desk.use("click")
    (canvas,) = canvases(viewer)
    canvas.setFocus()

    def press(key, modifier=NO):
        QTest.keyClick(canvas.window().focusWidget() or canvas, key, modifier)
        qtbot.wait(20)

    press(Qt.Key.Key_J)
    qtbot.waitUntil(lambda: reader.current is not None, timeout=10_000)
    for _ in range(reader.review.doubtful):
        at = reader.current
        corners = seen(viewer, layer, at)
        assert ((corners > 0) & (corners < 1)).all()
        assert np.allclose(corners.mean(0), 0.5, atol=0.02)
        taken = np.ptp(corners, axis=0).max()
        y0, x0, y1, x1 = at.box
        assert taken < 0.55
        assert taken > 0.18 or max(y1 - y0, x1 - x0) < 24  # specks have some room
        assert panel.bridge.desk.index == at.index
        press(Qt.Key.Key_J)
    first = reader.current
    press(Qt.Key.Key_Y)
    assert reader.review.reviewed == 1
    press(Qt.Key.Key_K)
    second = reader.current
    assert second.id != first.id
    press(Qt.Key.Key_D, SHIFT)
    assert np.array_equal(layer.data, np.where(truth == second.id, 0, truth))
    third = reader.current
    press(Qt.Key.Key_R, SHIFT)
    (shown,) = panel.bridge.session.suggestions.values()
    assert shown.object_id == third.id
    press(Qt.Key.Key_Return)
    assert reader.review.reviewed == 2
    press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert reader.review.reviewed == 1


@pytest.mark.window
def test_what_the_camera_has_left_is_shown_first(window, qtbot):
    viewer, panel, _ = window
    section, reader = panel.proofread, panel.bridge.proofreader
    section.start.click()
    qtbot.waitUntil(lambda: reader.current is not None, timeout=10_000)
    viewer.scene.camera.center = (0, 1000, 1000)
    section.accept.click()
    assert reader.review.reviewed == 0
    assert "Press again" in panel.view.notice.text()
    section.accept.click()
    assert reader.review.reviewed == 1


@pytest.mark.window
def test_specks_and_whole_images_are_shown_at_a_zoom_that_makes_sense(window):
    viewer, _, layer = window
    (canvas,) = canvases(viewer)
    view = np.array([canvas.height(), canvas.width()])
    visiting.go_to(viewer, layer, (1,), (40, 40, 42, 42))
    pixels = view / viewer.scene.camera.zoom / 0.5
    assert pixels.min() > 40
    viewer.reset_view()
    everything = viewer.scene.camera.zoom
    visiting.go_to(viewer, layer, (2,), (0, 0, 96, 112))
    assert viewer.scene.camera.zoom > 0.8 * everything
    assert viewer.dims.current_step[0] == 2
