"""The section "What the model sees", with the real built-in model."""

import numpy as np
import pytest

from napari_sam.images import LargePlane, Normalization, Plane
from napari_sam.widgets.segment.panel import Segment
from napari_sam.widgets.sight import words
from napari_sam.widgets.sight.picture import small

NUCLEUS = (33, 44)


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    """Keep what must not be lost where the test ends."""
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path / "home"))


@pytest.fixture
def panel(image, viewer, qtbot):
    panel = Segment(viewer)
    qtbot.addWidget(panel)
    qtbot.waitUntil(lambda: panel.bridge.session.model is not None, timeout=60_000)
    yield panel
    panel.end()


@pytest.fixture
def clicked(panel, qtbot):
    """A nucleus of the first frame is suggested."""
    panel.bridge.desk.prompts.points.add((0, *NUCLEUS))
    answered(panel, qtbot)
    return panel


def answered(panel, qtbot):
    session = panel.bridge.session
    qtbot.waitUntil(
        lambda: (
            bool(session.suggestions)
            and not any(one.waiting for one in session.suggestions.values())
        ),
        timeout=60_000,
    )


def area(panel):
    (one,) = panel.bridge.session.suggestions.values()
    return one.mask.area


def opened(panel, qtbot):
    """Open the section, and wait for its picture."""
    panel.show()
    panel.seeing.parent().button.click()
    pictured(panel, qtbot)


def pictured(panel, qtbot):
    seeing = panel.seeing
    qtbot.waitUntil(lambda: not seeing.picture.pixmap().isNull(), timeout=60_000)


def colours(panel):
    """Return the brightest red, green and blue of the picture."""
    picture = panel.seeing.picture.pixmap().toImage()
    pixels = [
        picture.pixelColor(x, y).getRgb()[:3]
        for x in range(0, picture.width(), 3)
        for y in range(0, picture.height(), 3)
    ]
    return tuple(np.max(pixels, axis=0))


def test_it_shows_what_models_see_and_says_the_contrast(panel, qtbot, frames):
    assert panel.seeing.picture.pixmap().isNull()  # nobody has looked
    opened(panel, qtbot)
    low, high = panel.bridge.session.source.contrast().ranges[0]
    assert panel.seeing.says.text() == f"Dark to bright: {low:,.5g} to {high:,.5g}."
    red, green, blue = colours(panel)
    assert red == green == blue > 200
    panel.seeing.parent().button.click()
    assert panel.seeing.picture.pixmap().isNull()


def test_contrast_as_shown_in_napari_follows_the_layer(clicked, image, qtbot):
    opened(clicked, qtbot)
    before = area(clicked)
    image.contrast_limits = (0, 20_000)
    clicked.seeing.contrast.value = words.SHOWN
    answered(clicked, qtbot)
    wide = area(clicked)
    assert wide != before
    says = clicked.seeing.says
    qtbot.waitUntil(
        lambda: says.text() == "Dark to bright: 0 to 20,000.", timeout=10_000
    )
    image.contrast_limits = (6_000, 60_000)
    qtbot.waitUntil(lambda: "6,000 to 60,000" in says.text(), timeout=10_000)
    answered(clicked, qtbot)
    clicked.seeing.contrast.value = words.STACK
    answered(clicked, qtbot)
    assert area(clicked) == before
    image.contrast_limits = (0, 2_000)  # means nothing to the model any more
    qtbot.wait(500)
    assert not clicked.bridge.session.status.busy
    assert area(clicked) == before


def test_each_frame_can_have_its_own_contrast(panel, viewer, qtbot):
    opened(panel, qtbot)
    panel.seeing.contrast.value = words.PLANE
    says = panel.seeing.says
    qtbot.waitUntil(
        lambda: (
            "each frame by itself" in says.text()
            or "each slice by itself" in says.text()
        ),
        timeout=10_000,
    )
    viewer.dims.set_point(0, 2)
    pictured(panel, qtbot)
    assert panel.bridge.session.source.contrast().ranges is None


