"""The section "What is complete", without a window, with real images and files."""

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_sam.live.values import Rule
from napari_sam.types import Mask
from napari_sam.widgets.segment.panel import Segment

LEFT = Qt.MouseButton.LeftButton
PLAIN = Qt.KeyboardModifier.NoModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
CHECKED = Qt.CheckState.Checked


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    """Keep what must not be lost where the test ends."""
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path / "home"))


def panel_of(viewer, qtbot):
    panel = Segment(viewer)
    qtbot.addWidget(panel)
    return panel


@pytest.fixture
def panel(viewer, image, qtbot, no_thread_is_left):
    panel = panel_of(viewer, qtbot)
    yield panel
    panel.end()


@pytest.fixture
def section(panel):
    return panel.complete


def label(panel, index, y=10, x=12, size=8):
    """Add an object, as an answer of the model would."""
    session = panel.bridge.session
    mask = Mask((y, x, y + size, x + size), np.ones((size, size), bool), 0.9)
    session.edit(session.store.add(index, mask, Rule.KEEP))


def draw(panel, qtbot, index, y0, x0, y1, x1, kind="rectangle"):
    """Draw a region as napari does when a person drags."""
    getattr(panel.complete, "rectangle" if kind == "rectangle" else "outline").click()
    layer = panel.bridge.standing._regions.layer
    assert str(layer.mode) == f"add_{kind}"
    count = layer.nshapes
    corners = [(y0, x0), (y0, x1), (y1, x1), (y1, x0)]
    layer.add([[*index, y - 0.5, x - 0.5] for y, x in corners], shape_type=kind)
    standing = panel.bridge.standing
    qtbot.waitUntil(lambda: len(standing.progress.regions) == count + 1, timeout=5000)
    assert layer.nshapes == count + 1
    return layer


def rows(section):
    listed = section.regions
    return [listed.item(row).text() for row in range(listed.count())]


def states(panel):
    return [panel.bridge.standing.progress.state((i,)) for i in range(4)]


def test_without_an_image_nothing_is_complete(qtbot, no_thread_is_left):
    panel = panel_of(ViewerModel(), qtbot)
    section = panel.complete
    for widget in (section.complete, section.next, section.rectangle, section.clear):
        assert not widget.isEnabled()
    assert section.here.text() == ""
    panel.bridge.standing.toggle()
    panel.bridge.standing.next_open()
    panel.bridge.standing.draw("rectangle")
    panel.end()


def test_a_slice_is_begun_with_its_first_object(panel, section, viewer):
    assert section.here.text() == "○ Slice 1 of 4: untouched"
    assert section.count.text() == "0 of 4 slices complete."
    label(panel, (0,))
    assert section.here.text() == "◐ Slice 1 of 4: in progress"
    viewer.dims.set_current_step(0, 2)
    assert section.here.text() == "○ Slice 3 of 4: untouched"
    assert states(panel) == ["in progress", *["untouched"] * 3]


def test_a_person_says_what_is_complete(panel, section, viewer):
    section.complete.click()
    assert section.here.text() == "● Slice 1 of 4: complete"
    assert section.count.text() == "1 of 4 slices complete."
    label(panel, (0,))
    assert section.complete.isChecked()
    viewer.dims.set_current_step(0, 1)
    assert not section.complete.isChecked()
    viewer.dims.set_current_step(0, 0)
    section.complete.click()
    assert section.here.text() == "◐ Slice 1 of 4: in progress"
    panel.bridge.actions()["complete"]()
    assert section.complete.isChecked()


def test_what_is_complete_is_taken_back_in_its_turn(panel, section, qtbot):
    bridge, view = panel.bridge, panel.view
    label(panel, (0,))
    section.complete.click()
    draw(panel, qtbot, (0,), 20, 30, 60, 70)
    layer = bridge.standing._regions.layer
    assert states(panel)[0] == "complete"
    assert view.undo.toolTip() == "Take back: regions were drawn (Ctrl+Z)"
    view.undo.click()
    assert bridge.standing.progress.regions == ()
    assert layer.nshapes == 0
    assert view.undo.toolTip() == "Take back: slice is complete (Ctrl+Z)"
    view.undo.click()
    assert states(panel)[0] == "in progress"
    assert not section.complete.isChecked()
    assert len(bridge.session.store.records) == 1
    view.undo.click()
    assert not bridge.session.store.records
    for _ in range(3):
        view.redo.click()
    assert section.complete.isChecked()
    (region,) = bridge.standing.progress.regions
    assert region.index == (0,)
    assert layer.nshapes == 1
    assert len(bridge.session.store.records) == 1


