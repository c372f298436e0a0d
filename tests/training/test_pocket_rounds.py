"""What the decoder is shown in training is what it is shown in use."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch

import napari_sam as ns
from napari_sam.data import demo_images
from napari_sam.models.pocket.views import draw, views
from napari_sam.training.pocket.config import CLICKS
from napari_sam.training.pocket.evaluate import evaluate
from napari_sam.training.pocket.export import SHIPPED
from napari_sam.training.pocket.rounds import Rounds
from napari_sam.training.scoring import clicks_needed, objects_of
from napari_sam.types import Mask, Prompt


@pytest.fixture(scope="module")
def scene():
    """A model, a plane it has encoded, and the true labels."""
    demo = next(d for d in demo_images() if d.key == "fluorescence")
    image = tifffile.imread(demo.image)[:256, :256]
    labels = tifffile.imread(demo.truth)[:256, :256].astype(np.int64)
    model = ns.load_model("pocket", device="cpu")
    return model, model.encode(image), labels


def batch_of(labels, number, point):
    """A batch with one object that is asked for with one click."""
    points = torch.zeros((1, 1, CLICKS, 2))
    points[0, 0, 0] = torch.tensor(point)
    marks = torch.full((1, 1, CLICKS), -1)
    marks[0, 0, 0] = 1
    return {
        "labels": torch.from_numpy(labels)[None],
        "ids": torch.tensor([[number]]),
        "points": points,
        "marks": marks,
        "boxes": torch.tensor([[[0.0, 0, 16, 16]]]),
        "trust": torch.tensor([[0.5]]),
        "stretch": torch.ones((1, 1)),
        "middles": torch.zeros((1, 1, 2)),
        "reads": torch.zeros((1, 1)),
        "masks": torch.zeros((1, 1)),
    }


def test_a_click_and_its_correction_look_as_they_do_in_use(scene):
    model, embedding, labels = scene
    features = model.features(embedding)
    number, place = max(objects_of(labels), key=lambda o: (labels == o[0]).sum())
    point = [float(s.start + s.stop) / 2 for s in place]
    rounds = Rounds(batch_of(labels, number, point), torch.Generator().manual_seed(0))

    maps = rounds.first(features, read=True)
    (look,) = views(features, [Prompt(points=[point])], False)
    regions, drawn = draw([look], torch.device("cpu"))
    assert torch.allclose(rounds.regions[0], regions, atol=1e-3)
    assert torch.allclose(maps[0], drawn, atol=1e-3)

    # An answer that is a square within the region.
    logits = torch.full((1, 1, 64, 64), -8.0)
    logits[..., 20:40, 16:44] = 8.0
    low = rounds.regions[0, 0, :2].numpy()
    cell = float(rounds.regions[0, 0, 2] - low[0]) / 64
    maps = rounds.corrected(logits)
    clicks = rounds.points[0, 0, rounds.marks[0, 0] >= 0].numpy()
    marks = rounds.marks[0, 0][rounds.marks[0, 0] >= 0].tolist()
    y, x = (np.arange(256)[:, None] + 0.5, np.arange(256)[None] + 0.5)
    row, column = (y - low[0]) / cell, (x - low[1]) / cell
    square = (row >= 20) & (row < 40) & (column >= 16) & (column < 44)
    prompt = Prompt(points=clicks, labels=marks, previous=Mask.from_array(square))
    (look,) = views(features, [prompt], False)
    regions, drawn = draw([look], torch.device("cpu"))
    # Pixels are coarser than samples here.
    assert (rounds.regions[0] - regions).abs().max() < 2
    assert (maps[0] - drawn).abs().mean() < 0.03


def test_a_mask_prompt_is_wrong_and_lies_in_its_region(scene):
    model, embedding, labels = scene
    number, place = max(objects_of(labels), key=lambda o: (labels == o[0]).sum())
    batch = batch_of(labels, number, [0.0, 0.0])
    batch["marks"][:] = -1
    batch["masks"][:] = 1
    box = [s.start for s in place] + [s.stop for s in place]
    batch["boxes"] = torch.tensor([[box]], dtype=torch.float32)
    rounds = Rounds(batch, torch.Generator().manual_seed(3))
    maps = rounds.first(model.features(embedding), read=True)[0, 0]
    assert not maps[:2].any()
    assert maps[5].all()
    rim = torch.cat([maps[4, 0], maps[4, -1], maps[4, :, 0], maps[4, :, -1]])
    assert not rim.any()
    assert 0.05 < maps[4].mean() < 0.7


def test_clicking_on_brings_objects_to_be_outlined_well(scene):
    model, embedding, labels = scene
    objects = objects_of(labels)[:5]
    needed, paths = clicks_needed(model, embedding, labels, objects)
    assert len(needed) == len(objects)
    for count, path in zip(needed, paths, strict=True):
        assert len(path) == 6
        assert (max(path) >= 0.85) == (count <= 6)


def test_a_network_is_judged_on_the_validation_part(data, tmp_path):
    from napari_sam.models.pocket.network import PocketNetwork
    from napari_sam.training.pocket.export import exported_state

    network = PocketNetwork()
    network.load_state_dict(exported_state(SHIPPED))
    figures = evaluate(network.eval(), data, tmp_path, 1)
    assert figures["box"] > 0.6
    assert {"centre_click", "any_click", "phase_box", "second_click"} <= set(figures)
