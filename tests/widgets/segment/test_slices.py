"""The section "Prepared slices", with the real built-in model and real files."""

from dataclasses import replace

import napari
import numpy as np
import pytest

from napari_sam.live.prompting.preparing import PreparingState
from napari_sam.models.cache import EmbeddingCache
from napari_sam.models.pocket.model import PocketModel
from napari_sam.widgets.segment.panel import Segment
from napari_sam.widgets.segment.sections import slices
from napari_sam.widgets.segment.sections import slices_words as words

NUCLEUS = (33, 44)


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """Keep everything where the test ends."""
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path / "kept"))
    # On a busy machine the small model, too, is slow enough to be kept unasked.
    monkeypatch.setattr(slices, "_LEAST", float("inf"))
    return tmp_path / "kept"


@pytest.fixture
def encoded(monkeypatch):
    """Count how often the real encoder runs."""
    calls, look = [], PocketModel._look

    def looked(model, view):
        calls.append(view)
        return look(model, view)

    monkeypatch.setattr(PocketModel, "_look", looked)
    return calls


@pytest.fixture
def open_panel(qtbot):
    opened = []

    def open_one(viewer):
        panel = Segment(viewer)
        qtbot.addWidget(panel)
        opened.append(panel)
        qtbot.waitUntil(lambda: panel.bridge.session.model is not None, timeout=60_000)
        return panel

    yield open_one
    for panel in opened:
        with panel.slices.keep.changed.blocked():
            panel.slices.keep.value = True
        panel.slices._chosen()  # the next test finds what everybody finds
        panel.end()


@pytest.fixture
def panel(image, viewer, open_panel):
    return open_panel(viewer)


def files(folder):
    return list(folder.rglob("*.zarr.zip"))


def prepare_all(panel, qtbot):
    panel.slices.prepare.click()
    preparing = panel.bridge.preparing
    qtbot.waitUntil(lambda: not preparing.state.busy, timeout=60_000)


def clicked(panel, qtbot):
    session = panel.bridge.session
    panel.bridge.desk.prompts.points.add((0, *NUCLEUS))
    qtbot.waitUntil(
        lambda: (
            bool(session.suggestions)
            and not any(one.waiting for one in session.suggestions.values())
        ),
        timeout=60_000,
    )
    (one,) = session.suggestions.values()
    return one.mask


def shown(panel, qtbot):
    """Show the section as somebody does who opens it."""
    panel.slices._measure()
    qtbot.waitUntil(lambda: bool(panel.slices.disk.text()), timeout=10_000)
    return panel.slices.disk.text()


def test_all_slices_are_prepared(panel, qtbot, folder, frames):
    assert panel.slices.prepare.text() == "Prepare all 4 slices"
    prepare_all(panel, qtbot)
    assert panel.slices.says.text() == "All 4 slices are prepared now."
    assert len(files(folder)) == 4
    prepare_all(panel, qtbot)
    assert panel.slices.says.text() == "All 4 slices were prepared before."


def test_the_first_click_after_opening_again_encodes_nothing(
    panel, viewer, qtbot, open_panel, encoded, frames
):
    prepare_all(panel, qtbot)
    mask = clicked(panel, qtbot)
    panel.end()
    encoded.clear()
    other = napari.components.ViewerModel()
    other.add_image(frames.copy(), name="opened again")
    other.dims.set_point(0, 0)
    again = clicked(open_panel(other), qtbot)
    assert encoded == []
    np.testing.assert_array_equal(again.data, mask.data)
    assert again.box == mask.box


def test_stacks_of_more_axes_are_prepared(viewer, qtbot, open_panel, folder, frames):
    viewer.add_image(np.stack([frames, frames[:, ::-1]])[:, :3])
    panel = open_panel(viewer)
    assert panel.slices.prepare.text() == "Prepare all 6 slices"
    prepare_all(panel, qtbot)
    assert len(files(folder)) == 6


def test_slices_without_contrast_are_passed_over(
    viewer, qtbot, open_panel, folder, frames
):
    dark = frames.copy()
    dark[2] = 0
    viewer.add_image(dark)
    panel = open_panel(viewer)
    prepare_all(panel, qtbot)
    assert panel.bridge.preparing.state.phase == "done"
    assert len(files(folder)) == 3