def test_the_next_slice_that_is_not_complete_comes_on_the_screen(
    panel, section, viewer
):
    for index in (0, 1, 3):
        viewer.dims.set_current_step(0, index)
        section.complete.click()
    section.next.click()
    assert viewer.dims.current_step[0] == 2
    section.next.click()
    assert viewer.dims.current_step[0] == 2
    assert "no other slice" in panel.view.notice.text()
    viewer.dims.set_current_step(0, 0)
    panel.bridge.actions()["next_open"]()
    assert viewer.dims.current_step[0] == 2


def test_slices_are_found_wherever_the_image_lies(viewer, frames, qtbot):
    viewer.add_image(np.zeros((2, 9, 40, 40), np.uint8), name="larger")
    viewer.add_image(frames, name="nuclei", scale=(2, 0.5, 0.5), translate=(3, 1, 1))
    panel = panel_of(viewer, qtbot)
    panel.complete.next.click()
    first = panel.bridge.desk.index
    panel.complete.next.click()
    second = panel.bridge.desk.index
    assert second == ((first[0] + 1) % 4,)
    panel.end()


def test_a_single_image_is_called_so(qtbot, frames, no_thread_is_left):
    viewer = ViewerModel()
    viewer.add_image(frames[0], name="one")
    panel = panel_of(viewer, qtbot)
    section = panel.complete
    assert section.here.text() == "○ This image: untouched"
    assert section.complete.text() == "This image is complete"
    assert section.next.isHidden()
    section.complete.click()
    assert section.here.text() == "● This image: complete"
    panel.end()


def test_a_region_is_drawn_where_the_image_is(panel, section, viewer, image, qtbot):
    image.scale = (1, 2, 2)
    layer = draw(panel, qtbot, (0,), 5, 6, 40, 50)
    assert (layer.name, tuple(layer.scale)) == ("nuclei: regions", (1, 2, 2))
    image.translate = (0, 7, 8)
    assert tuple(layer.translate) == (0, 7, 8)
    (region,) = panel.bridge.standing.progress.regions
    assert region.index == (0,)
    assert region.outline.min(0).tolist() == [5, 6]
    assert region.outline.max(0).tolist() == [40, 50]
    assert rows(section) == ["○ Region 1: untouched"]
    assert layer.features["says"].tolist() == ["Region 1: untouched"]
    assert float(layer.face_color[0][3]) == 0
    viewer.dims.set_current_step(0, 1)
    assert rows(section) == []
    assert viewer.layers.index(layer) < viewer.layers.index("nuclei: boxes")


def test_a_region_is_begun_by_an_object_in_it(panel, section, qtbot):
    label(panel, (0,), 50, 60)
    draw(panel, qtbot, (0,), 5, 6, 40, 50)
    draw(panel, qtbot, (0,), 40, 50, 90, 100, "polygon")
    assert rows(section) == ["○ Region 1: untouched", "◐ Region 2: in progress"]
    label(panel, (0,), 10, 12)
    assert rows(section)[0] == "◐ Region 1: in progress"


def test_a_region_is_complete_and_does_not_say_it_by_colour_alone(
    panel, section, qtbot
):
    layer = draw(panel, qtbot, (0,), 5, 6, 40, 50)
    draw(panel, qtbot, (0,), 50, 60, 90, 100)
    section.regions.item(1).setCheckState(CHECKED)
    assert rows(section) == ["○ Region 1: untouched", "● Region 2: complete"]
    assert layer.features["says"].tolist()[1] == "Region 2: complete ✓"
    assert layer.edge_width[1] > layer.edge_width[0]
    assert section.limited.text().startswith("2 regions here, 1 complete.")
    known = panel.bridge.standing.progress.known((0,))
    assert known[50:90, 60:100].all()
    assert known.sum() == 40 * 40


def test_a_complete_region_that_is_moved_is_in_progress_again(panel, section, qtbot):
    layer = draw(panel, qtbot, (0,), 5, 6, 40, 50)
    section.regions.item(0).setCheckState(CHECKED)
    layer.data = [layer.data[0] + (0, 10, 0)]
    qtbot.waitUntil(lambda: rows(section) == ["◐ Region 1: in progress"], timeout=5000)
    assert "was changed" in panel.view.notice.text()
    (region,) = panel.bridge.standing.progress.regions
    assert region.outline.min(0).tolist() == [15, 6]


