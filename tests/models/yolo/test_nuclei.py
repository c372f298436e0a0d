"""The detector that ships looks at objects at the size it was trained on."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from skimage.draw import disk

from napari_sam.images import make_plane
from napari_sam.models.options import DetectorOptions
from napari_sam.models.protocol import ModelInfo
from napari_sam.models.yolo.network import Answer, Traits
from napari_sam.models.yolo.nuclei import NucleiYolo, Scaling, load_nuclei
from napari_sam.models.yolo.shipped import load_shipped
from napari_sam.types import ModelError


class DiscNetwork:
    """Sees bright discs, the surer the closer they are to 24 pixels in diameter.

    A network with one size in its mind, whose answers are known; it keeps the
    sizes of the frames that it was shown.
    """

    traits = Traits(("disc",), stride=32)
    device = torch.device("cpu")

    def __init__(self):
        self.seen = []

    def __call__(self, batch):
        from scipy import ndimage

        self.seen.append(tuple(batch.shape[2:]))
        labels, _ = ndimage.label(batch[0, 0].numpy() > 0.5)
        rows = []
        for y, x in ndimage.find_objects(labels):
            height, width = y.stop - y.start, x.stop - x.start
            size = np.sqrt(height * width)
            sure = float(np.exp(-((np.log(size / 24) / 0.7) ** 2)))
            centre = ((x.start + x.stop) / 2, (y.start + y.stop) / 2)
            rows.append([*centre, width, height, sure])
        return Answer(torch.tensor(rows).reshape(-1, 5).T)


def plane_of_discs(diameter, shape, step):
    """A grid of discs, and their boxes."""
    pixels, boxes, r = np.zeros((*shape, 3), np.uint8), [], diameter / 2
    for y in np.arange(r + 3, shape[0] - r - 3, step):
        for x in np.arange(r + 3, shape[1] - r - 3, step):
            pixels[disk((y - 0.5, x - 0.5), r, shape=shape)] = 255
            boxes.append((y - r, x - r, y + r, x + r))
    return make_plane(pixels), np.array(boxes)


def detector(network, scaling=None, **options):
    info = ModelInfo("discs", "1", "", "cpu")
    # sqrt(area) of a disc of 24 pixels in diameter.
    scaling = scaling or Scaling(object_size=24 * np.sqrt(np.pi / 4))
    return NucleiYolo(network, info, scaling, DetectorOptions(**options))


def assert_same(found, boxes, tolerance):
    away = np.abs(found.boxes[:, None] - boxes).max(-1)
    assert len(found) == len(boxes)
    assert away.min(0).max() <= tolerance
    assert (np.diff(found.scores) <= 0).all()


@pytest.mark.parametrize("diameter", [9, 24, 60, 220])
def test_objects_of_any_size_are_looked_at_in_their_size(diameter):
    plane, boxes = plane_of_discs(diameter, (500, 640), max(diameter * 1.6, 20))
    network = DiscNetwork()
    (found,) = detector(network, conf=0.8, max_det=2000).detect([plane])
    assert_same(found, boxes, tolerance=1 + diameter / 20)


def test_a_plane_of_the_right_size_is_not_enlarged():
    plane, _ = plane_of_discs(24, (256, 320), 40)
    network = DiscNetwork()
    detector(network).detect([plane])
    assert max(network.seen) == (256, 320)
    assert sum(h * w for h, w in network.seen) < 1.5 * 256 * 320


def test_large_planes_are_looked_at_in_parts_and_objects_counted_once():
    plane, boxes = plane_of_discs(24, (400, 530), 37)
    network = DiscNetwork()
    scaling = Scaling(object_size=24 * np.sqrt(np.pi / 4), side=160, overlap=48)
    (found,) = detector(network, scaling, conf=0.8).detect([plane])
    assert max(network.seen) <= (160, 160)
    assert_same(found, boxes, tolerance=1)


def test_a_size_that_is_asked_for_is_kept_to():
    plane, boxes = plane_of_discs(24, (256, 320), 40)
    network = DiscNetwork()
    (found,) = detector(network, imgsz=640).detect([plane])
    assert network.seen == [(512, 640)]
    assert_same(found, boxes, tolerance=1.5)


@pytest.mark.parametrize("shape", [(5, 7), (33, 200)])
def test_planes_without_objects_have_none(shape):
    (found,) = detector(DiscNetwork()).detect([make_plane(np.zeros((*shape, 3), "u1"))])
    assert found.boxes.shape == (0, 4)


def test_the_limit_counts_on_every_scale():
    plane, boxes = plane_of_discs(60, (700, 900), 100)
    (found,) = detector(DiscNetwork(), max_det=5).detect([plane])
    assert len(found) == 5 < len(boxes)
    assert found.truncated


@pytest.fixture(scope="module")
def shipped(build, tmp_path_factory):
    """A random detector, written as the training's export writes it."""
    module = build("yolo11n.yaml", classes=1)
    path = tmp_path_factory.mktemp("shipped") / "small.safetensors"
    told = {
        "architecture": "yolo",
        "version": "7",
        "names": json.dumps(["nucleus"]),
        "object_size": "20",
    }
    tensors = {
        key: value.half() if value.is_floating_point() else value
        for key, value in module.state_dict().items()
    }
    save_file(tensors, path, told)
    kept = ("nc", "scale", "scales", "backbone", "head")
    layers = {key: module.yaml[key] for key in kept if key in module.yaml}
    path.with_suffix(".yaml").write_text(yaml.safe_dump(layers))
    return path, module


def test_a_shipped_detector_is_the_trained_one(shipped, photo):
    path, trained = shipped
    found, told = load_shipped(path)
    assert told["version"] == "7"
    pixels = torch.from_numpy(photo[:288, :416]).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        ours = found.eval()(pixels)[0]
        theirs = trained.half().float().eval()(pixels)[0]
    assert torch.equal(ours, theirs)


def test_a_shipped_detector_detects(shipped, photo):
    detector = load_nuclei(shipped[0], DetectorOptions(conf=0.1), device="cpu")
    assert (detector.class_names, detector.info.version) == (("nucleus",), "7")
    (found,) = detector.detect([make_plane(photo)])
    assert len(found)
    assert (found.boxes >= 0).all()
    assert (found.boxes[:, 2:] <= photo.shape[:2]).all()


def test_damaged_shipped_files_are_refused(shipped, tmp_path):
    path, _ = shipped
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    with pytest.raises(ModelError, match="cannot be read"):
        load_shipped(copy)
    layers = path.with_suffix(".yaml").read_text()
    copy.with_suffix(".yaml").write_text(layers.replace("nc: 1", "nc: 2"))
    with pytest.raises(ModelError, match="do not fit the network"):
        load_shipped(copy)
    save_file(load_file(path), copy)
    with pytest.raises(ModelError, match="no YOLO of ours"):
        load_shipped(copy)
