"""Auto-annotate sees what was chosen, with the real built-in model."""

import json

import numpy as np
import pytest
from napari.layers import Labels

from napari_sam.widgets.auto_annotate.panel import AutoAnnotate
from napari_sam.widgets.sight import words
from napari_sam.widgets.sight.line import NAME


@pytest.fixture
def panel(viewer, qtbot):
    panel = AutoAnnotate(viewer)
    qtbot.addWidget(panel)
    yield panel
    panel.end()


@pytest.fixture
def image(viewer, frames):
    return viewer.add_image(frames, name="nuclei", axis_labels=("t", "y", "x"))


def opened(panel, qtbot):
    panel.show()
    panel.sight.parent().button.click()
    qtbot.waitUntil(lambda: not panel.sight.picture.pixmap().isNull(), timeout=60_000)


def found(panel, qtbot, viewer):
    panel.try_slice()
    qtbot.waitUntil(lambda: not panel.session.state.busy, timeout=60_000)
    assert panel.session.state.phase == "done", panel.session.state.error
    return [layer for layer in viewer.layers if isinstance(layer, Labels)][-1]


def test_it_shows_the_slice_on_screen_as_models_get_it(panel, viewer, image, qtbot):
    opened(panel, qtbot)
    says = panel.sight.says
    assert says.text().startswith("Dark to bright: ")
    first = panel.sight.picture.pixmap().toImage()
    viewer.dims.set_point(0, 3)
    qtbot.waitUntil(
        lambda: panel.sight.picture.pixmap().toImage() != first, timeout=10_000
    )


def test_what_is_seen_decides_what_is_found(panel, viewer, image, qtbot):
    usual = found(panel, qtbot, viewer).data.copy()
    assert usual.any()
    panel.sight.contrast.value = words.FIXED
    panel.sight.fixed.value = "60000 to 65000"  # all dark
    says = panel.view.status
    qtbot.waitUntil(lambda: "needs a new search" in says.text(), timeout=10_000)
    panel.sight.fixed.value = "65000 to 60000"
    panel.try_slice()
    assert not panel.session.state.busy
    assert words.BAD_FIXED in says.text()
    panel.sight.fixed.value = "60000 to 65000"
    layer = found(panel, qtbot, viewer)
    assert panel.recipe().ranges == ((60_000, 65_000),)
    assert not layer.data.any()
    panel.sight.contrast.value = words.STACK
    again = found(panel, qtbot, viewer)
    # Trials of one image share a layer, however it was seen.
    assert again is layer
    np.testing.assert_array_equal(again.data, usual)


