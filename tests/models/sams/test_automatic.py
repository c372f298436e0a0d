"""The grid of clicks keeps the masks that the authors' generator keeps."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import segment_anything
import torch
from segment_anything.utils import amg
from torchvision.ops import batched_nms

import napari_sam as ns
from napari_sam.models.everything import GridOptions
from napari_sam.models.sam1.architecture import Architecture
from napari_sam.models.sam1.build import build
from napari_sam.models.sam1.model import Sam1Model
from napari_sam.segment.everything import (
    _cut,
    crop_boxes,
    find_everything,
    grid,
    suppress,
)

SIDE = 5
HEAD = "mask_decoder"
CLOSE = 0.05  # stabilities differ by less


def generate(predictor, plane, **options):
    """Run the authors' generator; a pixel's centre is at whole numbers there."""
    height, width = plane.shape
    points = grid(SIDE)[:, ::-1] - 0.5 / np.array([width, height])
    generator = segment_anything.SamAutomaticMaskGenerator(
        predictor.model, points_per_side=None, point_grids=[points], **options
    )
    generator.predictor = predictor  # it has seen the plane
    predictor.set_image = predictor.reset_image = lambda *_: None
    return generator.generate(plane.pixels)


def widest_gap(values, least, most):
    """Return a threshold between quantiles that no value is close to."""
    ordered = np.sort(values)
    ordered = ordered[int(least * len(ordered)) : int(most * len(ordered)) + 1]
    at = int(np.diff(ordered).argmax())
    return float(ordered[at : at + 2].mean())


def iou(mask, other):
    return (mask & other).sum() / max(1, (mask | other).sum())


@pytest.fixture(scope="module")
def seen(mobile, mobile_state, planes):
    """A plane and both models, tuned so that scores spread as a trained model's."""
    plane = planes["square"]
    embedding, predictor = mobile.see(plane)
    clicks = [ns.Prompt(points=[(y, x)]) for y in (40, 150) for x in (60, 250)]
    raw = mobile.ours.decode_logits(embedding, clicks, multimask=True)
    scores = np.stack([low.scores for low in raw])
    logits = np.stack([low.logits for low in raw])
    scale = 0.15 / float(scores.std())
    state = dict(mobile_state[0])

    def tune(name, factor, added=0.0):
        state[f"{name}.weight"] = state[f"{name}.weight"] * factor
        state[f"{name}.bias"] = state[f"{name}.bias"] * factor + added

    tune(f"{HEAD}.iou_prediction_head.layers.2", scale, 0.6 - scale * scores.mean())
    # Logits far from 0: what interpolation does to noise hardly changes stability.
    for number, steep in ((1, 40.0), (2, 80.0), (3, 160.0)):
        factor = steep / float(logits[:, number - 1].std())
        tune(f"{HEAD}.output_hypernetworks_mlps.{number}.layers.2", factor)
    predictor = copy.deepcopy(predictor)
    predictor.model.load_state_dict(state)
    names = {"name": "random", "version": "0", "sha256": "r"}
    ours = Sam1Model(build(Architecture.VIT_T, state), **names, device="cpu")
    return plane, embedding, ours, predictor


@pytest.fixture(scope="module")
def thresholds(seen):
    """Thresholds that leave out a good part of the masks each."""
    plane, _, _, predictor = seen
    everything = generate(
        predictor,
        plane,
        pred_iou_thresh=0.0,
        stability_score_thresh=0.0,
        box_nms_thresh=1.0,
    )
    assert len(everything) == 3 * SIDE**2
    sure = [answer["predicted_iou"] for answer in everything]
    stable = [answer["stability_score"] for answer in everything]
    return widest_gap(sure, 0.1, 0.5), widest_gap(stable, 0.1, 0.5)


@pytest.mark.parametrize("box_iou", [1.0, 0.7])
def test_the_same_masks_are_kept(seen, thresholds, box_iou):
    plane, embedding, model, predictor = seen
    min_iou, min_stability = thresholds
    theirs = generate(
        predictor,
        plane,
        pred_iou_thresh=min_iou,
        stability_score_thresh=min_stability,
        box_nms_thresh=box_iou,
    )
    options = GridOptions(
        points_per_side=SIDE,
        min_iou=min_iou,
        min_stability=min_stability,
        iou=box_iou,
    )
    ours = find_everything(plane, model, options, embedding=embedding)
    assert 0 < len(theirs) < 3 * SIDE**2
    pairs = [
        (i, j)
        for i, mask in enumerate(ours.masks)
        for j, answer in enumerate(theirs)
        if iou(mask.full(plane.shape), answer["segmentation"]) > 0.98
    ]
    for i, j in pairs:
        assert ours.masks[i].score == pytest.approx(
            theirs[j]["predicted_iou"], abs=1e-3
        )
        expected = pytest.approx(theirs[j]["stability_score"], abs=CLOSE)
        assert ours.masks[i].stability == expected
    # Ours is measured on the network's 256 × 256 cells, theirs on the pixels, so one
    # that is close to the threshold may be kept by one of the two only.
    extra = set(range(len(ours))) - {i for i, _ in pairs}
    missing = set(range(len(theirs))) - {j for _, j in pairs}
    assert all(ours.masks[i].stability - min_stability < CLOSE for i in extra)
    assert all(theirs[j]["stability_score"] - min_stability < CLOSE for j in missing)
    assert len(pairs) > len(theirs) / 2
    assert (np.diff([mask.score for mask in ours.masks]) <= 0).all()


@pytest.mark.parametrize("shape", [(300, 300), (137, 420), (1111, 640), (9, 14)])
@pytest.mark.parametrize("layers", [0, 1, 3])
def test_the_parts_are_the_authors(shape, layers):
    boxes, numbers = amg.generate_crop_boxes(shape, layers, 512 / 1500)
    expected = [
        ((y0, x0, y1, x1), layer)
        for (x0, y0, x1, y1), layer in zip(boxes, numbers, strict=True)
        if y0 < y1 and x0 < x1  # theirs may be empty on tiny planes
    ]
    assert crop_boxes(shape, GridOptions(crop_layers=layers)) == expected


def test_the_grid_is_the_authors():
    assert np.allclose(grid(7)[:, ::-1], amg.build_point_grid(7))


def test_masks_cut_by_a_part_are_the_authors():
    random = np.random.default_rng(0)
    crop, shape = (100, 0, 400, 350), (600, 700)
    corners = random.integers(0, 280, (500, 2))
    boxes = np.hstack([corners, corners + random.integers(1, 120, (500, 2))])
    boxes = np.minimum(boxes, [300, 350, 300, 350])
    theirs = amg.is_box_near_crop_edge(
        torch.from_numpy(boxes[:, [1, 0, 3, 2]]), [0, 100, 350, 400], [0, 0, 700, 600]
    )
    moved = boxes + np.array([100, 0, 100, 0])
    ours = [_cut(tuple(box), crop, shape) for box in moved.tolist()]
    assert 100 < sum(ours) < 400
    assert ours == theirs.tolist()


@pytest.mark.parametrize("most", [0.0, 0.3, 0.7, 1.0])
def test_duplicates_are_those_of_torchvision(most):
    random = np.random.default_rng(1)
    corners = random.uniform(0, 60, (400, 2))
    boxes = np.hstack([corners, corners + random.uniform(5, 40, (400, 2))])
    scores = random.permutation(400) / 400
    xyxy = torch.from_numpy(boxes[:, [1, 0, 3, 2]])
    expected = batched_nms(xyxy, torch.from_numpy(scores), torch.zeros(400), most)
    assert suppress(boxes, scores, most).tolist() == expected.tolist()
