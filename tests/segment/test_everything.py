"""Everything from a grid of clicks, with the built-in model on real nuclei."""

import queue
import threading
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from napari_sam import data
from napari_sam.images import make_plane
from napari_sam.models.catalog import load_detector, load_model
from napari_sam.models.everything import EverythingDetector, GridOptions, confidence
from napari_sam.models.lane import Priority, acquire
from napari_sam.segment import (
    annotate,
    annotate_plane,
    compare_labels,
    find_everything,
    make_recipe,
    propose_plane,
    settle,
)
from napari_sam.types import ModelError


@pytest.fixture(scope="module")
def model():
    return load_model("pocket", device="cpu")


@pytest.fixture(scope="module")
def nuclei():
    return tifffile.imread(data.FOLDER / "images" / "fluorescence.tif")


@pytest.fixture(scope="module")
def truth():
    return tifffile.imread(data.FOLDER / "truth" / "fluorescence.tif")


@pytest.fixture(scope="module")
def part(frames):
    """A corner with some nuclei, for what needs no more."""
    return make_plane(frames[0], index=(4,))


@pytest.fixture(scope="module")
def found(model, part):
    return find_everything(part, model, GridOptions(points_per_side=12))


def test_most_nuclei_are_found(model, nuclei, truth):
    detector = load_detector("everything")
    result = annotate_plane(make_plane(nuclei), model, detector, make_recipe())
    agreement = compare_labels(truth, result.labels)
    assert agreement.f1_at(0.5) > 0.7
    assert len(result.clicks.points) == len(result.objects["id"])


def test_masks_come_with_their_clicks_best_first(part, found):
    scores = [mask.score for mask in found.masks]
    assert len(found) > 3
    assert scores == sorted(scores, reverse=True)
    assert found.index == (4,)
    assert (found.classes == 0).all()
    assert (found.scores >= 0.25).all() and (found.scores <= 1).all()
    inside = [
        mask.full(part.shape)[tuple(np.floor(point).astype(int))]
        for mask, point in zip(found.masks, found.clicks.points, strict=True)
    ]
    assert np.mean(inside) > 0.8
    assert (found.clicks.crops == [0, 0, *part.shape]).all()


def test_thresholds_leave_out_what_they_say(model, part, found):
    options = GridOptions(points_per_side=12)
    loose = find_everything(part, model, replace(options, conf=0, min_stability=0))
    assert len(loose) > len(found)
    limits = options.thresholds(model)
    assert all(m.score >= limits[0] and m.stability >= limits[1] for m in found.masks)
    few = find_everything(part, model, replace(options, max_det=2))
    assert few.truncated and not found.truncated
    assert [m.box for m in few.masks] == [m.box for m in found.masks[:2]]
    areas = [mask.area for mask in found.masks]
    fraction = np.median(areas) / np.prod(part.shape)
    small = find_everything(part, model, replace(options, max_fraction=fraction))
    assert max(mask.area for mask in small.masks) <= np.median(areas)


def test_confidence_is_a_quarter_at_the_threshold_whatever_the_model():
    assert confidence(0.88, 0.88) == pytest.approx(0.25)
    assert confidence(0.5, 0.5) == pytest.approx(0.25)
    assert confidence(1.02, 0.88) == 1
    assert confidence(-3, 0.88) == 0


def test_values_that_cannot_be_are_refused():
    with pytest.raises(ModelError, match="min_iou must be below 1"):
        GridOptions(min_iou=1.0)
    with pytest.raises(ModelError, match="points_per_side must be at least 1"):
        load_detector("everything", points_per_side=0)


def test_choosing_afterwards_equals_running_with_these_options(model, part):
    options = GridOptions(points_per_side=12, conf=0.05)
    broad = find_everything(part, model, options)
    run = find_everything(part, model, replace(options, conf=0.5, max_det=300))
    chosen = broad.chosen(make_recipe(conf=0.5))
    assert 0 < len(run) < len(broad)
    assert [m.box for m in chosen.masks] == [m.box for m in run.masks]
    assert np.array_equal(chosen.clicks.points, run.clicks.points)


def test_an_embedding_is_used_again(model, part, found):
    class Counting:
        def __init__(self):
            self.encoded = 0

        def encode(self, plane):
            self.encoded += 1
            return model.encode(plane)

        def decode(self, *args, **options):
            return model.decode(*args, **options)

        info = model.info

    # Another class than the built-in model's has SAM's thresholds.
    limits = dict(
        zip(("min_iou", "min_stability"), GridOptions().thresholds(model), strict=True)
    )
    counting = Counting()
    options = GridOptions(points_per_side=12, **limits)
    again = find_everything(part, counting, options, embedding=model.encode(part))
    assert counting.encoded == 0
    assert [m.box for m in again.masks] == [m.box for m in found.masks]


