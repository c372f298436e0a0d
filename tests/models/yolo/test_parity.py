"""The same boxes as ultralytics' own predictor, from the same file and plane."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.images import make_plane
from napari_sam.models.options import DetectorOptions
from napari_sam.models.ultra import load_ultralytics, quiet
from napari_sam.models.yolo.loading import load_yolo


def predicted(path, image, **options):
    """Boxes (y0, x0, y1, x1), scores and classes as ultralytics finds them."""
    kind = "RTDETR" if "rtdetr" in path.name else "YOLO"
    yolo = getattr(load_ultralytics(), kind)(str(path))
    with quiet():
        # It takes arrays as blue, green, red.
        (found,) = yolo.predict(
            np.ascontiguousarray(image[..., ::-1]),
            device="cpu",
            verbose=False,
            save=False,
            **options,
        )
    every = found.boxes if found.obb is None else found.obb
    boxes = every.xyxy.numpy()[:, [1, 0, 3, 2]]
    boxes = np.clip(boxes, 0, np.tile(image.shape[:2], 2))  # turned ones may reach out
    # Heads without a distribution over lengths give inside-out boxes, too.
    real = (boxes[:, :2] < boxes[:, 2:]).all(1)
    classes = every.cls.numpy().astype(int)
    return boxes[real], every.conf.numpy()[real], classes[real]


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("yolo11n.yaml", {"conf": 0.25, "iou": 0.45, "imgsz": 384}),
        ("yolo11n.yaml", {"conf": 0.5, "iou": 0.7, "imgsz": 320}),
        ("yolo11n.yaml", {"conf": 0.3, "iou": 0.45, "imgsz": 500, "classes": [0, 2]}),
        ("yolo11n.yaml", {"conf": 0.1, "iou": 0.9, "imgsz": 320, "max_det": 7}),
        ("yolov8n.yaml", {"conf": 0.3, "iou": 0.45, "imgsz": 320}),
        ("yolo26n.yaml", {"conf": 0.3, "iou": 0.45, "imgsz": 320}),
        ("yolo11n-obb.yaml", {"conf": 0.3, "iou": 0.45, "imgsz": 320}),
        (
            "yolo11n-obb.yaml",
            {"conf": 0.1, "iou": 0.8, "imgsz": 384, "classes": [0, 2]},
        ),
        ("yolo26n-obb.yaml", {"conf": 0.3, "iou": 0.45, "imgsz": 320}),
        ("rtdetr-small", {"conf": 0.3, "imgsz": 320}),
        ("rtdetr-small", {"conf": 0.2, "imgsz": 384, "max_det": 9}),
    ],
)
def test_boxes_are_those_of_ultralytics(make_pt, photo, architecture, options):
    path = make_pt(architecture)
    boxes, scores, classes = predicted(path, photo, **options)
    assert len(boxes) >= 5
    assert len(set(classes)) > ("classes" not in options)
    (found,) = load_yolo(path, DetectorOptions(**options), device="cpu").detect(
        [make_plane(photo)]
    )
    assert found.boxes.dtype == np.float32
    # Not bit for bit: the same sums in another order, through a random network.
    assert np.allclose(found.scores, scores, atol=1e-3)
    away = np.abs(found.boxes[:, None] - boxes).max(-1)
    away[found.classes[:, None] != classes] = np.inf
    assert away.min(0).max() < 0.5
    assert away.min(1).max() < 0.5