def test_preparing_is_cancelled_at_once_and_clicks_go_first(
    viewer, qtbot, open_panel, folder, frames
):
    viewer.add_image(np.concatenate([frames + np.uint8(n) for n in range(25)]))
    viewer.dims.set_point(0, 0)
    panel = open_panel(viewer)
    panel.slices.prepare.click()
    assert panel.slices.cancel.isVisibleTo(panel.slices)
    state = panel.bridge.preparing.state
    qtbot.waitUntil(lambda: panel.bridge.preparing.state.done > 0, timeout=60_000)
    assert clicked(panel, qtbot).area
    assert panel.bridge.preparing.state.busy
    assert "about" in panel.slices.says.text()
    panel.slices.cancel.click()
    state = panel.bridge.preparing.state
    assert state.phase == "stopped"
    assert panel.slices.says.text().startswith("Stopped.")
    assert not panel.slices.cancel.isVisibleTo(panel.slices)
    qtbot.waitUntil(lambda: panel.bridge.preparing._lane.idle, timeout=10_000)
    assert state.done <= len(files(folder)) < 100


def test_another_image_stops_it(viewer, image, qtbot, open_panel, frames):
    viewer.add_image(np.concatenate([frames] * 25), name="long")
    panel = open_panel(viewer)
    panel.form.image.value = viewer.layers["long"]
    panel.slices.prepare.click()
    panel.form.image.value = image
    assert panel.bridge.preparing.state.phase == "stopped"
    assert panel.slices.says.text() == ""
    assert panel.slices.prepare.text() == "Prepare all 4 slices"


def test_what_is_kept_is_shown_and_can_be_removed(panel, qtbot, folder):
    assert "On this disk: 0 of" in shown(panel, qtbot)
    assert not panel.slices.empty.isEnabled()
    prepare_all(panel, qtbot)
    panel.slices.disk.setText("")
    said = shown(panel, qtbot)
    assert "On this disk: 0 of" not in said
    assert str(folder) in said
    assert panel.slices.memory.text().endswith("of 1.5 GB.")
    panel.slices.empty.click()
    qtbot.waitUntil(lambda: "On this disk: 0 of" in panel.slices.disk.text())
    assert files(folder) == []


def test_nothing_is_kept_where_nobody_wants_it(panel, qtbot, folder, open_panel):
    panel.slices.keep.value = False
    assert not panel.slices.prepare.isEnabled()
    assert not panel.slices.empty.isEnabled()
    assert panel.bridge.session.model.cache is None
    other = open_panel(napari.components.ViewerModel())
    assert not other.slices.keep.value  # it is remembered
    assert clicked(panel, qtbot).area
    assert not folder.exists()


def test_a_limit_that_is_too_small_is_said(panel, qtbot):
    cache = panel.bridge.session.model.cache
    cache.limit = 400_000
    prepare_all(panel, qtbot)
    assert panel.bridge.preparing.state.phase == "failed"
    assert "raise the limit" in panel.slices.says.text()
    assert clicked(panel, qtbot).area


def test_a_folder_that_cannot_be_used_is_said_once(panel, qtbot, folder):
    folder.write_text("a file")
    panel.bridge.session.model.cache.least = 0.0
    panel.bridge.session.look_at((1,))
    panel.bridge.session.look_at((2,))
    notice = panel.view.notice
    qtbot.waitUntil(lambda: "cannot be kept there" in notice.text(), timeout=60_000)
    assert notice.text().endswith("Work goes on without")
    assert clicked(panel, qtbot).area
    assert folder.read_text() == "a file"


def test_what_is_written_is_on_the_disk_when_the_widget_is_closed(panel, folder, qtbot):
    panel.bridge.session.model.cache.least = 0.0
    panel.bridge.session.look_at((3,))
    qtbot.waitUntil(lambda: (3,) in panel.bridge.session._planes.kept, timeout=60_000)
    cache = panel.bridge.session.model.cache
    panel.end()
    qtbot.waitUntil(lambda: len(files(folder)) > 0, timeout=10_000)
    assert EmbeddingCache().nbytes > 0
    assert not cache.problem


def test_how_long_it_takes_is_told_by_what_was_new():
    state = PreparingState("preparing", done=30, total=50, there=20, begun=100.0)
    assert state.seconds_left(120.0) == 40.0
    assert PreparingState("preparing", 20, 50, 20).seconds_left(9.0) is None
    said = words.preparing(state, 120.0, "Z")
    assert said == "Preparing: 30 of 50 slices, about 40 s left."
    done = replace(state, phase="done", done=50)
    said = words.preparing(done, 120.0, "Z")
    assert said == "All 50 slices are prepared: 30 now, the others before."
    one = PreparingState("done", done=1, total=1)
    assert words.preparing(one, 0.0, "") == "This image is prepared now."
