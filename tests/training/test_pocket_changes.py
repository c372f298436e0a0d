"""What is changed in crops stays true to their labels."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from napari_sam.data import demo_images
from napari_sam.images import make_plane
from napari_sam.training.pocket.changes import copy_objects, recolour, warp


@pytest.fixture(scope="module")
def field() -> tuple[np.ndarray, np.ndarray]:
    demo = next(d for d in demo_images() if d.key == "histology")
    labels = tifffile.imread(demo.truth).astype(np.int32)[:256, :256]
    pixels = make_plane(tifffile.imread(demo.image)).pixels[:256, :256]
    return pixels.astype(np.float32), labels


def test_recolouring_keeps_shape_dtype_and_range(field):
    for seed in range(40):
        changed = recolour(field[0][:64, :64], np.random.default_rng(seed))
        assert changed.shape == (64, 64, 3)
        assert changed.dtype == np.uint8


def test_copies_are_whole_objects_beside_others(field):
    pixels, labels = field
    kept = pixels.copy(), labels.copy()
    added = touching = 0
    for seed in range(10):
        _, crowded = copy_objects(pixels, labels, np.random.default_rng(seed))
        new = np.unique(crowded[crowded > labels.max()])
        added += len(new)
        for number in new:
            inside = crowded == number
            beside = ndimage.binary_dilation(inside, iterations=3) & ~inside
            touching += bool((crowded[beside] > 0).any())
        before, after = (np.bincount(a.ravel()) for a in (labels, crowded))
        # A copy may hide a quarter of an object, and the next one of what is left.
        assert (after[1 : len(before)] >= 0.3 * before[1:]).all()
    assert added > 20
    assert touching > 0.7 * added
    assert np.array_equal(pixels, kept[0])
    assert np.array_equal(labels, kept[1])


def test_copies_bring_their_pixels(field):
    _, labels = field
    bright = np.repeat((labels > 0)[..., None] * 200.0, 3, 2)
    pixels, crowded = copy_objects(bright, labels, np.random.default_rng(1))
    deep = ndimage.binary_erosion(crowded > 0, iterations=2)
    assert pixels[deep].mean() > 190
    far = ndimage.binary_erosion(crowded == 0, iterations=4)
    assert pixels[far].mean() < 5


def test_a_bent_crop_takes_its_labels_along(field):
    _, labels = field
    numbered = np.repeat((labels > 0)[..., None] * 200.0, 3, 2)
    bent, same, middle = warp(np.random.default_rng(4), numbered, labels, labels / 2.0)
    assert np.array_equal(same / 2.0, middle)
    assert not np.array_equal(same, labels)
    assert bent[ndimage.binary_erosion(same > 0)].min() > 100
    assert bent[ndimage.binary_erosion(same == 0)].max() < 100


def test_nothing_is_copied_where_nothing_is_whole():
    pixels = np.zeros((32, 32, 3), np.float32)
    labels = np.ones((32, 32), np.int32)
    _, same = copy_objects(pixels, labels, np.random.default_rng(0))
    assert np.array_equal(same, labels)
