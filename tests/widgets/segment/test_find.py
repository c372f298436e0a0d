"""The section "Find all objects", without a window, with the real built-in model."""

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog

from napari_sam.live.proposals.found import State, Tally
from napari_sam.live.values import Rule
from napari_sam.models.pocket.model import PocketModel
from napari_sam.records.sa1b import read_sa1b
from napari_sam.widgets.segment.panel import Segment
from napari_sam.widgets.segment.sections import find_words as words
from napari_sam.widgets.segment.sections.find_where import Choice


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    """Keep what must not be lost where the test ends."""
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path / "home"))


@pytest.fixture
def panel(viewer, image, qtbot, no_thread_is_left):
    panel = Segment(viewer)
    qtbot.addWidget(panel)
    yield panel
    panel.end()


@pytest.fixture
def find(panel):
    return panel.find


@pytest.fixture
def found(find, qtbot):
    find.start.click()
    finder = find._bridge.finder
    qtbot.waitUntil(lambda: finder.state.phase == "found", timeout=60_000)
    return finder


def drawn(panel):
    return np.count_nonzero(panel.bridge.desk.preview.layer.data)


def test_without_an_image_nothing_can_be_found(panel, viewer, image):
    viewer.layers.remove(image)
    assert not panel.find.start.isEnabled()
    assert not panel.find.add.isEnabled()


def test_it_shows_what_it_finds(panel, find, found):
    count = len(found.found.objects)
    assert count > 5
    assert find.says.text() == f"{count} objects."
    assert find.add.text() == f"Add all {count}"
    assert find.add.isEnabled()
    assert find.drop.isEnabled()
    assert not find.cancel.isEnabled()
    assert find.start.text() == "Find on this slice"
    preview = panel.bridge.desk.preview.layer.data[0]
    for mask in found.found.masks:
        assert preview[mask.slices][mask.data].all()


def test_the_preview_is_drawn_once(panel, viewer, found, find, qtbot):
    updates = []
    panel.bridge.desk.preview.layer.events.set_data.connect(updates.append)
    everything = drawn(panel)
    find.border.value = False
    before = found.found
    qtbot.waitUntil(lambda: found.found is not before, timeout=10_000)
    assert 0 < drawn(panel) < everything
    assert len(updates) == 1


def test_controls_filter_without_a_model(find, found, qtbot, monkeypatch):
    def never(*_, **__):
        raise AssertionError

    monkeypatch.setattr(PocketModel, "encode", never)
    monkeypatch.setattr(PocketModel, "decode", never)
    for widget, value in (
        (find.confidence, 0.9),
        (find.stability, 0.9),
        (find.smallest.box, 5000),
        (find.largest.box, 2),
        (find.border, False),
    ):
        usual, all_of_them = widget.value, found.found
        widget.value = value
        qtbot.waitUntil(lambda old=all_of_them: found.found is not old, timeout=10_000)
        fewer = found.found
        assert len(fewer.objects) < len(all_of_them.objects)
        if not fewer.objects:
            assert "No object is left" in find.says.text()
            assert not find.add.isEnabled()
        widget.value = usual
        qtbot.waitUntil(lambda old=fewer: found.found is not old, timeout=10_000)
        assert len(found.found.objects) == len(all_of_them.objects)


def test_add_makes_objects_of_all_in_one_step(panel, find, found):
    masks = found.found.masks
    find.add.click()
    session = panel.bridge.session
    layer = panel.bridge.desk.labels.layer
    assert len(np.unique(layer.data[0])) - 1 == len(masks)
    assert not layer.data[1:].any()
    assert not drawn(panel)
    assert f"{len(masks)} objects added." in panel.view.notice.text()
    assert panel.view.undo.toolTip() == f"Take back: add {len(masks)} objects (Ctrl+Z)"
    panel.view.undo.click()
    assert not layer.data.any()
    assert not session.history.can_undo
    panel.view.redo.click()
    assert len(session.store.records) == len(masks)


def test_what_is_there_already_is_said(panel, find, found):
    session = panel.bridge.session
    first = found.found.masks[0]
    session.edit(session.store.add((0,), first, Rule.KEEP))
    find.add.click()
    assert "1 was left out: it lies on" in panel.view.notice.text()


def test_drop_takes_the_outlines_away(panel, find, found):
    assert drawn(panel)
    find.drop.click()
    assert not drawn(panel)
    assert find.says.text() == ""
    assert not find.add.isEnabled()
    assert not panel.bridge.session.history.can_undo


def test_outlines_stay_on_their_slice(panel, find, found, viewer):
    everything = drawn(panel)
    viewer.dims.set_current_step(0, 2)
    assert not drawn(panel)
    assert "on another slice" in find.says.text()
    viewer.dims.set_current_step(0, 0)
    assert drawn(panel) == everything


def test_clicks_go_on_beside_what_was_found(panel, found, qtbot):
    everything = drawn(panel)
    session, desk = panel.bridge.session, panel.bridge.desk
    place = (
        np.argwhere(found.found.masks[0].data).mean(0) + found.found.masks[0].box[:2]
    )
    desk.prompts.points.add(np.array([[0, *place]]))
    qtbot.waitUntil(
        lambda: any(one.mask for one in session.suggestions.values()), timeout=30_000
    )
    assert drawn(panel) >= everything - 20
    session.drop()
    assert drawn(panel) == everything
    assert len(found.found.objects)


def test_another_image_ends_it(panel, find, found, viewer, image):
    viewer.layers.remove(image)
    assert found.found is None
    assert find.says.text() == ""


