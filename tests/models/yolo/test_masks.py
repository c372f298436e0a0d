"""A segmenter's masks: the same as ultralytics' own, and handed on with their boxes."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_sam.images import make_plane
from napari_sam.models.options import DetectorOptions
from napari_sam.models.ultra import load_ultralytics, quiet
from napari_sam.models.yolo import letterbox
from napari_sam.models.yolo.loading import load_yolo
from napari_sam.models.yolo.masks import Prototypes

SEGMENTERS = ["yolo11n-seg.yaml", "yolov8n-seg.yaml", "yolo26n-seg.yaml"]


def predicted(path, image, **options):
    """Boxes (y0, x0, y1, x1) and full-size masks as ultralytics finds them."""
    yolo = load_ultralytics().YOLO(str(path))
    with quiet():
        (found,) = yolo.predict(
            np.ascontiguousarray(image[..., ::-1]),
            device="cpu",
            verbose=False,
            save=False,
            retina_masks=True,
            **options,
        )
    return found.boxes.xyxy.numpy()[:, [1, 0, 3, 2]], found.masks.data.numpy() > 0


def overlap(one, other):
    return (one & other).sum() / max(1, (one | other).sum())


# Padded above and below, on the left and right, by odd numbers, and not at all.
@pytest.mark.parametrize("part", [(300, 420), (300, 211), (299, 419), (96, 96)])
def test_every_pixel_is_that_of_ultralytics(photo, part):
    ops = load_ultralytics("ultralytics.utils.ops")
    pixels = photo[: part[0], : part[1]]
    framed = letterbox.fit(pixels, (320, 320), 32)
    high, wide = framed.pixels.shape[:2]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        maps = torch.randn(8, high // 4, wide // 4)
        corner = torch.rand(20, 2) * torch.tensor(part)
        sides = torch.rand(20, 2) * torch.tensor(part) / 2 + 2
        end = torch.minimum(corner + sides, torch.tensor(part).float())
        rows = torch.cat([corner, end, torch.rand(20, 2), torch.randn(20, 8)], 1)
    theirs = ops.process_mask_native(maps, rows[:, 6:], rows[:, [1, 0, 3, 2]], part)
    ours = Prototypes(maps, framed).masks(rows)
    assert len(ours) == len(theirs) == 20
    wrong = sum(
        int((mask.full(part) != (their > 0).numpy()).sum())
        for mask, their in zip(ours, theirs, strict=True)
    )
    area = int(theirs.sum())
    assert area > 2000
    # Sums in another order: a logit of nearly zero may have the other sign.
    assert wrong <= area * 1e-4
    for mask, row in zip(ours, rows, strict=True):
        assert mask.area == 0 or mask.score == pytest.approx(float(row[4]))


@pytest.mark.parametrize("architecture", SEGMENTERS)
@pytest.mark.parametrize("imgsz", [320, 384])
def test_masks_are_those_of_ultralytics(make_pt, photo, architecture, imgsz):
    path = make_pt(architecture)
    asked = {"conf": 0.3, "iou": 0.45, "imgsz": imgsz}
    boxes, masks = predicted(path, photo, **asked)
    assert len(boxes) > 2
    (found,) = load_yolo(path, DetectorOptions(**asked), device="cpu").detect(
        [make_plane(photo)]
    )
    assert len(found.masks) == len(found)
    away = np.abs(found.boxes[:, None] - boxes).max(-1)
    assert away.min(0).max() < 0.5
    for theirs, number in zip(masks, away.argmin(0), strict=True):
        ours = found.masks[number]
        # An edge of a box may fall on the other side of a pixel's corner, and the
        # objects of a random network can be small.
        edge = 2 * sum(theirs.any(1)) + 2 * sum(theirs.any(0))
        assert (ours.full(photo.shape[:2]) != theirs).sum() <= max(2, edge)
    best = [
        overlap(found.masks[n].full(photo.shape[:2]), m)
        for n, m in zip(away.argmin(0), masks, strict=True)
    ]
    assert np.median(best) > 0.97


def test_masks_stay_in_their_boxes_and_with_their_objects(make_pt, photo):
    path = make_pt("yolo11n-seg.yaml")
    shown = DetectorOptions(conf=0.3, imgsz=320)
    plane = make_plane(photo)
    (every,) = load_yolo(path, shown, device="cpu").detect([plane])
    few = DetectorOptions(conf=0.3, imgsz=320, classes=(1,), max_det=3)
    (some,) = load_yolo(path, few, device="cpu").detect([plane])
    assert 0 < len(some) <= 3 < len(every)
    assert len(some.masks) == len(some)
    for box, mask in zip(some.boxes, some.masks, strict=True):
        (same,) = (every.boxes == box).all(1).nonzero()
        assert mask.box == every.masks[int(same[0])].box
        if mask.area:
            assert (np.array(mask.box[:2]) >= box[:2]).all()
            assert (np.array(mask.box[2:]) < box[2:] + 1).all()


def test_detectors_give_no_masks(make_pt, photo):
    options = DetectorOptions(conf=0.3, imgsz=320)
    (found,) = load_yolo(make_pt(), options, device="cpu").detect([make_plane(photo)])
    assert len(found)
    assert found.masks is None


@pytest.mark.parametrize("inside", [{}, {"nms": True, "conf": 0.3, "iou": 0.45}])
def test_an_exported_segmenter_draws_the_same(make_pt, tmp_path, photo, inside):
    path = tmp_path / "trained.pt"
    path.write_bytes(make_pt("yolo11n-seg.yaml").read_bytes())
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporters warn of each other
        onnx = (
            load_ultralytics()
            .YOLO(str(path))
            .export(format="onnx", imgsz=(256, 320), simplify=False, **inside)
        )
    plane = make_plane(photo)
    options = DetectorOptions(conf=0.3, iou=0.45, imgsz=320)
    first, second = (
        load_yolo(file, options, device="cpu").detect([plane])[0]
        for file in (path, Path(onnx))
    )
    assert len(first) > 3
    away = np.abs(first.boxes[:, None] - second.boxes).max(-1)
    away[first.classes[:, None] != second.classes] = np.inf
    assert away.min(0).max() < 0.5
    shape = plane.shape
    alike = [
        overlap(first.masks[n].full(shape), mask.full(shape))
        for n, mask in zip(away.argmin(0), second.masks, strict=True)
        if mask.area
    ]
    assert len(alike) > 3
    assert np.median(alike) > 0.98
