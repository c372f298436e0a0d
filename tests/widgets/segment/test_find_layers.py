"""Boxes and edges as layers, with the real built-in model."""

import numpy as np
import pytest
from napari.layers import Image, Shapes
from skimage.segmentation import find_boundaries

from napari_sam.live.proposals.edging import NOT_READY
from napari_sam.widgets.segment.panel import Segment
from napari_sam.widgets.segment.sections.find_layers import NO_BOX
from napari_sam.widgets.segment.sections.find_where import Choice


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    """Keep what must not be lost where the test ends."""
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path / "home"))


@pytest.fixture
def placed(viewer, frames):
    """An image that is scaled, moved and turned."""
    layer = viewer.add_image(
        frames, name="nuclei", scale=(2, 0.5, 0.25), translate=(1, -3, 7), rotate=20
    )
    viewer.dims.set_point(0, layer.data_to_world((2, 0, 0))[0])
    return layer


@pytest.fixture
def panel(viewer, placed, qtbot):
    panel = Segment(viewer)
    qtbot.addWidget(panel)
    yield panel
    panel.end()


def search(panel, qtbot, where=Choice.SLICE):
    panel.find.where.value = where
    panel.find.start.click()
    finder = panel.bridge.finder
    qtbot.waitUntil(lambda: finder.state.phase == "found", timeout=60_000)
    return finder


def made(viewer, kind, ending, qtbot):
    def layers():
        return [
            layer
            for layer in viewer.layers
            if isinstance(layer, kind) and ending in layer.name
        ]

    qtbot.waitUntil(lambda: bool(layers()), timeout=60_000)
    (layer,) = layers()
    return layer


def ready(panel, qtbot):
    session = panel.bridge.session
    qtbot.waitUntil(lambda: session.prepared(session.index) is not None, timeout=60_000)


def test_boxes_lie_around_what_counts(panel, viewer, placed, qtbot):
    layers = panel.find.layers
    assert not layers.boxes.isEnabled()
    finder = search(panel, qtbot, Choice.ALL)
    active = viewer.layers.selection.active
    layers.boxes.click()
    layer = made(viewer, Shapes, "found boxes", qtbot)
    assert viewer.layers.selection.active is active
    assert viewer.layers.index(layer) == viewer.layers.index(placed) + 1
    assert layer.nshapes == finder.total.objects
    assert set(layer.shape_type) == {"rectangle"}
    here = [data for data in layer.data if data[0, 0] == 2]
    assert len(here) == len(finder.found.objects)
    for corners, mask in zip(here, finder.found.masks, strict=True):
        y0, x0, y1, x1 = mask.box
        assert np.allclose(corners[:, 1:].min(0) + 0.5, (y0, x0))
        assert np.allclose(corners[:, 1:].max(0) + 0.5, (y1, x1))
        world = layer.data_to_world(corners[0])
        assert np.allclose(world, placed.data_to_world(corners[0]))
    table = layer.features
    assert list(table) == ["confidence", "stability"]
    on_slice = [int(data[0, 0]) == 2 for data in layer.data]
    assert np.allclose(
        table["confidence"][on_slice], [mask.score for mask in finder.found.masks]
    )
    assert "found boxes" in panel.view.notice.text()


def test_boxes_follow_the_sliders(panel, viewer, qtbot):
    finder = search(panel, qtbot)
    before = finder.found
    panel.find.confidence.value = 0.6
    qtbot.waitUntil(lambda: finder.found is not before, timeout=10_000)
    panel.find.layers.boxes.click()
    layer = made(viewer, Shapes, "found boxes", qtbot)
    assert 0 < layer.nshapes == len(finder.found.objects) < len(before.objects)
    panel.find.confidence.value = 0.99
    qtbot.waitUntil(lambda: not finder.found.objects, timeout=10_000)
    assert not panel.find.layers.boxes.isEnabled()
    panel.find.layers._boxes()  # before the button knew
    qtbot.waitUntil(lambda: panel.view.notice.text() == NO_BOX, timeout=10_000)


def test_edges_lie_on_their_slice(panel, viewer, placed, qtbot):
    ready(panel, qtbot)
    finder = search(panel, qtbot)
    labels = np.zeros(placed.data.shape[1:], int)
    for number, mask in enumerate(finder.found.masks, 1):
        labels[mask.slices][mask.data] = number
    panel.find.layers.edges.click()
    assert panel.find.cancel.isEnabled()
    assert not panel.find.layers.edges.isEnabled()
    assert "Looking for edges on this slice" in panel.find.says.text()
    layer = made(viewer, Image, "edges (2)", qtbot)
    assert panel.find.layers.edges.isEnabled()
    assert layer.data.shape == (1, 96, 112)
    assert layer.data.dtype == np.float32
    assert layer.data.max() == 1
    for y, x in ((0, 0), (95, 111), (40, 3)):
        assert np.allclose(
            layer.data_to_world((0, y, x)), placed.data_to_world((2, y, x))
        )
    rims = find_boundaries(labels, mode="thick")
    strong = layer.data[0] > 0.3
    assert strong.sum() > 100
    assert rims[strong].mean() > 2 * rims.mean()


def test_edges_can_be_cancelled(panel, viewer, qtbot):
    ready(panel, qtbot)
    panel.find.layers.edges.click()
    panel.find.cancel.click()
    assert panel.find.layers.edging.part is None
    assert panel.find.layers.edges.isEnabled()
    search(panel, qtbot)  # behind what still runs
    assert not [layer for layer in viewer.layers if "edges" in layer.name]


def test_what_is_not_prepared_has_no_edges_yet(viewer, placed, qtbot):
    panel = Segment(viewer)
    qtbot.addWidget(panel)
    said = []
    panel.find.layers.edging.find(lambda *_: None, said.append)
    panel.end()
    assert said == [NOT_READY]
