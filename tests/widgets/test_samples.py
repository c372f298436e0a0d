"""The manifest is valid, and each sample that it names opens in napari."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from npe2 import PluginManager, PluginManifest

from napari_sam.data import demo_images

NAME = "napari-sam-annotator"
KEYS = [image.key for image in demo_images()]


@pytest.fixture
def manifest():
    return PluginManifest.from_distribution(NAME)


def test_the_manifest_belongs_to_the_installed_distribution(manifest):
    manifest.validate_imports()
    assert manifest.name == NAME
    assert manifest.display_name == "SAM Annotator"


def test_every_image_that_ships_is_a_sample(manifest):
    assert [sample.key for sample in manifest.contributions.sample_data] == KEYS


def test_menu_and_demo_call_the_images_the_same(manifest):
    names = [sample.display_name for sample in manifest.contributions.sample_data]
    assert names == [f"{image.title} ({image.modality})" for image in demo_images()]


@pytest.fixture
def viewer(manifest):
    """Return a viewer without a window that knows our plugin only."""
    manager = PluginManager.instance()
    if NAME not in manager:
        manager.register(manifest)
    return ViewerModel()


@pytest.mark.parametrize("image", demo_images(), ids=KEYS)
def test_a_sample_opens_as_pixels_and_true_objects(viewer, image):
    pixels, truth = viewer.open_sample(NAME, image.key)
    assert pixels.name == image.title
    assert truth.name == f"{image.title}: true objects"
    assert pixels.rgb == ("S" in image.axes)
    assert truth.data.shape == pixels.data.shape[: truth.data.ndim]
    assert np.array_equal(np.unique(truth.data), np.arange(truth.data.max() + 1))
    assert tuple(truth.axis_labels) == tuple(image.axes.replace("S", "").lower())
    assert np.array_equal(truth.scale, pixels.scale)


def test_the_3d_stack_brings_its_voxel_size(viewer):
    for layer in viewer.open_sample(NAME, "plant_nuclei_3d"):
        assert np.allclose(layer.scale, (0.28, 0.127, 0.127))
        assert [str(unit) for unit in layer.units] == ["micrometer"] * 3
