"""What the demo found, in a real window."""

from __future__ import annotations

import shutil

import napari
import numpy as np
import pytest
from qtpy.QtCore import QTimer

from napari_sam.data import demo_images
from napari_sam.types import OutputError
from napari_sam.widgets.view import open_gallery, show_demo


@pytest.fixture
def output(tmp_path):
    """Return a folder in which the truth was found."""
    (tmp_path / "labels").mkdir()
    for image in demo_images():
        shutil.copy(image.truth, tmp_path / "labels")
    return tmp_path


@pytest.mark.window
def test_all_images_are_seen_with_their_objects(output, qtbot):
    viewer = open_gallery(output)
    try:
        names = [layer.name for layer in viewer.layers]
        for image in demo_images():
            assert image.title in names
            assert f"{image.title}: found" in names
            assert not viewer.layers[f"{image.title}: truth"].visible
        qtbot.waitExposed(viewer.window._qt_window)
        with_labels = viewer.screenshot(canvas_only=True, flash=False)
        for image in demo_images():
            viewer.layers[f"{image.title}: found"].visible = False
        without = viewer.screenshot(canvas_only=True, flash=False)
    finally:
        viewer.close()
    assert without[..., :3].max() > 0
    assert np.any(with_labels != without)


def test_without_the_demo_s_labels_it_says_which_are_missing(tmp_path):
    with pytest.raises(OutputError, match=r"nuclei_timelapse\.tif is missing"):
        open_gallery(tmp_path)


@pytest.mark.window
def test_it_returns_when_the_window_is_closed(output, qapp):
    titles = []

    def close_when_open():
        viewer = napari.current_viewer()
        if viewer is not None and len(viewer.layers) == 3 * len(demo_images()):
            timer.stop()
            titles.append(viewer.title)
            viewer.close()

    timer = QTimer()
    timer.setInterval(100)
    timer.timeout.connect(close_when_open)
    timer.start()
    show_demo(output)
    assert titles == ["SAM Annotator: what the demo found"]
