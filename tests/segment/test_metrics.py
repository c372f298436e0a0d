import json

import cellseg_metrics
import numpy as np
import pytest
import tifffile
from scipy import ndimage

from napari_sam import data
from napari_sam.segment import (
    THRESHOLDS,
    Agreement,
    Comparison,
    LabelError,
    compare_labels,
)


def guesses(truth, seed=0):
    """Make predictions of every kind of wrong from a true label image."""
    rng = np.random.default_rng(seed)
    ids = np.unique(truth[truth > 0])
    yield truth
    yield np.roll(truth, 2, 0)
    yield np.roll(truth, 5, 1)
    yield ndimage.grey_erosion(truth, 5)
    yield ndimage.grey_dilation(truth, 5)
    missing = np.where(np.isin(truth, rng.choice(ids, ids.size // 3)), 0, truth)
    yield missing
    yield np.where(truth > 0, truth // 2 + 1, 0)  # merged in twos
    halves = np.where(np.arange(truth.shape[1]) % 16 < 8, truth, truth + ids.max())
    yield np.where(truth > 0, halves, 0)
    yield rng.permutation(int(ids.max()) + 1)[truth] + 7 * (truth > 0)


@pytest.mark.parametrize("name", ["fluorescence", "histology", "phase_contrast"])
def test_agrees_with_an_independent_library(name):
    truth = tifffile.imread(data.FOLDER / "truth" / f"{name}.tif").astype(np.int64)[
        :256, :256
    ]
    for guess in guesses(truth):
        ours = compare_labels(truth, guess)
        for threshold, f1 in zip(THRESHOLDS, ours.f1, strict=True):
            # Theirs counts what is above its threshold, ours what reaches it.
            theirs = cellseg_metrics.panoptic_quality(truth, guess, threshold - 1e-9)
            assert f1 == pytest.approx(theirs["dq"], abs=1e-6)
            if threshold == 0.5 and ours.tp[0]:
                assert ours.mean_iou == pytest.approx(theirs["sq"], abs=1e-6)


def test_two_halves_of_one_object_count_once():
    truth = np.ones((2, 8), int)
    halves = np.repeat([[1] * 4 + [2] * 4], 2, axis=0)
    found = compare_labels(truth, halves)
    assert (found.tp[0], found.fp[0], found.fn[0]) == (1, 1, 0)
    assert found.mean_iou == 0.5
    assert found.tp[1] == 0


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_an_iou_that_is_the_threshold_counts(threshold):
    truth = np.ones((1, 100), int)
    guess = np.zeros((1, 100), int)
    guess[0, : round(100 * threshold)] = 1
    assert compare_labels(truth, guess).f1_at(threshold) == 1
    guess[0, round(100 * threshold) - 1] = 0
    assert compare_labels(truth, guess).f1_at(threshold) == 0


def test_files_add_up_object_by_object():
    truth = np.array([[1, 1, 0, 2, 2, 0, 3, 3]])
    good, bad = truth * 5, np.zeros_like(truth)
    total = sum(
        (compare_labels(truth, good), compare_labels(truth, bad)), start=Agreement()
    )
    assert (total.n_true, total.n_pred) == (6, 3)
    assert total.f1[0] == pytest.approx(2 * 3 / 9)
    assert total.mean_iou == 1


def test_nothing_there_and_nothing_found_is_right():
    empty = np.zeros((4, 4), np.uint16)
    assert compare_labels(empty, empty).f1 == (1.0,) * len(THRESHOLDS)
    assert compare_labels(empty, empty).mean_iou is None
    assert compare_labels(empty, empty + 1).f1_at(0.5) == 0
    assert compare_labels(empty + 1, empty).f1_at(0.5) == 0


def test_an_object_in_3d_is_one_object():
    truth = tifffile.imread(data.FOLDER / "truth" / "plant_nuclei_3d.tif")[20:30]
    whole = compare_labels(truth, truth, "ZYX")
    assert whole.n_true == np.unique(truth[truth > 0]).size
    per_plane = np.where(truth > 0, truth + 1000 * np.arange(10)[:, None, None], 0)
    assert compare_labels(truth, per_plane, "ZYX").f1_at(0.5) < 0.5


def test_time_points_are_compared_one_by_one():
    truth = tifffile.imread(data.FOLDER / "truth" / "nuclei_timelapse.tif")
    frames = np.arange(len(truth))[:, None, None]
    unlinked = np.where(truth > 0, truth + 1000 * frames, 0)
    assert compare_labels(truth, unlinked, "TYX").f1_at(0.95) == 1
    assert compare_labels(truth, unlinked).f1_at(0.5) < 1
    last = np.moveaxis(truth, 0, -1), np.moveaxis(unlinked, 0, -1)
    assert compare_labels(*last, "YXT").f1_at(0.95) == 1


def test_parts_give_what_the_whole_gives():
    truth = tifffile.imread(data.FOLDER / "truth" / "plant_nuclei_3d.tif")[30:40]
    guess = np.roll(truth, 2, 2)
    parts = Comparison()
    for plane, other in zip(truth, guess, strict=True):
        parts.add(plane, other)
    whole = Comparison()
    whole.add(truth, guess)
    assert parts.agreement() == whole.agreement() == compare_labels(truth, guess)


@pytest.mark.parametrize(
    ("true", "pred", "axes", "words"),
    [
        (np.zeros((4, 4), int), np.zeros((4, 5), int), None, "must be the same"),
        (np.zeros((4, 4), int), np.zeros((4, 4)), None, "must be integers"),
        (np.full((4, 4), -1), np.zeros((4, 4), int), None, "negative"),
        (np.zeros((4, 4), int), np.zeros((4, 4), int), "ZYX", "do not fit"),
    ],
)
def test_what_cannot_be_compared_is_refused(true, pred, axes, words):
    with pytest.raises(LabelError, match=words):
        compare_labels(true, pred, axes)


def test_a_report_is_json():
    truth = tifffile.imread(data.FOLDER / "truth" / "fluorescence.tif")
    report = compare_labels(truth, truth).to_dict()
    assert json.loads(json.dumps(report)) == report
    assert report["f1"]["0.50"] == report["mean_f1"] == 1
