"""What was saved is opened again, and worked on."""

import json

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QMessageBox

from napari_sam.live.values import Mark, PlaneMarks, Rule
from napari_sam.types import Mask
from napari_sam.widgets.segment.panel import Segment

SAVING = "napari_sam.widgets.segment.sections.saving"


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    """Keep what must not be lost where the test ends."""
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path / "home"))


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Choose this folder, whatever is asked for."""
    place = tmp_path / "out"
    dialog = f"{SAVING}.QFileDialog.getExistingDirectory"
    monkeypatch.setattr(dialog, lambda *_: str(place))
    return place


def open_panel(qtbot, pixels, name="nuclei"):
    viewer = ViewerModel()
    viewer.add_image(pixels, name=name)
    viewer.dims.set_current_step(0, 0)
    panel = Segment(viewer)
    qtbot.addWidget(panel)
    qtbot.waitUntil(lambda: bool(panel.bridge.keeper._print), timeout=20_000)
    return panel


def reads(panel, qtbot, words):
    qtbot.waitUntil(lambda: words in panel.view.notice.text(), timeout=20_000)


@pytest.fixture
def saved(qtbot, frames, folder, no_thread_is_left):
    """Save two objects, one of which was clicked; the first slice is complete."""
    panel = open_panel(qtbot, frames)
    session = panel.bridge.session
    click = PlaneMarks((0,), (Mark("click", np.array([[14, 16]], np.float32)),))
    mask = Mask((10, 12, 18, 20), np.ones((8, 8), bool), 0.9)
    session.edit(session.store.add((0,), mask, Rule.KEEP, class_id=3, prompts=(click,)))
    session.edit(session.store.add((2,), mask, Rule.KEEP, source="detector"))
    panel.complete.complete.click()
    panel.view.save.click()
    reads(panel, qtbot, "2 objects saved in")
    labels = session.store.labels.copy()
    panel.end()
    return labels


def test_what_was_saved_is_opened(saved, frames, qtbot):
    panel = open_panel(qtbot, frames)
    panel.view.load.click()
    reads(panel, qtbot, "2 objects opened from")
    layer, store = panel.bridge.desk.labels.layer, panel.bridge.session.store
    np.testing.assert_array_equal(layer.data, saved)
    assert store.labels is layer.data
    assert [(r.class_id, r.source) for r in store.records.values()] == [
        (3, "person"),
        (0, "detector"),
    ]
    (marks,) = store.records[1].prompts
    assert marks.marks[0].vertices.tolist() == [[14, 16]]
    assert panel.complete.here.text() == "● Slice 1 of 4: complete"
    assert panel.bridge.standing.progress.state((2,)) == "in progress"
    assert panel.view.count.text().startswith("2 objects in the layer")
    assert panel.bridge.keeper.unsaved == 0
    panel.end()


def test_work_goes_on_with_it_and_is_kept(saved, frames, qtbot, folder, monkeypatch):
    panel = open_panel(qtbot, frames)
    panel.view.load.click()
    reads(panel, qtbot, "2 objects opened from")
    session = panel.bridge.session
    mask = Mask((40, 40, 50, 50), np.ones((10, 10), bool), 0.9)
    session.edit(session.store.add((1,), mask, Rule.KEEP))
    assert sorted(session.store.records) == [1, 2, 3]
    assert panel.bridge.keeper.unsaved == 1
    panel.end()
    later = open_panel(qtbot, frames)
    qtbot.waitUntil(lambda: not later.left.isHidden(), timeout=20_000)
    assert "3 objects" in later.left.text
    later.left.buttons["Restore"].click()
    qtbot.waitUntil(lambda: later.bridge.desk.labels is not None, timeout=20_000)
    assert later.bridge.standing.progress.complete == 1
    monkeypatch.setattr(
        f"{SAVING}.QMessageBox.question", lambda *_: QMessageBox.StandardButton.Save
    )
    later.view.save.click()
    reads(later, qtbot, "3 objects saved in")
    later.end()


def test_objects_that_are_there_stay_in_their_layer(saved, frames, qtbot):
    panel = open_panel(qtbot, frames)
    session = panel.bridge.session
    mask = Mask((40, 40, 50, 50), np.ones((10, 10), bool), 0.9)
    session.edit(session.store.add((1,), mask, Rule.KEEP))
    before = panel.bridge.desk.labels.layer
    panel.view.load.click()
    reads(panel, qtbot, "2 objects opened from")
    after = panel.bridge.desk.labels.layer
    assert after is not before
    assert (before.data[1] == 1).sum() == 100
    panel.bridge.places.write_to(before)
    qtbot.waitUntil(lambda: panel.bridge.desk.labels.layer is before, timeout=20_000)
    assert len(session.store.records) == 1
    panel.end()


def test_a_folder_of_another_image_is_refused(saved, frames, qtbot):
    panel = open_panel(qtbot, frames[:, :60])
    panel.view.load.click()
    reads(panel, qtbot, "they are of another image")
    assert panel.bridge.desk.labels is None
    panel.end()


@pytest.mark.parametrize("answer", ["Open", "Cancel"])
def test_other_pixels_of_the_same_shape_are_asked_about(
    saved, frames, qtbot, monkeypatch, answer
):
    asked = []

    def question(parent, title, text, *_):
        asked.append(text)
        return getattr(QMessageBox.StandardButton, answer)

    monkeypatch.setattr(f"{SAVING}.QMessageBox.question", question)
    panel = open_panel(qtbot, frames[::-1], "others")
    panel.view.load.click()
    opened = answer == "Open"
    reads(panel, qtbot, "2 objects opened" if opened else "Nothing was opened")
    (text,) = asked
    assert "“nuclei”" in text
    assert (panel.bridge.desk.labels is not None) == opened
    panel.end()


def test_a_folder_without_saved_objects_is_said(frames, folder, qtbot):
    folder.mkdir()
    panel = open_panel(qtbot, frames)
    panel.view.load.click()
    reads(panel, qtbot, "holds no saved labels")
    panel.end()


def test_nothing_is_opened_where_no_folder_is_chosen(frames, qtbot, monkeypatch):
    dialog = f"{SAVING}.QFileDialog.getExistingDirectory"
    monkeypatch.setattr(dialog, lambda *_: "")
    panel = open_panel(qtbot, frames)
    panel.view.load.click()
    assert panel.bridge.desk.labels is None
    panel.end()


def test_without_an_image_there_is_nothing_to_open(qtbot):
    panel = Segment(ViewerModel())
    qtbot.addWidget(panel)
    assert not panel.view.load.isEnabled()
    panel.end()


def test_how_the_image_was_seen_is_saved_and_is_so_again(frames, folder, qtbot):
    panel = open_panel(qtbot, frames)
    nuclei = panel._viewer.layers["nuclei"]
    other = panel._viewer.add_image(frames[:, ::-1], name="mirrored")
    panel.form.image.value = nuclei
    session, seeing = panel.bridge.session, panel.seeing
    qtbot.waitUntil(lambda: bool(panel.bridge.keeper._print), timeout=20_000)
    mask = Mask((10, 12, 18, 20), np.ones((8, 8), bool), 0.9)
    session.edit(session.store.add((0,), mask, Rule.KEEP))
    seeing.contrast.value = "shown"
    nuclei.contrast_limits, other.contrast_limits = (300, 9000), (0, 8000)
    seeing.second.value = other
    seeing.diameter.pixels = 14.0
    assert seeing.settle() == ""
    panel.view.save.click()
    reads(panel, qtbot, "1 object saved in")
    panel.end()

    panel = open_panel(qtbot, frames)
    panel.view.load.click()
    reads(panel, qtbot, "seen together with “mirrored”: open that, too")
    assert panel.bridge.session.source.diameter == 14
    panel._viewer.add_image(frames[:, ::-1], name="mirrored")
    panel.form.image.value = panel._viewer.layers["nuclei"]
    panel.view.load.click()
    reads(panel, qtbot, "1 object opened from")
    source = panel.bridge.session.source
    # napari shows them otherwise now, so the intensities are those of then.
    assert panel.seeing.contrast.value == "fixed"
    assert source.ranges == ((300.0, 9000.0), (0.0, 8000.0))
    assert len(source.others) == 1
    assert panel.seeing.seen.channels == ("mirrored",)
    panel.end()


def test_a_folder_of_an_older_version_opens_as_before(saved, frames, folder, qtbot):
    text = json.loads((folder / "prompts.json").read_text())
    del text["state"]["seen"]
    (folder / "prompts.json").write_text(json.dumps(text))
    panel = open_panel(qtbot, frames)
    panel.seeing.contrast.value = "plane"
    panel.view.load.click()
    reads(panel, qtbot, "2 objects opened from")
    np.testing.assert_array_equal(panel.bridge.session.store.labels, saved)
    assert panel.bridge.session.source.mode == "plane"
    text["state"]["seen"] = {"contrast": "of tomorrow"}
    (folder / "prompts.json").write_text(json.dumps(text))
    panel.view.load.click()
    reads(panel, qtbot, "2 objects opened from")
    panel.end()
