from dataclasses import replace

import numpy as np
import pytest
import tifffile

from napari_sam import data
from napari_sam.images import make_plane
from napari_sam.models.catalog import load_detector, load_model
from napari_sam.models.given import GivenDetector
from napari_sam.segment import (
    Proposals,
    annotate_plane,
    make_recipe,
    propose_plane,
    settle,
)
from napari_sam.types import Detections, Mask, Prompt


@pytest.fixture(scope="module")
def model():
    return load_model("pocket", device="cpu")


@pytest.fixture(scope="module")
def plane():
    cells = tifffile.imread(data.FOLDER / "images" / "phase_contrast.tif")
    return make_plane(cells[:256, :256], index=(3,))


def detector(model, **options):
    return load_detector("nuclei", model=model, device="cpu", **options)


@pytest.fixture(scope="module")
def broad(model, plane):
    return propose_plane(plane, model, detector(model, conf=0.05))


@pytest.mark.parametrize(
    "options", [{"conf": 0.25}, {"conf": 0.6}, {"conf": 0.1, "max_det": 5}]
)
def test_choosing_afterwards_equals_running_with_these_options(
    model, plane, broad, options
):
    recipe = make_recipe(**options)
    again = settle(broad.chosen(recipe), recipe)
    run = annotate_plane(plane, model, detector(model, **options), recipe)
    # A chunk of another size is rounded otherwise.
    assert (again.labels != run.labels).mean() < 1e-3
    assert again.objects.keys() == run.objects.keys()
    for name, column in run.objects.items():
        if column.dtype.kind == "f":
            assert np.allclose(again.objects[name], column, atol=0.1), name
        elif name in ("id", "class_id", "class_name"):
            assert np.array_equal(again.objects[name], column), name
    assert (again.index, again.truncated) == ((3,), run.truncated)
    assert len(run.objects["id"]) < len(broad)


def test_settling_uses_the_rules_for_cleaning(broad):
    areas = settle(broad, make_recipe()).objects["area"]
    least = int(np.median(areas)) + 1
    larger = settle(broad, make_recipe(min_area=least)).objects["area"]
    assert 0 < len(larger) < len(areas)
    assert larger.min() >= least


def test_masks_of_a_detector_prompt_the_model_with_their_own_boxes(model, plane):
    boxes = np.array(
        [(20, 30, 60, 90), (300, 0, 320, 9), (90, 100, 150, 140), (160, 40, 200, 80)],
        np.float32,
    )
    # Each fills another corner of its box; the last one has no pixels.
    upper = Mask((20, 30, 40, 60), np.ones((20, 30), np.bool_), 0.5)
    beside = Mask((0, 0, 9, 9), np.ones((9, 9), np.bool_), 0.6)
    lower = Mask((120, 120, 150, 140), np.ones((30, 20), np.bool_), 0.9)
    nothing = Mask((0, 0, 0, 0), np.zeros((0, 0), np.bool_), 0.0)
    found = Detections(
        boxes,
        np.array([0.5, 0.6, 0.9, 0.7], np.float32),
        np.array([0, 1, 2, 3]),
        masks=(upper, beside, lower, nothing),
    )
    given = GivenDetector({plane.index: found}, class_names=("a", "b", "c", "d"))
    proposals = propose_plane(plane, model, given)
    assert proposals.classes.tolist() == [2, 3, 0]  # the best first, and on the plane
    embedding = model.encode(plane)

    def answers(masks):
        prompts = [
            Prompt(box=boxes[number], previous=mask)
            for number, mask in zip((2, 3, 0), masks, strict=True)
        ]
        decoded = model.decode(embedding, prompts, multimask=False)
        return [each.best.full(plane.shape) for each in decoded]

    drawn = [mask.full(plane.shape) for mask in proposals.masks]
    wanted, without = answers((lower, None, upper)), answers((None, None, None))
    for one, other in zip(drawn, wanted, strict=True):
        assert np.array_equal(one, other)
    assert not np.array_equal(drawn[0], without[0])
    assert not np.array_equal(drawn[2], without[2])


def square(at, score=1.0):
    return Mask((at, at, at + 4, at + 4), np.ones((4, 4), np.bool_), score)


@pytest.fixture
def four():
    return Proposals(
        index=(),
        shape=(40, 40),
        masks=tuple(square(at) for at in (0, 10, 20, 30)),
        scores=np.array([0.3, 0.9, 0.6, 0.1], np.float32),
        classes=np.array([0, 1, 1, 0]),
        class_names=("cell", "debris"),
    )


def chosen(proposals, **options):
    found = proposals.chosen(make_recipe(**options))
    return [mask.box[0] for mask in found.masks]


def test_the_most_likely_come_first_and_unlikely_ones_go(four):
    assert chosen(four) == [10, 20, 0]
    assert chosen(four, conf=0) == [10, 20, 0, 30]
    assert chosen(four, conf=0.95) == []


def test_classes_are_chosen_by_number(four):
    assert chosen(four, classes=[0]) == [0]
    assert chosen(four, classes=[0, 1], max_det=2) == [10, 20]


@pytest.mark.parametrize(
    ("stopped", "options", "truncated"),
    [
        (False, {"conf": 0}, False),
        (False, {"conf": 0, "max_det": 3}, True),
        (True, {"conf": 0}, True),
        # What the detector left out is less likely than what is left out here.
        (True, {"conf": 0.2}, False),
    ],
)
def test_it_is_known_whether_there_was_more(four, stopped, options, truncated):
    found = replace(four, truncated=stopped).chosen(make_recipe(**options))
    assert found.truncated is truncated
    assert settle(found, make_recipe(**options)).truncated is truncated


def test_a_plane_of_one_colour_runs_nothing():
    class Never:
        class_names = ("cell",)

        def __getattr__(self, name):
            raise AssertionError(f"{name} was asked for")

    blank = make_plane(np.full((20, 30), 7, np.uint8), index=(1, 2))
    found = propose_plane(blank, Never(), Never())
    assert not found.has_contrast
    result = settle(found.chosen(make_recipe()), make_recipe())
    assert (result.index, result.labels.shape) == ((1, 2), (20, 30))
    assert result.warnings == (
        "the plane has no contrast, so nothing can be found on it",
    )
