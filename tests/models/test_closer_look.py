"""Planes of small objects are enlarged, and answers stay where the objects are."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch
from scipy import ndimage
from skimage.transform import downscale_local_mean

import napari_sam as ns
from napari_sam.data import demo_images
from napari_sam.models.pocket import model as pocket
from napari_sam.models.pocket.closer import closer_look, enlarged
from napari_sam.segment.metrics import compare_labels

TIMES = 5  # from nuclei of some 45 pixels across to such of nine


@pytest.fixture(scope="module")
def small():
    """Image, labels and (id, box, inner point) of a field of small nuclei."""
    demo = next(d for d in demo_images() if d.key == "fluorescence")
    image, labels = tifffile.imread(demo.image), tifffile.imread(demo.truth)
    image, labels = (whole[:, : 139 * TIMES] for whole in (image, labels))
    image = downscale_local_mean(image, (TIMES, TIMES)).astype(np.uint8)
    labels = labels[TIMES // 2 :: TIMES, TIMES // 2 :: TIMES]
    objects = []
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        if place is None or (labels == number).sum() < 30:
            continue
        depth = ndimage.distance_transform_edt(np.pad(labels == number, 1))[1:-1, 1:-1]
        point = np.array(np.unravel_index(depth.argmax(), depth.shape)) + 0.5
        rows, columns = place
        box = (rows.start, columns.start, rows.stop, columns.stop)
        objects.append((number, box, tuple(point)))
    return image, labels, objects


def test_answers_lie_on_small_objects(small):
    image, labels, objects = small
    model = ns.load_model("pocket", device="cpu")
    embedding = model.encode(image)
    assert 1.3 < model.features(embedding).zoom <= 2
    for prompts, least in (
        ([ns.Prompt(box=box) for _, box, _ in objects], 0.75),
        ([ns.Prompt(points=[point]) for *_, point in objects], 0.65),
    ):
        answers = model.decode(embedding, prompts)
        ious = []
        for (number, *_), answer in zip(objects, answers, strict=True):
            mask, truth = answer.best.full(labels.shape), labels == number
            ious.append((mask & truth).sum() / (mask | truth).sum())
        assert np.mean(ious) > least


def test_more_small_objects_are_found(small, monkeypatch):
    image, labels, _ = small

    def f1():
        found, _ = ns.annotate(image, device="cpu")
        return compare_labels(labels, found).f1_at(0.5)

    closer = f1()
    monkeypatch.setattr(pocket, "closer_look", lambda dense, shape: 1.0)
    assert closer > f1()


@pytest.mark.parametrize("key", ["fluorescence", "phase_contrast"])
def test_large_objects_are_seen_as_they_are(key):
    demo = next(d for d in demo_images() if d.key == key)
    model = ns.load_model("pocket", device="cpu")
    assert model.features(model.encode(tifffile.imread(demo.image))).zoom == 1


def test_a_huge_plane_is_not_enlarged_beyond_the_limit():
    dense = torch.zeros((6, 40, 40))
    dense[:2] = -5
    dense[:2, 5:40:7, 5:40:7] = 5  # peaks of objects of eight pixels
    dense[2:] = float(np.log(4))
    assert closer_look(dense, (160, 160)) == pytest.approx(2)
    assert closer_look(dense, (1400, 1400)) == pytest.approx(2048 / 1400)
    assert closer_look(dense, (4000, 4000)) == 1


def test_enlarging_keeps_places():
    pixels = torch.zeros((1, 3, 40, 60), dtype=torch.uint8)
    pixels[..., 10:20, 30:34] = 200
    larger = enlarged(pixels, 1.7)
    rows, columns = np.nonzero(larger[0, 0].numpy() > 100)
    assert (rows.min(), rows.max() + 1) == (17, 34)
    assert (columns.min(), columns.max() + 1) == (51, 58)