def test_cancel_ends_a_search(panel, find, qtbot):
    session, finder = panel.bridge.session, panel.bridge.finder
    qtbot.waitUntil(lambda: session.status.phase == "ready", timeout=60_000)
    find.detector.value = "everything"
    find.start.click()
    qtbot.waitUntil(lambda: finder.state.phase == "searching", timeout=60_000)
    assert not find.start.isEnabled()
    assert find.cancel.isEnabled()
    find.cancel.click()
    assert find.says.text() == "Stopped."
    assert find.start.isEnabled()
    assert finder.found is None


def test_closing_the_dock_ends_a_search(panel, find):
    find.start.click()
    panel.end()
    assert panel.bridge.finder.state.phase == "nothing"


@pytest.mark.parametrize(
    ("count", "refused", "text"),
    [
        (3, [], "3 objects added."),
        (1, ["x"], "1 object added. 1 was left out: it lies on"),
        (0, ["x", "y"], "0 objects added. 2 were left out: they lie on"),
        (2, ["it has no number above 255"], "1 found no room. It has no number"),
    ],
)
def test_what_was_added_is_said(count, refused, text):
    assert text in words.added(count, refused)


def searched(find, qtbot):
    finder = find._bridge.finder
    qtbot.waitUntil(lambda: finder.state.phase == "found", timeout=60_000)
    return finder


def test_all_slices_are_found_and_added_in_one_step(panel, find, viewer, qtbot):
    viewer.dims.set_current_step(0, 1)
    find.where.value = Choice.ALL
    assert find.start.text() == "Find on all 4 slices"
    find.start.click()
    finder = searched(find, qtbot)
    here, total = len(finder.found.objects), finder.total.objects
    assert finder.found.index == (1,)
    assert 0 < here < total
    assert find.says.text() == f"{total} objects on 4 slices, {here} on this slice."
    assert find.add.text() == f"Add all {total}"
    preview = panel.bridge.desk.preview.layer
    for step in (3, 0):
        viewer.dims.set_current_step(0, step)
        qtbot.waitUntil(lambda at=step: finder.found.index == (at,), timeout=10_000)
        for mask in finder.found.masks:
            assert preview.data[0][mask.slices][mask.data].all()
    find.border.value = False
    qtbot.waitUntil(lambda: finder.counted, timeout=10_000)
    assert 0 < finder.total.objects < total
    find.border.value = True
    qtbot.waitUntil(lambda: finder.counted, timeout=10_000)
    find.add.click()
    qtbot.waitUntil(lambda: finder.state.phase == "nothing", timeout=20_000)
    layer = panel.bridge.desk.labels.layer
    assert f"{total} objects added." in panel.view.notice.text()
    assert len(np.unique(layer.data)) - 1 == total
    assert all(plane.any() for plane in layer.data)
    panel.view.undo.click()
    assert not layer.data.any()
    assert not panel.bridge.session.history.can_undo


def test_cancel_keeps_what_was_found(panel, find, qtbot):
    find.where.value = Choice.ALL
    find.start.click()
    finder = find._bridge.finder
    qtbot.waitUntil(lambda: finder.searched == 2, timeout=60_000)
    assert "Looking for objects: slice 3 of 4, " in find.says.text()
    find.cancel.click()
    total = finder.total.objects
    assert find.says.text() == f"Stopped. {total} objects on 2 slices."
    assert find.add.text() == f"Add all {total}"


def test_records_are_saved(panel, find, found, qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr(
        QFileDialog, "getExistingDirectory", lambda *_, **__: str(tmp_path)
    )
    count = len(found.found.objects)
    find.save.click()
    qtbot.waitUntil(
        lambda: f"{count} objects saved in" in panel.view.notice.text(), timeout=10_000
    )
    (file,) = (tmp_path / "sa1b" / "nuclei").iterdir()
    assert len(read_sa1b(file).masks) == count
    find.save.click()
    qtbot.waitUntil(
        lambda: "is there already" in panel.view.notice.text(), timeout=10_000
    )


def test_the_selected_shape_limits_it(panel, find, viewer, qtbot):
    find.where.value = Choice.SHAPE
    assert find.start.text() == "Find in the shape"
    find.start.click()
    assert "Select a rectangle" in panel.view.notice.text()
    shapes = viewer.add_shapes(
        [np.array([(0, 0), (0, 60), (50, 60), (50, 0)])],
        shape_type="rectangle",
        scale=(1, 1),
    )
    shapes.selected_data = {0}
    find.start.click()
    finder = searched(find, qtbot)
    assert 0 < len(finder.found.objects)
    for mask in finder.found.masks:
        y, x = np.nonzero(mask.full((96, 112)))
        assert ((y < 51) & (x < 61)).mean() > 0.5
    shapes.data = [np.array([(500, 500), (500, 600), (600, 600), (600, 500)])]
    shapes.selected_data = {0}
    find.start.click()
    assert "beside the image" in panel.view.notice.text()


def test_a_single_image_has_no_other_slices(find, viewer, image, frames):
    viewer.layers.remove(image)
    viewer.add_image(frames[0], name="one")
    assert Choice.ALL not in find.where.choices
    assert find.start.text() == "Find on this image"


@pytest.mark.parametrize(
    ("state", "counted", "text"),
    [
        (
            State("searching", done=6, total=40),
            True,
            "Looking for objects: slice 7 of 40, about 2 min left. 90 objects so far.",
        ),
        (State("adding", done=1, total=4), True, "Adding: slice 2 of 4, about 60 s"),
        (State("found", total=40), False, "About 90 objects on 6 slices, 3 on this"),
        (State("stopped"), True, "Stopped. 90 objects on 6 slices."),
        (State("failed", error="the disk is gone"), True, "kept: 90 objects on 6"),
    ],
)
def test_how_far_it_is_on_a_stack(state, counted, text):
    said = words.finding_all(
        state, Tally(90, 200), 6, 20.0, "Z", here=3, counted=counted
    )
    assert text in said