def test_intensities_can_be_fixed_and_percentiles_chosen(panel, image, qtbot):
    opened(panel, qtbot)
    seeing, says = panel.seeing, panel.seeing.says
    source = panel.bridge.session.source
    image.contrast_limits = (200, 9000)
    seeing.contrast.value = words.FIXED
    qtbot.waitUntil(lambda: "200 to 9,000" in says.text(), timeout=10_000)
    seeing.fixed.value = "4000 to 400"
    qtbot.waitUntil(lambda: says.text() == words.BAD_FIXED, timeout=10_000)
    assert panel.bridge.session.source.ranges == ((200.0, 9000.0),)
    seeing.fixed.value = "400-4000"
    qtbot.waitUntil(lambda: "400 to 4,000" in says.text(), timeout=10_000)
    assert panel.bridge.session.source.contrast().ranges == ((400.0, 4000.0),)

    seeing.contrast.value = words.STACK
    seeing.percentiles.value = "10 to 101"
    qtbot.waitUntil(lambda: says.text() == words.BAD_PERCENT, timeout=10_000)
    seeing.percentiles.value = "20 to 90"
    qtbot.waitUntil(lambda: "Dark to bright" in says.text(), timeout=10_000)
    narrow, usual = panel.bridge.session.source.contrast(), source.contrast()
    assert narrow.percentiles == (20, 90)
    assert usual.ranges[0][0] < narrow.ranges[0][0] < narrow.ranges[0][1]
    assert narrow.ranges[0][1] < usual.ranges[0][1]


def test_other_images_become_green_and_blue(clicked, viewer, frames, qtbot):
    seeing = clicked.seeing
    opened(clicked, qtbot)
    assert not seeing.second.visible
    other = viewer.add_image(frames[:, ::-1], name="mirrored")
    viewer.add_image(frames[:2], name="shorter")
    viewer.add_image(frames, name="elsewhere", translate=(0, 5, 5))
    # What is just added is worked on: go back to the nuclei.
    clicked.form.image.value = viewer.layers["nuclei"]
    assert [choice for choice in seeing.second.choices if choice is not None] == [other]
    seeing.second.value = other
    qtbot.waitUntil(lambda: "mirrored (green)" in seeing.says.text(), timeout=10_000)
    red, green, blue = colours(clicked)
    assert min(red, green) > 200
    assert blue < 20
    assert "nuclei (red)" in seeing.says.text()
    viewer.layers.remove(other)
    qtbot.waitUntil(lambda: "mirrored" not in seeing.says.text(), timeout=10_000)
    assert seeing.second.value is None
    assert clicked.bridge.session.source.others == ()


def test_a_line_says_how_large_objects_are(clicked, viewer, qtbot):
    desk, session = clicked.bridge.desk, clicked.bridge.session
    assert desk.tool == "click"
    clicked.seeing.from_line.click()
    layer = viewer.layers["Diameter"]
    assert desk.tool is None
    layer.add(np.array([[0, 20, 20], [0, 20, 44]]), shape_type="line")
    qtbot.waitUntil(lambda: "Diameter" not in viewer.layers, timeout=5_000)
    assert desk.tool == "click"
    qtbot.waitUntil(lambda: session.source.diameter == 24, timeout=5_000)
    answered(clicked, qtbot)  # what is open is asked anew
    assert clicked.form.image.value is desk.image


def test_objects_stay_when_the_image_is_seen_otherwise(clicked, qtbot):
    clicked.bridge.add()
    store = clicked.bridge.session.store
    assert len(store.records) == 1
    clicked.seeing.contrast.value = words.PLANE
    qtbot.waitUntil(
        lambda: clicked.bridge.session.status.phase == "ready", timeout=60_000
    )
    assert clicked.bridge.session.store is store
    assert len(store.records) == 1
    clicked.bridge.undo()
    assert not store.records


def test_colours_have_no_channels_and_no_contrast_of_napari(viewer, qtbot):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    viewer.add_image(pixels, rgb=True, name="stained")
    viewer.add_image(pixels[..., 0], name="grey")
    viewer.add_image(pixels[..., 1], name="grey too")
    panel = Segment(viewer)
    qtbot.addWidget(panel)
    try:
        panel.form.image.value = viewer.layers["stained"]
        assert words.SHOWN not in panel.seeing.contrast.choices
        assert not panel.seeing.second.visible
        panel.form.image.value = viewer.layers["grey"]
        assert words.SHOWN in panel.seeing.contrast.choices
    finally:
        panel.end()


def test_of_a_very_large_plane_the_middle_is_shown_unless_a_smaller_one_is_there():
    looked = []

    def paint(box):
        looked.append(box)
        y0, x0, y1, x1 = box
        return np.full((y1 - y0, x1 - x0, 3), 7, np.uint8)

    large = LargePlane(paint, (20_000, 10_000), (), Normalization())
    assert small(large).shape == (520, 520)
    assert looked == [(9_740, 4_740, 10_260, 5_260)]
    coarse = Plane(np.full((1250, 625, 3), 9, np.uint8), (), Normalization())
    pyramid = LargePlane(
        paint, (20_000, 10_000), (), Normalization(), coarser=[(2, coarse)]
    )
    assert max(small(pyramid).shape) < 600
    assert len(looked) == 1
    plain = Plane(np.zeros((700, 300, 3), np.uint8), (), Normalization())
    assert small(plain) is plain
