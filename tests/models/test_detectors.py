"""The two detectors on shipped images with known objects."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

import napari_sam as ns
from napari_sam.data import demo_images
from napari_sam.images import make_plane
from napari_sam.models.protocol import Detector, EmbeddingDetector


@pytest.fixture(scope="module")
def model():
    return ns.load_model("pocket", device="cpu")


@pytest.fixture(scope="module")
def field():
    demo = next(d for d in demo_images() if d.key == "fluorescence")
    labels = tifffile.imread(demo.truth)
    boxes = [
        (rows.start, columns.start, rows.stop, columns.stop)
        for rows, columns in filter(None, ndimage.find_objects(labels))
    ]
    return make_plane(tifffile.imread(demo.image)), np.array(boxes, float)


def ious(first, second):
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    areas = [(b[:, 2:] - b[:, :2]).prod(-1) for b in (first, second)]
    return shared / (areas[0][:, None] + areas[1][None, :] - shared)


@pytest.mark.parametrize("name", ["nuclei", "threshold"])
def test_most_objects_are_found_once(name, field, model):
    plane, truth = field
    detector = ns.load_detector(name, model=model)
    assert isinstance(detector, Detector)
    (found,) = detector.detect([plane])
    overlap = ious(truth, found.boxes)
    pairs = linear_sum_assignment(-overlap)
    right = (overlap[pairs] > 0.5).sum()
    assert 2 * right / (len(truth) + len(found)) > 0.6
    assert found.boxes.dtype == np.float32
    assert (np.diff(found.scores) <= 0).all()
    assert found.scores.min() >= 0.25
    assert found.scores.max() <= 1
    assert not found.truncated
    assert len(detector.class_names) == 1


@pytest.mark.parametrize("name", ["nuclei", "threshold"])
def test_the_limit_is_kept_and_said(name, field, model):
    plane, _ = field
    everything = ns.load_detector(name, model=model).detect([plane])[0]
    few = ns.load_detector(name, model=model, max_det=5).detect([plane])[0]
    assert len(few) == 5
    assert few.truncated
    assert np.array_equal(few.boxes, everything.boxes[:5])
    enough = ns.load_detector(name, model=model, max_det=len(everything))
    assert not enough.detect([plane])[0].truncated


@pytest.mark.parametrize("name", ["nuclei", "threshold"])
def test_a_higher_confidence_keeps_the_surer_ones(name, field, model):
    plane, _ = field
    all_of_them = ns.load_detector(name, model=model, conf=0.1).detect([plane])[0]
    strict = ns.load_detector(name, model=model, conf=0.6).detect([plane])[0]
    assert len(strict) < len(all_of_them)
    assert strict.scores.min() >= 0.6


@pytest.mark.parametrize("value", [0, 200])
def test_an_empty_plane_has_no_objects(value, model):
    blank = make_plane(np.full((70, 50, 3), value, np.uint8))
    (found,) = ns.load_detector("threshold").detect([blank])
    assert found.boxes.shape == (0, 4)


def test_dark_objects_are_found_as_bright_ones(field):
    plane, _ = field
    inverted = make_plane(255 - plane.pixels)
    detector = ns.load_detector("threshold")
    bright, dark = detector.detect([plane, inverted])
    # Not all of them: a pixel at the threshold itself changes sides.
    same = (ious(bright.boxes, dark.boxes) > 0.8).sum()
    assert same > 0.8 * max(len(bright), len(dark))


def test_the_built_in_detector_reads_only_its_own_model(field, model):
    plane, _ = field
    detector = ns.load_detector("nuclei", model=model)
    assert isinstance(detector, EmbeddingDetector)
    assert detector.reads(model)
    (direct,) = detector.detect([plane])
    (shared,) = detector.detect_embedded([model.encode(plane)])
    assert np.array_equal(direct.boxes, shared.boxes)
    assert not isinstance(ns.load_detector("threshold"), EmbeddingDetector)


def test_boxes_stay_on_the_plane(model):
    # Not a multiple of the encoder's stride: the padding must own nothing.
    demo = next(d for d in demo_images() if d.key == "fluorescence")
    image = tifffile.imread(demo.image)[:117, :203]
    (found,) = ns.load_detector("nuclei", model=model, conf=0.01).detect(
        [make_plane(image)]
    )
    assert len(found)
    assert (found.boxes >= 0).all()
    assert (found.boxes[:, 2:] <= [117, 203]).all()
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
