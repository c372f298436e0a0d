"""The files of ultralytics' own `auto_annotate`, from the same weights and images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from napari_sam.images import make_plane
from napari_sam.models.catalog import load_detector
from napari_sam.models.ultra import load_ultralytics, quiet
from napari_sam.records.run import run
from napari_sam.segment.recipe import Recipe

SIDE = 192
OPTIONS = {"conf": 0.02, "iou": 0.45, "imgsz": 320, "max_det": 1}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Square ones: there both preprocess alike, elsewhere the padding differs."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(3)
    y, x = np.mgrid[:SIDE, :SIDE][..., None]
    for number in range(2):
        # Smooth: what is left of the two ways to enlarge an image is rounding.
        cy, cx = random.uniform(60, 130, 2)
        blob = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 1200)
        pixels = 40 + y / 4 + blob * random.uniform(40, 200, 3)
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        image.save(folder / f"field_{number}.png")
    return folder


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """A random YOLO that is sure of something on every image."""
    tasks = load_ultralytics("ultralytics.nn.tasks")
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(0)
        module = tasks.DetectionModel("yolo11n.yaml", nc=3, verbose=False)
    for layer in module.model[-1].cv3:
        layer[-1].bias.data.copy_(torch.tensor([-3.0, -1.0, -5.0]))
    module.names, module.task = {0: "a", 1: "b", 2: "c"}, "detect"
    path = tmp_path_factory.mktemp("weights") / "detector.pt"
    torch.save({"model": module, "train_args": {"imgsz": 320}}, path)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A random MobileSAM that is sure of every mask, so that none is dropped."""
    builders = load_ultralytics("ultralytics.models.sam.build")
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(0)
        network = builders.build_mobile_sam(None)
    head = network.mask_decoder.iou_prediction_head.layers[-1]
    head.weight.data.zero_()
    head.bias.data.fill_(0.9)
    # No details finer than 4 of the 256 pixels of its masks: on their way to the
    # image's pixels the two take different steps.
    for layer in network.mask_decoder.output_upscaling:
        if isinstance(layer, torch.nn.ConvTranspose2d):
            layer.weight.data.copy_(layer.weight.data.mean((2, 3), keepdim=True))
    # By its name ultralytics knows what it is.
    path = tmp_path_factory.mktemp("weights") / "mobile_sam.pt"
    torch.save(network.state_dict(), path)
    return path


def raw_mask(path, sam, detector):
    """Their mask before it becomes a polygon, which joins pieces and fills holes.

    For our box: that both find the same boxes is tested with the detectors, and
    this one's scores are nearly ties.
    """
    pixels = np.asarray(Image.open(path))
    (found,) = detector.detect([make_plane(pixels)])
    y0, x0, y1, x1 = found.boxes[0].tolist()
    with quiet():
        (answer,) = sam(
            pixels[..., ::-1].copy(),
            bboxes=[[x0, y0, x1, y1]],
            device="cpu",
            verbose=False,
        )
    return answer.masks.data[0].numpy().astype(bool)


def classes_in(path):
    return [int(line.split()[0]) for line in path.read_text().splitlines()]


def test_the_same_files_come_out(images, detector, model, tmp_path):
    theirs = tmp_path / "theirs"
    with quiet():
        load_ultralytics("ultralytics.data.annotator").auto_annotate(
            images, str(detector), str(model), "cpu", output_dir=theirs, **OPTIONS
        )
    recipe = Recipe(
        detector=str(detector),
        model=str(model),
        device="cpu",
        # Nothing is mended or left out, as over there.
        max_hole=0,
        min_fragment=0,
        min_kept=0,
        min_area=0,
        **OPTIONS,
    )
    report = run([images], tmp_path / "ours", recipe, formats=["yolo"])
    assert report.exit_code == 0
    ours = tmp_path / "ours" / "yolo"
    assert {path.name for path in ours.glob("*.txt")} == {"field_0.txt", "field_1.txt"}
    sam = load_ultralytics().SAM(str(model))
    boxes = load_detector(detector, device="cpu", **OPTIONS)
    for image in sorted(images.iterdir()):
        rows = Path(image.name).with_suffix(".txt")
        assert len(classes_in(theirs / rows)) == 1
        assert classes_in(ours / rows) == classes_in(theirs / rows)
        labels = tifffile.imread(tmp_path / "ours" / "labels" / f"{image.stem}.tif")
        expected = raw_mask(image, sam, boxes)
        assert 0.05 < expected.mean() < 0.95
        shared, either = (labels > 0) & expected, (labels > 0) | expected
        assert shared.sum() > 0.9 * either.sum()
