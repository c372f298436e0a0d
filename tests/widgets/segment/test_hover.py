"""A dashed outline where the mouse rests, with the real built-in model."""

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import QEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from scipy import ndimage

from napari_sam.data import FOLDER
from napari_sam.types import Mask
from napari_sam.widgets.segment.layers import outlines
from napari_sam.widgets.segment.layers.hover import REST_MS
from napari_sam.widgets.segment.layers.preview import Preview
from napari_sam.widgets.segment.panel import Segment

DASHES = (outlines.GUESS, outlines.GAP)


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    """Keep what must not be lost where the test ends."""
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path / "home"))


@pytest.fixture
def panel(viewer, image, qtbot, no_thread_is_left):
    """Return a panel that shows suggestions under the mouse, its slice prepared."""
    panel = Segment(viewer)
    qtbot.addWidget(panel)
    panel.form.hover.value = True
    qtbot.waitUntil(
        lambda: panel.bridge.session.prepared((0,)) is not None, timeout=60_000
    )
    # The tool is chosen once more when all that adding the image set off is over.
    qtbot.waitUntil(panel.view.tools["click"].isChecked, timeout=10_000)
    yield panel
    panel.end()


@pytest.fixture(scope="module")
def places():
    """Return the middles of some nuclei on the first frame."""
    truth = tifffile.imread(FOLDER / "truth" / "nuclei_timelapse.tif")[0, :96, :112]
    ids = [i for i in np.unique(truth[12:-12, 12:-12]) if i]
    return ndimage.center_of_mass(truth > 0, truth, ids)


def move(viewer, place, index=0):
    """Move the mouse, as far as a viewer without a window knows one."""
    viewer.cursor.position = (index, *place)
    for callback in list(viewer.mouse_move_callbacks):
        callback(viewer, None)


def dashes(panel):
    return np.isin(panel.bridge.desk.preview.layer.data, DASHES)


def shown(panel, qtbot, place):
    move(panel._viewer, place)
    qtbot.waitUntil(lambda: dashes(panel).any(), timeout=30_000)
    return panel.hover.hovering.guess


def nothing_comes(panel, qtbot):
    """Wait until the mouse has rested, and see that nothing was asked."""
    qtbot.wait(2 * REST_MS)
    return not panel.hover.hovering.asking and not dashes(panel).any()


def test_it_is_off_at_first(viewer, image, qtbot, no_thread_is_left):
    before = list(viewer.mouse_move_callbacks), list(viewer.mouse_drag_callbacks)
    panel = Segment(viewer)
    qtbot.addWidget(panel)
    qtbot.waitUntil(lambda: panel.bridge.desk is not None, timeout=60_000)
    assert not panel.form.hover.value
    assert (viewer.mouse_move_callbacks, viewer.mouse_drag_callbacks) == before
    panel.form.hover.value = True
    assert len(viewer.mouse_move_callbacks) == len(before[0]) + 1
    panel.form.hover.value = False
    assert (viewer.mouse_move_callbacks, viewer.mouse_drag_callbacks) == before
    panel.form.hover.value = True
    panel.end()
    assert (viewer.mouse_move_callbacks, viewer.mouse_drag_callbacks) == before


def test_it_is_shown_where_the_mouse_rests(panel, qtbot, places):
    guess = shown(panel, qtbot, places[0])
    line = dashes(panel)[0]
    inside = guess.mask.full(line.shape)
    assert (inside | ~line).all()  # the line is in the mask
    y, x = (round(v) for v in places[0])
    assert inside[y, x] and not line[y, x]
    assert guess.place == pytest.approx(np.array(places[0]) + 0.5)
    assert not panel.bridge.session.suggestions
    assert not panel.view.undo.isEnabled()
    assert not panel.view.add.isEnabled()


def test_moving_on_takes_it_away_at_once(panel, viewer, qtbot, places):
    shown(panel, qtbot, places[0])
    move(viewer, places[1])
    assert not dashes(panel).any()


def test_a_hand_that_trembles_does_not(panel, viewer, qtbot):
    place = np.array([33.0, 44.0])
    shown(panel, qtbot, place)
    move(viewer, place + 0.3)
    assert dashes(panel).any()


def test_leaving_the_canvas_takes_it_away(panel, viewer, qtbot, places):
    viewer.mouse_over_canvas = True
    shown(panel, qtbot, places[0])
    viewer.mouse_over_canvas = False
    assert not dashes(panel).any()


def test_leaving_the_slice_takes_it_away(panel, viewer, qtbot, places):
    shown(panel, qtbot, places[0])
    viewer.dims.set_current_step(0, 2)
    assert not dashes(panel).any()
    viewer.dims.set_current_step(0, 0)
    assert not dashes(panel).any()
    assert panel.hover.hovering.guess is None


def test_switching_it_off_takes_it_away(panel, qtbot, places):
    shown(panel, qtbot, places[0])
    panel.form.hover.value = False
    assert not dashes(panel).any()


def test_another_image_ends_it(panel, viewer, frames, qtbot, places):
    shown(panel, qtbot, places[0])
    viewer.add_image(frames[:2], name="another")
    assert panel.bridge.desk.image.name == "another"
    assert not dashes(panel).any()
    assert panel.hover.hovering.guess is None