def test_regions_are_deleted_with_naparis_own_key_and_with_ours(panel, section, qtbot):
    layer = draw(panel, qtbot, (0,), 5, 6, 40, 50)
    draw(panel, qtbot, (0,), 50, 60, 90, 100)
    section.regions.item(1).setCheckState(CHECKED)
    layer.selected_data = {0}
    layer.remove_selected()
    qtbot.waitUntil(lambda: len(rows(section)) == 1, timeout=5000)
    assert rows(section) == ["● Region 1: complete"]
    assert layer.features["says"].tolist() == ["Region 1: complete ✓"]
    section.clear.click()
    assert (rows(section), layer.nshapes) == ([], 0)
    assert not section.clear.isEnabled()


@pytest.mark.parametrize(
    ("corners", "kind", "says"),
    [
        ([(0, 200, 200), (0, 200, 220), (0, 230, 220)], "polygon", "on the image"),
        ([(0, 5, 5), (0, 50, 50)], "path", "needs a rectangle"),
        ([(0, 5, 5), (1, 5, 50), (1, 50, 50)], "polygon", "one slice"),
    ],
)
def test_what_cannot_be_a_region_is_said_and_taken_away(
    panel, section, qtbot, corners, kind, says
):
    layer = draw(panel, qtbot, (0,), 5, 6, 40, 50)
    layer.add(np.array(corners), shape_type=kind)
    qtbot.waitUntil(lambda: says in panel.view.notice.text(), timeout=5000)
    assert layer.nshapes == 1
    assert len(panel.bridge.standing.progress.regions) == 1


def test_closing_takes_the_layer_away_and_a_deleted_one_comes_back(
    panel, section, viewer, qtbot
):
    layer = draw(panel, qtbot, (0,), 5, 6, 40, 50)
    viewer.layers.remove(layer)
    section.rectangle.click()
    assert layer in viewer.layers
    assert layer.nshapes == 1
    panel.end()
    assert layer not in viewer.layers


def test_it_is_known_again_when_the_panel_is_opened_again(panel, viewer, qtbot):
    label(panel, (0,))
    label(panel, (1,))
    panel.complete.complete.click()
    draw(panel, qtbot, (0,), 5, 6, 40, 50)
    panel.end()
    again = panel_of(viewer, qtbot)
    qtbot.waitUntil(lambda: bool(again.bridge.session.store.records), timeout=20_000)
    assert states(again)[:2] == ["complete", "in progress"]
    assert rows(again.complete) == ["◐ Region 1: in progress"]
    again.end()


def test_objects_in_another_layer_are_complete_by_themselves(panel, viewer, qtbot):
    label(panel, (0,))
    panel.complete.complete.click()
    ours = panel.bridge.desk.labels.layer
    other = viewer.add_labels(np.zeros_like(ours.data), name="other")
    other.data[2, 5:9, 5:9] = 3
    panel.bridge.places.write_to(other)
    qtbot.waitUntil(lambda: panel.bridge.desk.labels.layer is other, timeout=20_000)
    assert states(panel) == ["untouched", "untouched", "in progress", "untouched"]
    panel.bridge.places.write_to(ours)
    qtbot.waitUntil(lambda: panel.bridge.desk.labels.layer is ours, timeout=20_000)
    assert states(panel) == ["complete", *["untouched"] * 3]


def restored(frames, qtbot):
    """Open the image in another viewer, and bring back what was not saved."""
    viewer = ViewerModel()
    panel = panel_of(viewer, qtbot)
    viewer.add_image(frames, name="nuclei")
    viewer.dims.set_current_step(0, 0)
    qtbot.waitUntil(lambda: not panel.left.isHidden(), timeout=20_000)
    offered = panel.left.text
    panel.left.buttons["Restore"].click()
    qtbot.waitUntil(lambda: panel.bridge.desk.labels is not None, timeout=20_000)
    return panel, offered


