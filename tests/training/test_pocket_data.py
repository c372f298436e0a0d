"""What the network is trained on: the split, the targets, the prompts."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pytest
import tifffile
import torch
from torch.utils.data import DataLoader

from napari_sam.data import FOLDER, demo_images
from napari_sam.images import make_plane
from napari_sam.models.pocket.geometry import cell_boxes, square_regions
from napari_sam.training.pocket.config import Config
from napari_sam.training.pocket.data import (
    CROP,
    Crops,
    Example,
    centreness,
    random_crop,
)
from napari_sam.training.pocket.prompts import correct, draw_prompts, spoiled
from napari_sam.training.pocket.split import DEMO, load_split
from napari_sam.training.pocket.synthetic import made_up
from napari_sam.training.pocket.targets import dense_targets, region_targets


@pytest.fixture(scope="module")
def example() -> Example:
    demo = next(d for d in demo_images() if d.key == "fluorescence")
    labels = tifffile.imread(demo.truth).astype(np.int32)
    pixels = make_plane(tifffile.imread(demo.image)).pixels
    return Example(pixels, labels, centreness(labels))


@dataclass(frozen=True)
class StoredSource:
    """An example that is in memory already, in place of its files."""

    example: Example
    kind: str = "fluorescence"

    def load(self) -> Example:
        return self.example


def test_no_image_is_in_two_parts_of_the_split():
    for parts in load_split().values():
        ids = [i for part in ("train", "validation", "test") for i in parts[part]]
        assert len(ids) == len(set(ids))
        assert min(len(parts[part]) for part in parts) >= 2


def test_shipped_images_are_none_that_were_trained_on():
    # The README of the data names the ids of the fields that were taken.
    words = set(re.findall(r"\w+", (FOLDER / "README.md").read_text("utf-8")))
    split = load_split()
    assert words >= DEMO
    for parts in split.values():
        assert words.isdisjoint(parts["train"])
        assert words.isdisjoint(parts["validation"])


def test_centreness_is_one_inside_each_object_and_zero_outside(example):
    labels, middle = example.labels, example.centreness
    assert not middle[labels == 0].any()
    largest = [middle[labels == i].max() for i in np.unique(labels[labels > 0])]
    assert np.allclose(largest, 1)


def test_crops_depend_on_seed_and_number_alone(example):
    source = StoredSource(example)

    def first(start, seed=3, count=2):
        stream = iter(Crops([source], Config(seed=seed), start=start))
        return [next(stream) for _ in range(count)]

    ahead, again = first(0, count=3), first(2, count=1)
    for name, value in again[0].items():
        assert np.array_equal(ahead[2][name], value), name
    other = first(0, seed=4, count=1)
    assert not np.array_equal(other[0]["pixels"], ahead[0]["pixels"])


@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_processes_cuts_the_same_crops(example, workers):
    config = Config(crops=2, objects=2)

    def batches(workers):
        crops = Crops([StoredSource(example)], config)
        loader = iter(DataLoader(crops, batch_size=2, num_workers=workers))
        return [next(loader)["pixels"] for _ in range(3)]

    pairs = zip(batches(0), batches(workers), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)


def test_pixels_and_labels_of_a_crop_stay_on_top_of_each_other(example):
    # Where an object is bright in the image it must be bright in the crop.
    flat = np.where(example.labels > 0, 200, 20).astype(np.uint8)
    marked = Example(
        np.repeat(flat[..., None], 3, 2), example.labels, example.centreness
    )
    for seed in range(12):
        random = np.random.default_rng(seed)
        state = random.bit_generator.state
        crop = random_crop(marked, 0.7, random)
        random.bit_generator.state = state
        inside = crop["labels"] > 0
        deep, far = crop["centreness"] > 0.5, ~inside
        if deep.sum() < 50:
            continue
        grey = crop["pixels"].mean(0)
        assert crop["pixels"].shape == (3, CROP, CROP)
        # Inversion may swap them; nothing may mix them.
        difference = abs(grey[deep].mean() - np.median(grey[far]))
        assert difference > 2 * grey[far].std() or difference > 40


def test_without_strong_changes_a_crop_is_a_part_of_the_image(example):
    scales, strong_scales = [], []
    for seed in range(8):
        for strong, found in ((False, scales), (True, strong_scales)):
            random = np.random.default_rng(seed)
            crop = random_crop(example, 0.7, random, Config(strong=strong))
            areas = np.bincount(crop["labels"].ravel())[1:]
            whole = np.bincount(example.labels.ravel())[1 : len(areas) + 1]
            if areas.size:
                found.append(float(np.sqrt((areas / whole).max())))
            if not strong:
                # Bilinear sampling leaves the range of the image.
                low, high = example.pixels.min(), example.pixels.max()
                assert crop["pixels"].min() >= low
                assert crop["pixels"].max() <= high
    assert max(scales) < 1.2 < max(strong_scales)


def test_every_object_owns_a_cell_that_reads_its_box(example):
    labels = example.labels[:256, :256].astype(np.int64)
    middle = example.centreness[:256, :256].astype(np.float32)
    target = dense_targets(labels, middle)
    dense = np.concatenate(
        [
            target["centre"][None],
            target["foreground"][None],
            np.log(target["distances"].clip(1e-3)),
        ]
    )
    boxes = cell_boxes(torch.from_numpy(dense)).numpy()
    for number in np.unique(labels[labels > 0]):
        rows, columns = np.nonzero(labels == number)
        box = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
        rows, columns = rows // 4, columns // 4
        peak = target["centre"][rows, columns].argmax()
        read = boxes[:, rows[peak], columns[peak]]
        assert np.abs(read - box).max() < 4


def test_a_region_is_sampled_where_it_lies(example):
    labels = torch.from_numpy(example.labels[None, :256, :256].astype(np.int64))
    number = int(np.bincount(labels.ravel())[1:].argmax()) + 1
    rows, columns = np.nonzero(labels[0].numpy() == number)
    box = torch.tensor(
        [[[rows.min(), columns.min(), rows.max() + 1.0, columns.max() + 1.0]]]
    )
    regions = square_regions(box.float())
    target, valid = region_targets(labels, torch.tensor([[number]]), regions)
    sample = float(regions[0, 0, 2] - regions[0, 0, 0]) / 64
    assert float(target.sum()) * sample**2 == pytest.approx(len(rows), rel=0.03)
    assert target.max() == 1
    beside, nowhere = region_targets(labels, torch.tensor([[number]]), regions + 2000)
    assert not beside.any()
    assert not nowhere.any()
    assert valid.any()


def test_prompts_agree_with_the_objects_they_are_for(example):
    labels = example.labels[:256, :256]
    middle = example.centreness[:256, :256].astype(np.float32)
    for seed in range(10):
        drawn = draw_prompts(labels, middle, 6, np.random.default_rng(seed))
        for k, number in enumerate(drawn["ids"]):
            assert drawn["areas"][k] == (labels == number).sum()
            asked = drawn["marks"][k] >= 0
            assert asked.any() or drawn["trust"][k] == 1 or drawn["masks"][k]
            for (y, x), mark in zip(
                drawn["points"][k][asked], drawn["marks"][k][asked], strict=True
            ):
                y, x = np.clip([int(y), int(x)], 0, 255)
                assert mark == (labels[y, x] == number)


def test_a_crop_without_objects_asks_for_nothing():
    empty = np.zeros((64, 64), np.int64)
    drawn = draw_prompts(empty, empty.astype(np.float32), 3, np.random.default_rng(0))
    assert drawn["ids"].tolist() == [0, 0, 0]
    assert not dense_targets(empty, empty.astype(np.float32))["weight"].any()


def test_corrections_are_clicks_on_mistakes():
    target = torch.zeros((2, 64, 64))
    target[:, 10:30, 10:30] = 1
    logits = torch.where(target > 0, 5.0, -5.0)
    logits[0, 40:50, 40:50] = 5.0  # the first answer has a wrong part
    regions = torch.tensor([[0.0, 0, 128, 128]] * 2)
    noise = torch.rand((2, 64 * 64), generator=torch.Generator().manual_seed(0))
    points, marks = correct(logits, target, torch.ones_like(target), regions, noise)
    assert marks.tolist() == [[0], [-1]]
    y, x = points[0, 0].tolist()
    assert 80 <= y <= 100
    assert 80 <= x <= 100


def test_people_correct_in_the_middle_of_the_larger_mistake():
    target = torch.zeros((1, 64, 64))
    target[:, 10:30, 10:30] = 1
    logits = torch.where(target > 0, 5.0, -5.0)
    logits[0, 40:55, 40:55] = 5.0  # beyond
    logits[0, 10:14, 10:14] = -5.0  # missing
    regions = torch.tensor([[0.0, 0, 64, 64]])
    noise = torch.rand((1, 64 * 64), generator=torch.Generator().manual_seed(0))
    inner = torch.tensor([True])
    points, marks = correct(
        logits, target, torch.ones_like(target), regions, noise, inner
    )
    assert marks.tolist() == [[0]]
    assert (points[0, 0] - 47.5).abs().max() <= 1


def test_spoiled_masks_are_wrong_but_of_the_same_object():
    target = torch.zeros((40, 64, 64))
    target[:, 16:48, 16:48] = 1
    wrong = spoiled(target, torch.Generator().manual_seed(1))
    shared = (wrong & (target > 0)).sum((1, 2))
    iou = shared / (wrong | (target > 0)).sum((1, 2))
    assert 0.3 < iou.min()
    assert iou.max() < 1
    assert iou.median() > 0.6


def test_made_up_scenes_have_objects_that_can_be_told_from_what_is_behind():
    seen = []
    for seed in range(30):
        pixels, labels = made_up(np.random.default_rng(seed))
        assert pixels.shape == (*labels.shape, 3)
        assert pixels.dtype == np.uint8
        sizes = np.bincount(labels.ravel())[1:]
        assert (sizes > 0).all()
        seen.append(len(sizes))
    assert min(seen) >= 1
    assert max(seen) >= 20
