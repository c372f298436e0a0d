"""The widget with a viewer that has no window, and the real built-in model."""

import subprocess
import sys

import numpy as np
import pytest
from napari.layers import Labels, Tracks

from napari_sam.widgets.auto_annotate.form import FILE
from napari_sam.widgets.auto_annotate.panel import AutoAnnotate


@pytest.fixture
def panel(viewer, qtbot):
    panel = AutoAnnotate(viewer)
    qtbot.addWidget(panel)
    yield panel
    panel.end()


@pytest.fixture
def image(viewer, frames):
    return viewer.add_image(
        frames,
        name="nuclei",
        scale=(2, 0.5, 0.25),
        translate=(1, 2, 3),
        axis_labels=("t", "y", "x"),
        units=("second", "micrometer", "micrometer"),
        rotate=30,
        shear=[0, 0, 0.1],
    )


def run(qtbot, panel, start):
    start()
    wait_idle(qtbot, panel)


def wait_idle(qtbot, panel):
    qtbot.waitUntil(lambda: not panel.session.state.busy, timeout=60_000)


def results(viewer):
    return [layer for layer in viewer.layers if isinstance(layer, Labels)]


def says(panel):
    return panel.view.status.text()


def test_without_an_image_it_says_where_to_find_one(panel):
    assert "Open an image first" in panel.view.plan.text()
    assert not panel.view.all_button.isEnabled()


def test_nothing_has_to_be_set_up_before_the_first_click(panel, image):
    assert panel.form.image.value is image
    assert panel.view.all_button.isEnabled()
    assert "all 4 frames of “nuclei”" in panel.view.plan.text()
    assert panel.view.try_button.text() == "Try it on this frame"


def test_a_single_image_offers_one_button(panel, viewer, frames):
    viewer.add_image(frames[0])
    assert panel.view.try_button.isHidden()
    assert panel.form.link.native.isHidden()


def test_the_selected_image_is_taken(panel, viewer, frames):
    first, second = viewer.add_image(frames), viewer.add_image(frames)
    assert panel.form.image.value is second
    viewer.layers.selection.active = first
    assert panel.form.image.value is first
    viewer.add_labels(np.zeros((9, 9), int))
    assert panel.form.image.value is first
    viewer.layers.remove(first)
    assert panel.form.image.value is second


def test_the_result_lies_exactly_on_its_image(panel, viewer, image, qtbot):
    run(qtbot, panel, panel.find_all)
    (labels,) = results(viewer)
    assert labels.name == "nuclei: objects"
    assert labels.data.shape == image.data.shape
    corner = (3, 90, 100)
    assert np.allclose(labels.data_to_world(corner), image.data_to_world(corner))
    assert labels.units == image.units
    assert labels.axis_labels == image.axis_labels
    ids = np.unique(labels.data[labels.data > 0])
    assert labels.features["index"].tolist() == ids.tolist()
    assert f"{len(ids)} objects found in 4 frames" in says(panel)
    assert "“nuclei: objects”" in says(panel)


def lines(viewer):
    return [layer for layer in viewer.layers if isinstance(layer, Tracks)]


def test_through_time_gives_tracks_that_lie_on_the_image(panel, viewer, image, qtbot):
    panel.form.link.value = "time"
    run(qtbot, panel, panel.find_all)
    (labels,) = results(viewer)
    (tracks,) = lines(viewer)
    assert tracks.name == "nuclei: objects: tracks"
    assert "“nuclei: objects: tracks”" in says(panel)
    ids = np.unique(labels.data[labels.data > 0])
    assert np.unique(tracks.data[:, 0]).tolist() == ids.tolist()
    features = labels.features
    assert features["track"].tolist() == ids.tolist()
    # Most nuclei are on several frames: they were followed, not only numbered.
    assert (features["planes"] > 1).mean() > 0.5
    parents = features[features["parent"] > 0]
    assert {k: list(v) for k, v in tracks.graph.items()} == {
        int(row["index"]): [int(row["parent"])] for _, row in parents.iterrows()
    }
    place = tracks.data[3, 1:]
    assert labels.data[tuple(np.rint(place).astype(int))] == tracks.data[3, 0]
    assert np.allclose(tracks.data_to_world(place), image.data_to_world(place))
    assert tracks.units == image.units

    panel.form.link.value = "none"  # without a new search
    qtbot.waitUntil(lambda: not lines(viewer), timeout=60_000)
    panel.form.link.value = "time"
    qtbot.waitUntil(lambda: len(lines(viewer)) == 1, timeout=60_000)
    panel.form.conf.value = 0.6
    before = len(tracks.data)
    qtbot.waitUntil(lambda: len(lines(viewer)[0].data) < before, timeout=60_000)


