"""The widget in a real window."""

import napari
import numpy as np
import pytest
import tifffile
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from tests.widgets.batch.conftest import assert_equal, calm, labels_in, states

from napari_sam.records.run import run
from napari_sam.records.status import read_status
from napari_sam.segment.recipe import Recipe
from napari_sam.widgets.batch.panel import Batch

pytestmark = pytest.mark.window


@pytest.fixture
def viewer(qapp):
    made = napari.Viewer()
    yield made
    made.close()


@pytest.fixture
def shown(viewer):
    """Return the dock and the widget in it."""
    dock, widget = viewer.window.add_plugin_dock_widget("napari-sam-annotator", "Batch")
    assert isinstance(widget, Batch)
    return dock, widget


def test_open_layers_are_done_too(shown, viewer, plate, frames, until, tmp_path):
    _, batch = shown
    (image,) = viewer.open(str(plate / "s.tif"), plugin="napari")
    viewer.add_image(frames[3], name="made: here", scale=(0.5, 0.5), units="um")
    batch.places.kind.value = "layers"
    until(lambda: calm(batch) and states(batch))
    assert states(batch) == {"s": "waiting", "made_ here": "waiting"}
    output = plate / "s results"
    assert batch.places.output == output
    batch.start()
    until(lambda: calm(batch))
    assert states(batch) == {"s": "done", "made_ here": "done"}
    run([plate / "s.tif", output / "images"], tmp_path / "alone", Recipe())
    assert_equal(labels_in(output), labels_in(tmp_path / "alone"))
    batch.list.setCurrentIndex(batch.items.index(0))
    batch.open_chosen()
    until(lambda: len(viewer.layers) == 3)
    labels = viewer.layers["s: objects"]  # beside the image that was open already
    assert labels.data.shape == image.data.shape
    assert np.all(labels.scale == image.scale)


def test_a_slice_that_was_tried_is_opened_with_the_mouse(shown, viewer, plate, until):
    _, batch = shown
    batch.places.show_images(str(plate))
    until(lambda: calm(batch) and states(batch))
    batch.try_slices()
    until(lambda: calm(batch) and len(batch.slices.tried) == 3)
    picture = batch.slices.pictures[1]
    until(lambda: picture.width() > 200)
    ratio = batch.slices.tried[1].box[2] / batch.slices.tried[1].box[3]
    assert picture.height() == pytest.approx(picture.width() * ratio, abs=2)
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QTest.mouseDClick(picture, left, none, QPoint(20, 20))
    until(lambda: len(viewer.layers) == 2)
    assert len(np.unique(viewer.layers[1].data)) - 1 == batch.slices.tried[1].objects
    batch.places.kind.value = "layers"  # what was tried is no image to be done
    until(lambda: calm(batch))
    assert not states(batch)


def test_closing_the_viewer_ends_the_run_in_order(qapp, frames, until, tmp_path):
    viewer = napari.Viewer()
    _, batch = viewer.window.add_plugin_dock_widget("napari-sam-annotator", "Batch")
    place, output = tmp_path / "long.tif", tmp_path / "long results"
    long = np.concatenate([frames] * 30)
    axes = {"photometric": "minisblack", "metadata": {"axes": "TYX"}}
    tifffile.imwrite(place, long, **axes)
    batch.places.show_images(str(place))
    batch.places.show_output(str(output))
    until(lambda: calm(batch) and states(batch))
    batch.start()
    until(lambda: any(item.finished for item in batch.session.state.items))
    viewer.close()
    until(lambda: not read_status(output).running)
    assert 0 < read_status(output).finished < len(long)


def test_a_dock_that_is_opened_again_shows_what_there_is(
    shown, viewer, plate, until, tmp_path
):
    dock, batch = shown
    run([plate], tmp_path / "out", Recipe())
    dock.destroyOnClose()
    _, again = viewer.window.add_plugin_dock_widget("napari-sam-annotator", "Batch")
    assert again is not batch
    again.places.show_output(str(tmp_path / "out"))
    until(lambda: states(again) and set(states(again).values()) == {"done"})
    # Pictures come by themselves for what is seen.
    until(lambda: not _blank(again, 0))


def _blank(batch, row):
    index = batch.items.index(row)
    icon = batch.items.data(index, Qt.ItemDataRole.DecorationRole)
    picture = icon.pixmap(64, 64).toImage()
    return picture.pixelColor(picture.width() // 2, picture.height() // 2).alpha() == 0
