"""The nuclei detector's training: its crops, a tiny run, and what is exported."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tifffile
import torch
import yaml

from napari_sam.data import demo_images
from napari_sam.images import make_plane
from napari_sam.models.ultra import load_ultralytics
from napari_sam.models.yolo.shipped import load_shipped
from napari_sam.training.pocket.data import Example, centreness
from napari_sam.training.yolo.crops import object_size, random_square
from napari_sam.training.yolo.train import read_config


@pytest.fixture(scope="module")
def example() -> Example:
    demo = next(d for d in demo_images() if d.key == "fluorescence")
    labels = tifffile.imread(demo.truth).astype(np.int32)
    pixels = make_plane(tifffile.imread(demo.image)).pixels
    return Example(pixels, labels, centreness(labels))


@pytest.mark.parametrize("wanted", [12, 24, 48])
def test_nuclei_come_out_at_the_size_that_is_asked_for(example, wanted):
    options = {"side": 256, "object_size": wanted, "spread": 0.0}
    whole = []
    for seed in range(8):
        random = np.random.default_rng(seed)
        pixels, boxes = random_square(example, options, random, changed=False)
        assert pixels.shape == (256, 256, 3)
        assert boxes.min() >= 0
        assert boxes.max() <= 256
        whole.append(boxes[(boxes > 0).all(1) & (boxes < 256).all(1)])
    sides = np.concatenate(whole)[:, 2:] - np.concatenate(whole)[:, :2]
    # An ellipse has π/4 of its box.
    found = np.median(np.sqrt(sides.prod(1) * np.pi / 4))
    assert found == pytest.approx(wanted, rel=0.15)


def test_the_boxes_are_where_the_nuclei_are(example):
    options = {"side": 256, "object_size": 24, "spread": 0.0}
    random = np.random.default_rng(3)
    pixels, boxes = random_square(example, options, random, changed=False)
    inside = np.zeros((256, 256), bool)
    for y0, x0, y1, x1 in boxes.astype(int):
        inside[y0:y1, x0:x1] = True
    assert pixels[inside].mean() > 3 * pixels[~inside].mean()


def test_object_size_ignores_missing_ids():
    labels = np.zeros((20, 20), int)
    labels[:4, :4], labels[8:12, 8:12], labels[14:20, 14:20] = 2, 5, 9
    assert object_size(labels) == 4


def test_what_is_shipped_equals_what_was_trained(data, tmp_path):
    config = read_config()
    config["crops"] |= {"side": 64, "object_size": 16}
    config["crops"]["per_image"] = dict.fromkeys(config["crops"]["per_image"], 1)
    config["train"] |= {"epochs": 1, "imgsz": 64, "fraction": 0.1, "workers": 0}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    options = ["--config", tmp_path / "config.yaml"]
    run("train", data, tmp_path / "run", *options)
    best = tmp_path / "run" / "yolo" / "weights" / "best.pt"
    shipped = tmp_path / "tiny.safetensors"
    run("export", best, "--version", "test", "--output", shipped, *options)

    load_ultralytics()
    trained = torch.load(best, weights_only=False)["model"].float().eval()
    random = torch.rand(1, 3, 128, 160, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = trained(random)[0]
        module, told = load_shipped(shipped)
        found = module.eval()(random)[0]
    assert torch.equal(found, expected)
    assert told["version"] == "test"


def run(module: str, *arguments: object) -> None:
    command = [sys.executable, "-m", f"napari_sam.training.yolo.{module}"]
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