def test_each_frame_by_itself_and_percentiles(panel, viewer, image, qtbot):
    low, high = image.data[0].min(), image.data.max()
    pixels = np.stack([image.data[0] // 40, image.data[1]])  # the first is faint
    viewer.add_image(pixels, name="fading", contrast_limits=(low, high))
    viewer.dims.set_point(0, 0)
    together = found(panel, qtbot, viewer).data[0].copy()
    panel.sight.contrast.value = words.PLANE
    panel.sight.percentiles.value = "1 to 99.5"
    qtbot.waitUntil(lambda: panel.recipe().percentiles == (1, 99.5), timeout=10_000)
    assert panel.recipe().normalization == "plane"
    alone = found(panel, qtbot, viewer).data[0]
    assert alone.max() > together.max()


def test_other_images_are_its_channels(panel, viewer, image, frames, qtbot):
    dark = viewer.add_image(np.zeros_like(frames), name="empty")
    panel.form.image.value = dark
    assert not found(panel, qtbot, viewer).data.any()
    panel.sight.second.value = image
    assert panel.recipe().channels == ("empty", "nuclei")
    assert found(panel, qtbot, viewer).data.any()
    opened(panel, qtbot)
    assert "nuclei (green)" in panel.sight.says.text()
    viewer.layers.remove(image)
    assert panel.recipe().channels is None


def test_as_shown_in_napari_follows_the_layer(panel, image, qtbot):
    panel.sight.contrast.value = words.SHOWN
    image.contrast_limits = (300, 3000)
    qtbot.waitUntil(lambda: panel.recipe().ranges == ((300, 3000),), timeout=10_000)


def test_another_image_forgets_the_channels_of_the_one_before(
    panel, viewer, image, frames, qtbot
):
    other = viewer.add_image(frames * 2, name="other")
    panel.form.image.value = image
    panel.sight.second.value = other
    assert panel.recipe().channels == ("nuclei", "other")
    viewer.add_image(frames[0], name="flat")
    assert panel.recipe().channels is None
    assert found(panel, qtbot, viewer).data.shape == frames[0].shape


def test_an_image_with_another_name_or_other_pixels_is_seen_as_before(
    panel, viewer, image, frames, qtbot
):
    viewer.add_image(frames, name="other")
    panel.form.image.value = image
    panel.sight.second.value = viewer.layers["other"]
    panel.sight.diameter.pixels = 14.0
    assert panel.sight.settle() == ""
    image.name = "renamed"
    assert panel.recipe().channels == ("renamed", "other")
    seen = panel._looked.seen
    assert (seen.name, seen.diameter, len(seen.others)) == ("renamed", 14, 1)
    image.data = frames[:, ::-1].copy()
    assert panel.sight.settle() == ""
    seen = panel._looked.seen
    assert seen.data is image.data
    assert (seen.diameter, len(seen.others)) == (14, 1)


def test_what_was_seen_is_written_into_the_layer(panel, viewer, image, frames, qtbot):
    other = viewer.add_image(frames, name="other")
    panel.form.image.value = image
    panel.sight.second.value = other
    panel.sight.contrast.value = words.FIXED
    panel.sight.fixed.value = "300 to 9000, 0 to 8000"
    panel.sight.diameter.pixels = 14.0
    layer = found(panel, qtbot, viewer)
    made = json.loads(json.dumps(layer.metadata["napari_sam"]))
    assert made["recipe"]["channels"] == ["nuclei", "other"]
    assert made["recipe"]["diameter"] == 14
    assert made["contrast"]["ranges"] == [[300, 9000], [0, 8000]]
    panel.form.conf.value = 0.6
    qtbot.waitUntil(
        lambda: layer.metadata["napari_sam"]["recipe"]["conf"] == 0.6, timeout=10_000
    )


# How large objects are.


def test_the_diameter_is_in_micrometres_where_the_layer_knows_them(
    panel, viewer, image, frames, qtbot
):
    diameter = panel.sight.diameter
    assert diameter.box.native.suffix() == " px"
    diameter.box.value = 12
    assert panel.sight.settle() == ""
    assert panel.recipe().diameter == 12
    viewer.add_image(
        frames, name="fine", scale=(1, 0.25, 0.25), units=("s", "um", "um")
    )
    assert diameter.box.native.suffix() == " µm"
    assert (diameter.box.value, panel.recipe().diameter) == (3, 12)
    viewer.add_image(frames, name="nano", scale=(1, 500, 500), units=("s", "nm", "nm"))
    # Three micrometres stay three micrometres.
    assert diameter.box.value == 3
    assert panel.sight.settle() == ""
    assert panel.recipe().diameter == 6


def test_models_and_the_sizes_that_count_get_the_diameter(panel, viewer, image, qtbot):
    def sizes():
        data = found(panel, qtbot, viewer).data
        return np.bincount(data[data > 0])[1:]

    least = np.pi / 4 * 20**2  # a quarter of the diameter
    assert (sizes() < least).any()
    panel.sight.diameter.box.value = 80
    assert (sizes() >= np.floor(least)).all()
    assert panel._looked.seen.plane((0,), panel._looked.seen.contrast()).diameter == 80


def test_areas_and_distances_are_in_micrometres_too(panel, viewer, frames):
    viewer.add_image(frames, scale=(1, 0.5, 0.5), units=("s", "um", "um"))
    smallest, farthest = panel.form.smallest, panel.form.farthest
    assert (smallest.box.value, smallest.box.native.suffix()) == (2, " µm²")
    assert panel.recipe().min_area == 8
    smallest.box.value, farthest.box.value = 25, 4
    assert panel.recipe().min_area == 100
    panel.form.link.value = "time"
    assert panel.recipe().link_distance == "8 px"


@pytest.mark.parametrize(
    ("step", "unit", "shown"),
    [(4, "nm", "0.000128 µm²"), (0.5, "um", "2.00 µm²"), (2, "mm", "32000000 µm²")],
)
def test_a_pixel_can_be_told_from_two_at_every_scale(
    panel, viewer, frames, step, unit, shown
):
    viewer.add_image(frames, scale=(1, step, step), units=("s", unit, unit))
    native = panel.form.smallest.box.native
    assert native.text() == shown
    before = panel.recipe().min_area
    assert before == 8
    native.stepUp()
    assert panel.recipe().min_area > before


def test_a_selected_line_is_the_diameter(panel, viewer, image):
    lines = viewer.add_shapes(
        [np.array([[0, 0], [0, 90]]), np.array([[10, 10], [13, 14]])],
        shape_type=["line", "line"],
        scale=(2, 2),
    )
    lines.selected_data = {1}
    viewer.layers.selection.active = lines
    panel.form.image.value = image
    viewer.layers.selection.active = lines
    panel.sight.from_line.click()
    assert panel.sight.diameter.pixels == 10
    assert NAME not in viewer.layers


def test_a_line_is_drawn_in_a_layer_that_goes_again(panel, viewer, image, qtbot):
    before = viewer.layers.selection.active
    panel.sight.from_line.click()
    layer = viewer.layers[NAME]
    assert viewer.layers.selection.active is layer
    assert str(layer.mode) == "add_line"
    assert "across a typical object" in panel.view.status.text()
    assert panel.form.image.value is image
    layer.add(np.array([[1, 20, 20], [1, 20, 34.5]]), shape_type="line")
    assert panel.sight.diameter.pixels == 14.5
    qtbot.waitUntil(lambda: NAME not in viewer.layers, timeout=5_000)
    assert viewer.layers.selection.active is before
    panel.sight.from_line.click()
    panel.sight.from_line.click()  # thought better of it
    assert NAME not in viewer.layers
