"""What the tests of the widget share: a folder of images, and a dock."""

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel

from napari_sam.widgets.batch.panel import Batch


@pytest.fixture(autouse=True)
def _no_thread_is_left(no_thread_is_left):
    """Every test here ends its threads."""


@pytest.fixture
def viewer():
    """Return a viewer without a window."""
    return ViewerModel()


@pytest.fixture
def dock(viewer, qtbot):
    """Return the widget; what it has started is ended with it."""
    made = Batch(viewer)
    qtbot.addWidget(made)
    yield made
    made.end()


@pytest.fixture
def plate(tmp_path, frames):
    """Return a folder with three images and a stack, "plate"."""
    folder = tmp_path / "plate"
    (folder / "day 2").mkdir(parents=True)
    for name, frame in zip(("a", "b", "day 2/c"), frames, strict=False):
        tifffile.imwrite(folder / f"{name}.tif", frame)
    stack = np.ascontiguousarray(frames[:3])
    axes = {"photometric": "minisblack", "metadata": {"axes": "TYX"}}
    tifffile.imwrite(folder / "s.tif", stack, **axes)
    return folder


@pytest.fixture
def until(qtbot):
    """Return a function that waits for something, with the window alive."""

    def wait(condition, seconds=90):
        qtbot.waitUntil(lambda: bool(condition()), timeout=1000 * seconds)

    return wait


def calm(dock):
    """Whether nothing of the dock runs, and the images are known."""
    return not dock.session.state.busy and dock.session.state.found is not None


def states(dock):
    """Return the state of each image."""
    return {item.name: item.state for item in dock.session.state.items}


def labels_in(output):
    """Return the label images of a run."""
    folder = output / "labels"
    return {
        str(path.relative_to(folder)): tifffile.imread(path)
        for path in folder.rglob("*.tif")
    }


def assert_equal(one, other):
    """Fail unless two runs have written the same labels."""
    assert one.keys() == other.keys()
    for name, labels in one.items():
        np.testing.assert_array_equal(labels, other[name])