def test_an_axis_without_a_name_is_time_if_that_is_asked_for(
    panel, viewer, frames, qtbot
):
    viewer.add_image(frames[:2], name="plain")
    panel.form.link.value = "time"
    run(qtbot, panel, panel.find_all)
    assert "objects found" in says(panel)
    assert len(lines(viewer)) == 1


def test_a_single_image_does_not_ask_for_time(panel, viewer, frames, qtbot):
    panel.form.link.value = "time"
    viewer.add_image(frames[0])
    assert panel.form.recipe().link == "none"


def test_without_laptrack_it_says_how_to_get_it(panel, image, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    panel.form.link.value = "time"
    panel.find_all()
    assert not panel.session.state.busy
    assert "pip install 'napari-sam-annotator[tracks]'" in says(panel)


def test_the_slice_on_the_screen_is_tried(panel, viewer, image, qtbot):
    viewer.dims.set_current_step(0, 2)
    run(qtbot, panel, panel.try_slice)
    (labels,) = results(viewer)
    assert labels.name == "nuclei: objects (try-out)"
    assert [bool(plane.any()) for plane in labels.data] == [False, False, True, False]


def test_also_when_the_viewer_shows_the_axes_in_another_order(
    panel, viewer, frames, qtbot
):
    viewer.add_image(frames)
    viewer.dims.set_current_step(0, 3)
    viewer.dims.order = (1, 2, 0)
    run(qtbot, panel, panel.try_slice)
    (labels,) = results(viewer)
    assert labels.data[3].any()
    assert not labels.data[:3].any()


def test_trials_share_a_layer_which_the_search_takes_over(panel, viewer, image, qtbot):
    run(qtbot, panel, panel.try_slice)
    viewer.dims.set_current_step(0, 1)
    run(qtbot, panel, panel.try_slice)
    (labels,) = results(viewer)
    assert not labels.data[0].any()
    run(qtbot, panel, panel.find_all)
    assert results(viewer) == [labels]
    assert labels.name == "nuclei: objects"


def test_a_second_search_keeps_the_first_result(panel, viewer, image, qtbot):
    run(qtbot, panel, panel.find_all)
    (first,) = results(viewer)
    pixels = first.data.copy()
    panel.form.conf.value = 0.7
    run(qtbot, panel, panel.find_all)
    assert len(results(viewer)) == 2
    assert not first.visible
    assert np.array_equal(first.data, pixels)


def test_a_threshold_shows_at_once(panel, viewer, image, qtbot):
    run(qtbot, panel, panel.find_all)
    (labels,) = results(viewer)
    before = labels.data.copy()
    panel.form.conf.value = 0.7
    qtbot.waitUntil(lambda: not np.array_equal(labels.data, before), timeout=20_000)
    assert (labels.features["detection_score"] >= 0.7).all()
    assert f"{len(labels.features)} objects found" in says(panel)
    panel.form.conf.value = 0.25
    qtbot.waitUntil(lambda: np.array_equal(labels.data, before), timeout=20_000)


def test_a_setting_that_needs_a_search_says_so(panel, image, qtbot):
    run(qtbot, panel, panel.try_slice)
    panel.form.iou.value = 0.2
    qtbot.waitUntil(lambda: "needs a new search" in says(panel), timeout=5000)


def test_what_a_person_painted_is_never_overwritten(panel, viewer, image, qtbot):
    run(qtbot, panel, panel.try_slice)
    (mine,) = results(viewer)
    mine.paint((0, 50, 50), 99)
    painted = mine.data.copy()
    panel.form.conf.value = 0.7
    qtbot.waitUntil(lambda: "You have edited" in says(panel), timeout=5000)
    run(qtbot, panel, panel.find_all)
    assert len(results(viewer)) == 2
    assert np.array_equal(mine.data, painted)


def test_cancel_keeps_the_slices_that_are_done(panel, viewer, image, qtbot):
    panel.find_all()
    qtbot.waitUntil(lambda: bool(results(viewer)), timeout=60_000)
    panel.view.cancel_button.click()
    assert not panel.session.state.busy
    assert says(panel).startswith("Stopped.")
    (labels,) = results(viewer)
    assert labels.data[0].any()
    assert panel.view.all_button.isEnabled()


def test_the_form_rests_while_it_runs(panel, image, qtbot):
    panel.find_all()
    assert not panel.form.what.isEnabled()
    assert panel.form.counts.isEnabled()
    assert not panel.view.all_button.isEnabled()
    wait_idle(qtbot, panel)
    assert panel.form.what.isEnabled()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda viewer, image: viewer.layers.remove(image), ""),
        (
            lambda viewer, image: setattr(image, "data", image.data[:2]),
            "the image has changed",
        ),
        (
            lambda viewer, image: viewer.layers.remove(results(viewer)[0]),
            "was deleted",
        ),
    ],
    ids=["image removed", "other pixels", "result removed"],
)
def test_nothing_is_written_where_it_does_not_belong(
    panel, viewer, image, qtbot, spoil, words
):
    panel.find_all()
    qtbot.waitUntil(lambda: bool(results(viewer)), timeout=60_000)
    spoil(viewer, image)
    wait_idle(qtbot, panel)
    assert words in says(panel)
    assert panel.session.state.phase == "idle"


