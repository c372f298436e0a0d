"""Edges of whole planes, from a grid of clicks."""

import numpy as np
import pytest
import tifffile
from scipy import ndimage
from skimage.segmentation import find_boundaries

import napari_sam as ns
from napari_sam import data
from napari_sam.images import make_plane
from napari_sam.segment import find_edges
from napari_sam.segment.edges import thinned


@pytest.fixture(scope="module")
def model():
    return ns.load_model("pocket")


@pytest.fixture(scope="module")
def nuclei():
    image, truth = (
        tifffile.imread(data.FOLDER / part / "fluorescence.tif")
        for part in ("images", "truth")
    )
    return make_plane(image), find_boundaries(truth)


@pytest.fixture(scope="module")
def edges(model, nuclei):
    return find_edges(nuclei[0], model, points_per_side=32)


def test_edges_are_where_nuclei_end(edges, nuclei):
    plane, outlines = nuclei
    assert edges.shape == plane.shape and edges.dtype == np.float32
    assert edges.min() == 0 and edges.max() == 1
    strong = edges > 0.3
    away = ndimage.distance_transform_edt(~outlines)
    assert np.mean(away[strong] <= 3) > 0.7
    assert np.mean(ndimage.distance_transform_edt(~strong)[outlines] <= 3) > 0.7


def test_thin_edges_are_crests_of_the_thick_ones(edges, model, nuclei):
    thick = find_edges(nuclei[0], model, points_per_side=32, thin=False)
    # A pixel of an edge has two neighbours along it, and none beside it.
    beside = ndimage.convolve((edges > 0).astype(int), np.ones((3, 3), int))
    assert np.median(beside[edges > 0]) == 3
    assert (thick[edges > 0.3] > 0).mean() > 0.5


def test_a_ridge_keeps_its_crest():
    ridge = np.zeros((40, 50), np.float32)
    ridge[:, 20:25] = [0.2, 0.6, 1.0, 0.6, 0.2]
    found = thinned(ridge)
    assert (found[5:-5] > 0).sum(1).max() == 1
    assert (found[5:-5, 22] > 0).all()
    np.testing.assert_array_equal(thinned(ridge.T) > 0, (found > 0).T)


def test_more_clicks_find_more(edges, model, nuclei):
    few = find_edges(nuclei[0], model, points_per_side=4)
    assert 0 < (few > 0).sum() < (edges > 0).sum()


def test_a_plane_of_one_colour_has_none(model):
    edges = find_edges(make_plane(np.full((40, 50), 7, np.uint8)), model)
    assert edges.shape == (40, 50) and not edges.any()