def test_it_survives_with_the_objects(panel, frames, qtbot):
    label(panel, (0,))
    label(panel, (2,))
    panel.complete.complete.click()
    draw(panel, qtbot, (0,), 5, 6, 40, 50)
    panel.end()
    again, _ = restored(frames, qtbot)
    assert states(again) == ["complete", "untouched", "in progress", "untouched"]
    assert rows(again.complete) == ["◐ Region 1: in progress"]
    again.complete.complete.click()
    again.end()
    third, _ = restored(frames, qtbot)
    assert states(third)[0] == "in progress"
    third.end()


def test_it_survives_without_any_object(panel, frames, qtbot):
    qtbot.waitUntil(lambda: bool(panel.bridge.keeper._print), timeout=20_000)
    panel.complete.complete.click()
    assert panel.bridge.keeper.unsaved == 1
    assert panel.view.save.isEnabled()
    panel.end()
    again, offered = restored(frames, qtbot)
    assert "what is complete" in offered
    assert states(again) == ["complete", *["untouched"] * 3]
    again.end()


def test_an_object_taken_back_is_no_work_to_offer(panel, frames, qtbot):
    label(panel, (0,))
    panel.bridge.undo()
    panel.end()
    viewer = ViewerModel()
    again = panel_of(viewer, qtbot)
    viewer.add_image(frames, name="nuclei")
    qtbot.waitUntil(lambda: bool(again.bridge.keeper._print), timeout=20_000)
    assert again.left.isHidden()
    again.end()


def drag(person, *places):
    QTest.mousePress(person.canvas, LEFT, PLAIN, person.at(*places[0]), 30)
    for place in places[1:]:
        QTest.qWait(30)
        at = person.at(*place)
        there = QPointF(person.canvas.mapToGlobal(at))
        moved = QEvent.Type.MouseMove
        none = Qt.MouseButton.NoButton
        event = QMouseEvent(moved, QPointF(at), there, none, LEFT, PLAIN)
        QApplication.sendEvent(person.canvas, event)
    QTest.mouseRelease(person.canvas, LEFT, PLAIN, person.at(*places[-1]), 30)


@pytest.mark.window
def test_with_mouse_and_keys(person, frames):
    person.show(person.viewer.add_image(frames, name="nuclei"))
    section = person.panel.complete
    person.click(33.2, 44.2)
    person.answered()
    person.press(Qt.Key.Key_Return)
    person.until(lambda: section.here.text() == "◐ Slice 1 of 4: in progress")
    section.rectangle.click()
    drag(person, (10, 12), (30, 40), (60, 70))
    person.until(lambda: rows(section) == ["◐ Region 1: in progress"])
    (region,) = person.bridge.standing.progress.regions
    np.testing.assert_allclose(region.outline.min(0), (10.5, 12.5), atol=0.6)
    np.testing.assert_allclose(region.outline.max(0), (60.5, 70.5), atol=0.6)
    person.press(Qt.Key.Key_C, SHIFT)  # while the regions' layer is selected
    assert section.here.text() == "● Slice 1 of 4: complete"
    person.press(Qt.Key.Key_N, SHIFT)
    assert section.here.text() == "○ Slice 2 of 4: untouched"
    person.panel.view.tools["click"].click()
    person.press(Qt.Key.Key_C, SHIFT)
    assert section.count.text() == "2 of 4 slices complete."
    section.outline.click()
    for place in ((5, 5), (5, 60), (50, 60)):
        person.click(*place)
    person.press(Qt.Key.Key_Escape)
    person.until(lambda: len(rows(section)) == 1)
    assert person.bridge.standing.progress.regions[1].area.kind == "polygon"


def test_save_says_what_is_not_background(panel, qtbot, monkeypatch, tmp_path):
    dialog = (
        "napari_sam.widgets.segment.sections.saving.QFileDialog.getExistingDirectory"
    )
    monkeypatch.setattr(dialog, lambda *_: str(tmp_path / "out"))
    label(panel, (0,))
    label(panel, (1,))
    panel.complete.complete.click()
    panel.view.save.click()
    qtbot.waitUntil(
        lambda: "known/nuclei.tif says where" in panel.view.notice.text(), timeout=9000
    )
    known = tifffile.imread(tmp_path / "out" / "known" / "nuclei.tif")
    labels = tifffile.imread(tmp_path / "out" / "labels" / "nuclei.tif")
    assert known.shape == labels.shape
    assert known[0].all()
    assert np.array_equal(known[1:] == 1, labels[1:] > 0)
    assert labels[1:].any()