def test_a_file_that_is_no_model_is_refused_in_words(panel, image, qtbot, tmp_path):
    path = tmp_path / "thesis.pt"
    path.write_text("<html>not found</html>")
    panel.form.pick("model", str(path))
    qtbot.waitUntil(lambda: "thesis.pt" in says(panel), timeout=60_000)
    assert says(panel).startswith("⚠")
    panel.form.model.value = "pocket"
    run(qtbot, panel, panel.try_slice)
    assert "found" in says(panel)


def test_a_file_is_chosen_in_a_dialog(panel, monkeypatch, tmp_path):
    dialog = "napari_sam.widgets.auto_annotate.form.QFileDialog.getOpenFileName"
    path = str(tmp_path / "cells.onnx")
    answers = [("", ""), (path, "")]
    monkeypatch.setattr(dialog, lambda *_: answers.pop(0))
    panel.form.detector.value = FILE
    assert panel.form.detector.value == "nuclei"
    panel.form.detector.value = FILE
    assert panel.form.detector.value == path
    assert panel.form.recipe().detector == path


def test_classes_are_offered_where_there_are_several(panel):
    panel.classes_known(("nucleus",))
    assert panel.form.classes.native.isHidden()
    panel.classes_known(("cell", "debris"))
    assert not panel.form.classes.native.isHidden()
    panel.form.classes.value = [1]
    assert panel.form.recipe().classes == (1,)


def test_two_viewers_do_not_know_each_other(panel, image, viewer, frames, qtbot):
    from napari.components import ViewerModel

    other = ViewerModel()
    theirs = AutoAnnotate(other)
    qtbot.addWidget(theirs)
    other.add_image(frames, name="other")
    panel.find_all()
    theirs.find_all()
    wait_idle(qtbot, panel)
    wait_idle(qtbot, theirs)
    theirs.end()
    assert [layer.name for layer in results(viewer)] == ["nuclei: objects"]
    assert [layer.name for layer in results(other)] == ["other: objects"]


def test_colour_images_have_no_colour_axis_in_their_labels(panel, viewer, qtbot):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    viewer.add_image(pixels, rgb=True, name="colour")
    run(qtbot, panel, panel.find_all)
    (labels,) = results(viewer)
    assert labels.data.shape == (40, 50)


def test_a_blank_image_is_explained(panel, viewer, qtbot):
    viewer.add_image(np.zeros((40, 50), np.uint8), name="blank")
    run(qtbot, panel, panel.find_all)
    assert "No objects found" in says(panel)
    assert "no contrast" in says(panel)


def test_importing_the_widget_loads_no_torch():
    code = (
        "import sys, napari_sam.widgets.auto_annotate.panel; "
        "print([m for m in ('torch', 'torchvision', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"