def test_the_grid_can_be_laid_over_a_region(model, part):
    region = (10.0, 20.0, 60.0, 90.0)
    options = GridOptions(points_per_side=6)
    found = find_everything(part, model, options, region=region)
    y, x = found.clicks.points.T
    assert len(found)
    assert y.min() > 10 and y.max() < 60 and x.min() > 20 and x.max() < 90
    beside = find_everything(part, model, options, region=(-50, -50, -1, -1))
    assert len(beside) == 0


def test_parts_of_the_plane_are_looked_at_too(model, part, found):
    options = GridOptions(points_per_side=8, crop_layers=1)
    both = find_everything(part, model, options)
    crops = {tuple(crop) for crop in both.clicks.crops.tolist()}
    assert len(crops) > 1
    for (y0, x0, y1, x1), mask, point in zip(
        both.clicks.crops.tolist(), both.masks, both.clicks.points, strict=True
    ):
        assert y0 <= mask.box[0] < mask.box[2] <= y1
        assert x0 <= mask.box[1] < mask.box[3] <= x1
        assert y0 < point[0] < y1 and x0 < point[1] < x1
    labels = settle(both, make_recipe()).labels
    whole = settle(found, make_recipe()).labels
    assert compare_labels(whole, labels).f1_at(0.5) > 0.6


def test_it_stops_at_once(model, nuclei):
    posted = queue.Queue()
    handle = acquire(owner="test", post=posted.put)
    plane, begun, ended = make_plane(nuclei), threading.Event(), []

    class Slow:
        def encode(self, plane):
            return model.encode(plane)

        def decode(self, embedding, prompts, *, multimask=None):
            begun.set()
            return model.decode(embedding, prompts, multimask=multimask)

        info = model.info

    try:
        request = handle.submit(
            lambda: find_everything(plane, Slow(), GridOptions(points_per_side=200)),
            slot="all",
            priority=Priority.BATCH,
            done=lambda _: ended.append("done"),
            cancelled=lambda: ended.append("cancelled"),
        )
        assert begun.wait(60)
        request.cancel()
        while not ended:
            posted.get(timeout=60)()
    finally:
        handle.close(60)
    assert ended == ["cancelled"]


def test_a_plane_of_one_colour_runs_nothing():
    blank = make_plane(np.full((20, 30), 7, np.uint8), index=(2,))
    found = find_everything(blank, None)
    assert (len(found), found.has_contrast, found.index) == (0, False, (2,))
    result = settle(found, make_recipe())
    assert result.labels.shape == (20, 30) and result.warnings


def test_tiny_planes_are_planes_too(model):
    random = np.random.default_rng(0)
    for shape in ((1, 2), (3, 40)):
        plane = make_plane(random.integers(0, 255, shape, np.uint8))
        options = GridOptions(points_per_side=2, crop_layers=1, min_stability=0)
        found = find_everything(plane, model, options)
        assert settle(found, make_recipe(min_area=0)).labels.shape == shape


def test_objects_are_chosen_without_another_run(found):
    def areas(**options):
        return settle(found, make_recipe(**options)).objects["area"]

    whole = settle(found, make_recipe())
    everything = whole.objects["area"]
    assert areas(max_area=int(np.median(everything))).max() <= np.median(everything)
    middle = float(np.median(whole.objects["stability"]))
    stable = settle(found, make_recipe(min_stability=middle)).objects["stability"]
    assert 0 < len(stable) < len(everything) and stable.min() >= middle
    inner = settle(found, make_recipe(border=False))
    edges = np.ones(inner.labels.shape, bool)
    edges[1:-1, 1:-1] = False
    assert not inner.labels[edges].any() and whole.labels[edges].any()
    assert len(inner.clicks.points) == len(inner.objects["id"]) > 0


def test_it_is_a_detector_by_name(model, frames, part):
    detector = load_detector("everything", conf=0.4, points_per_side=6, crop_layers=1)
    assert isinstance(detector, EverythingDetector)
    options = detector.options
    assert (options.conf, options.points_per_side, options.crop_layers) == (0.4, 6, 1)
    assert len(propose_plane(part, model, detector)) > 0
    with pytest.raises(ModelError, match="no boxes"):
        detector.detect([part])
    labels, objects = annotate(
        frames[0], detector="everything", model=model, points_per_side=10
    )
    assert labels.max() == len(objects["id"]) > 3
    assert set(objects["class_name"]) == {"object"}