def test_a_click_there_is_a_suggestion_as_usual(panel, viewer, qtbot, places):
    guess = shown(panel, qtbot, places[0])
    for callback in list(viewer.mouse_drag_callbacks):
        callback(viewer, None)
    assert not dashes(panel).any()
    session = panel.bridge.session
    panel.bridge.desk.prompts.points.add(np.array([[0, *places[0]]]))
    qtbot.waitUntil(
        lambda: any(one.mask for one in session.suggestions.values()), timeout=30_000
    )
    (one,) = session.suggestions.values()
    assert np.array_equal(one.mask.data, guess.mask.data)
    assert session.history.undo_text == "Add click"
    move(viewer, places[0])
    assert nothing_comes(panel, qtbot)


def test_only_a_click_that_would_begin_an_object_is_guessed(
    panel, viewer, qtbot, places
):
    session = panel.bridge.session
    panel.view.tools["box"].click()
    move(viewer, places[0])
    assert nothing_comes(panel, qtbot)
    panel.view.tools["click"].click()
    panel.view.signs[False].click()
    move(viewer, places[1])
    assert nothing_comes(panel, qtbot)
    panel.view.signs[True].click()
    panel.bridge.desk.prompts.points.add(np.array([[0, *places[0]]]))
    qtbot.waitUntil(
        lambda: any(one.mask for one in session.suggestions.values()), timeout=30_000
    )
    move(viewer, places[1])
    assert nothing_comes(panel, qtbot)  # a click would refine the one that is open
    panel.form.one_click.value = True
    move(viewer, places[2])
    qtbot.waitUntil(lambda: dashes(panel).any(), timeout=30_000)


def test_beside_the_image_nothing_is_asked(panel, viewer, qtbot):
    move(viewer, (-20, 30))
    assert nothing_comes(panel, qtbot)


def test_in_3d_nothing_is_asked(panel, viewer, qtbot, places):
    viewer.dims.ndisplay = 3
    move(viewer, places[0])
    assert nothing_comes(panel, qtbot)


def test_without_an_image_nothing_happens(panel, viewer, image, qtbot):
    viewer.layers.remove(image)
    move(viewer, (30, 30))
    qtbot.wait(2 * REST_MS)
    assert panel.hover.hovering.guess is None


def test_dashes_lie_below_everything_and_leave_no_trace(viewer, image):
    preview = Preview(viewer, image)
    yy, xx = np.ogrid[:96, :112]
    near, far = (
        Mask.from_array((yy - 40) ** 2 + (xx - x) ** 2 <= 144) for x in (50, 60)
    )
    preview.show((1,), [(near, True)])
    before = preview.layer.data.copy()
    for picture in (preview.guessing()(far), preview.guessing()(near)):
        preview.guess((1,), picture)
        changed = preview.layer.data != before
        assert np.isin(preview.layer.data[changed], DASHES).all()
        preview.guess((1,), None)
        assert np.array_equal(preview.layer.data, before)
    preview.guess((1,), preview.guessing()(far))
    preview.show((1,), [(near, True)])
    assert np.array_equal(preview.layer.data, before)
    preview.clear()
    preview.guess((2,), preview.guessing()(far))
    preview.clear()
    assert not preview.layer.data.any()
    preview.close()


@pytest.mark.parametrize("zoom", [0.2, 1.0, 30.0])
def test_dashes_are_an_outline_at_every_zoom(zoom):
    mask = Mask.from_array(np.ones((40, 60), bool), (-3, 20))
    picture, corner = outlines.dashed(mask, zoom)
    plane = np.zeros((96, 112), np.uint8)
    box = outlines.paste_below(plane, picture, corner)
    assert {*np.unique(plane)} == {0, *DASHES}
    assert plane[20, 50] == 0
    outlines.wipe_dashes(plane, box)
    assert not plane.any()


@pytest.mark.window
def test_with_a_real_mouse(person, frames, places):
    person.show(person.viewer.add_image(frames, name="nuclei"))
    person.until(lambda: person.session.prepared((0,)) is not None)
    panel = person.panel
    panel.form.hover.value = True
    QTest.mouseMove(person.canvas, person.at(*places[0]))
    person.until(lambda: dashes(panel).any())
    QTest.mouseMove(person.canvas, person.at(*places[1]))
    person.until(lambda: not dashes(panel).any())
    person.until(lambda: dashes(panel).any())
    guess = panel.hover.hovering.guess
    QApplication.sendEvent(person.canvas, QEvent(QEvent.Type.Leave))
    assert not dashes(panel).any()
    QApplication.sendEvent(person.canvas, QEvent(QEvent.Type.Enter))
    QTest.mouseMove(person.canvas, person.at(*places[0]))
    QTest.mouseMove(person.canvas, person.at(*places[1]))
    person.until(lambda: dashes(panel).any())
    person.click(*places[1])
    person.answered()
    (one,) = person.open_ones
    assert np.array_equal(one.mask.data, guess.mask.data)
    assert not dashes(panel).any()
