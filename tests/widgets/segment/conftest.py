"""What the tests of the widget share."""

import pytest
from napari.components import ViewerModel

from napari_sam.live.source import Source


@pytest.fixture
def viewer():
    """Return a viewer without a window."""
    return ViewerModel()


@pytest.fixture
def image(viewer, frames):
    """Return four frames of nuclei in the viewer, the first one on the screen."""
    layer = viewer.add_image(frames, name="nuclei")
    viewer.dims.set_point(0, 0)
    return layer


@pytest.fixture
def source(image):
    return Source.from_layer(image)


@pytest.fixture(autouse=True)
def _no_thread_is_left(no_thread_is_left):
    """Every test here ends its threads."""
