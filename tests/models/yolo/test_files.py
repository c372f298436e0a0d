"""Files of other kinds: ONNX, segmenters, heads without suppression, grey, wrong."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_sam.images import make_plane
from napari_sam.models.options import DetectorOptions
from napari_sam.models.ultra import load_ultralytics, quiet
from napari_sam.models.yolo.loading import load_yolo
from napari_sam.models.yolo.suppress import hulls
from napari_sam.types import ModelError


@pytest.fixture(scope="module")
def export(make_pt, tmp_path_factory):
    """Export the same network to ONNX, 160 × 224, once for each set of options."""
    made = {}

    def to_onnx(**options):
        key = tuple(options.items())
        if key not in made:
            folder = tmp_path_factory.mktemp("onnx")
            source = folder / "detector.pt"
            source.write_bytes(make_pt().read_bytes())
            yolo = load_ultralytics().YOLO(str(source))
            with quiet(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch's exporters warn of each other
                yolo.export(format="onnx", imgsz=(160, 224), simplify=False, **options)
            made[key] = source.with_suffix(".onnx")
        return made[key]

    return to_onnx


def framed(path, image, **options):
    """Boxes (y0, x0, y1, x1) and scores of ultralytics on the exported network."""
    yolo = load_ultralytics().YOLO(str(path))
    with quiet():
        (found,) = yolo.predict(
            np.ascontiguousarray(image[..., ::-1]),
            device="cpu",
            verbose=False,
            **options,
        )
    return found.boxes.xyxy.numpy()[:, [1, 0, 3, 2]], found.boxes.conf.numpy()


@pytest.mark.parametrize("options", [{}, {"nms": True, "conf": 0.02, "iou": 0.45}])
def test_an_onnx_file_gives_what_ultralytics_gets_from_it(export, photo, options):
    path = export(**options)
    asked = {"conf": 0.02, "iou": 0.45}
    boxes, scores = framed(path, photo, **asked)
    (found,) = load_yolo(path, DetectorOptions(**asked), device="cpu").detect(
        [make_plane(photo)]
    )
    assert len(boxes) > 3
    assert found.boxes == pytest.approx(boxes, abs=0.1)
    assert found.scores == pytest.approx(scores, abs=1e-4)


def test_an_onnx_file_knows_its_classes_and_its_only_size(export):
    path = export()
    assert load_yolo(path, device="cpu").class_names == ("kind 0", "kind 1", "kind 2")
    assert load_yolo(path, DetectorOptions(imgsz=224), device="cpu")
    with pytest.raises(ModelError, match="exported for 160 × 224 pixels"):
        load_yolo(path, DetectorOptions(imgsz=640), device="cpu")


def test_an_onnx_file_of_others_is_refused(tmp_path, export):
    import onnx

    model = onnx.load(export())
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(ModelError, match="does not say what its network does"):
        load_yolo(tmp_path / "other.onnx", device="cpu")
    (tmp_path / "cut.onnx").write_bytes(export().read_bytes()[:5000])
    with pytest.raises(ModelError, match="cannot load this file"):
        load_yolo(tmp_path / "cut.onnx", device="cpu")
    with pytest.raises(ModelError, match="there is no such file"):
        load_yolo(tmp_path / "none.onnx", device="cpu")


def test_a_segmenter_gives_its_boxes(make_pt, photo):
    path = make_pt("yolo11n-seg.yaml")
    asked = {"conf": 0.3, "iou": 0.45, "imgsz": 320}
    (found,) = load_yolo(path, DetectorOptions(**asked), device="cpu").detect(
        [make_plane(photo)]
    )
    boxes, scores = framed(path, photo, **asked)
    # Ultralytics leaves out boxes whose own mask is empty; SAM may still fill them.
    away = np.abs(found.boxes[:, None] - boxes).max(-1)
    assert len(boxes) > 3
    assert away.min(0).max() < 0.5
    assert found.scores[away.argmin(0)] == pytest.approx(scores, abs=1e-3)


def test_a_head_that_gives_every_object_once_is_not_suppressed(
    tmp_path, photo, build, save
):
    module = build("yolo26n.yaml")
    module.end2end = True
    path = save(module.eval().fuse(verbose=False), tmp_path / "final.pt")
    asked = {"conf": 0.3, "imgsz": 320}
    plane = make_plane(photo)
    (strict,) = load_yolo(
        path, DetectorOptions(iou=0.01, **asked), device="cpu"
    ).detect([plane])
    (loose,) = load_yolo(path, DetectorOptions(iou=0.99, **asked), device="cpu").detect(
        [plane]
    )
    assert len(strict) > 3
    assert np.array_equal(strict.boxes, loose.boxes)
    (few,) = load_yolo(path, DetectorOptions(max_det=2, **asked), device="cpu").detect(
        [plane]
    )
    assert len(few) == 2
    assert few.truncated
    assert not loose.truncated


def test_a_network_for_grey_images_sees_grey(tmp_path, photo, build, save):
    path = save(build("yolo11n.yaml", channels=1), tmp_path / "grey.pt")
    detector = load_yolo(path, DetectorOptions(conf=0.2, imgsz=320), device="cpu")
    weighed = np.rint(photo @ np.array([0.299, 0.587, 0.114], np.float32))
    grey = np.repeat(weighed.astype(np.uint8)[..., None], 3, -1)
    first, second = detector.detect([make_plane(photo), make_plane(grey)])
    assert len(first) > 3
    assert np.array_equal(first.boxes, second.boxes)


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("rtdetr-small", {"conf": 0.3, "imgsz": 320}),
        ("yolo11n-obb.yaml", {"conf": 0.1, "iou": 0.8, "imgsz": 320}),
    ],
)
def test_an_exported_file_gives_what_the_trained_one_does(
    make_pt, tmp_path, photo, architecture, options
):
    path = tmp_path / "trained.pt"
    path.write_bytes(make_pt(architecture).read_bytes())
    kind = "RTDETR" if "rtdetr" in architecture else "YOLO"
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporters warn of each other
        onnx = getattr(load_ultralytics(), kind)(str(path)).export(
            format="onnx", imgsz=320, simplify=False
        )
    plane = make_plane(photo[:, :300])  # stretched or not, it is a square then
    first, second = (
        load_yolo(file, DetectorOptions(**options), device="cpu").detect([plane])[0]
        for file in (path, Path(onnx))
    )
    assert len(first) > 3
    assert np.allclose(first.scores, second.scores, atol=1e-3)
    away = np.abs(first.boxes[:, None] - second.boxes).max(-1)
    away[first.classes[:, None] != second.classes] = np.inf
    assert away.min(0).max() < 0.5


def test_a_turned_box_is_given_as_the_upright_one_around_it():
    quarter = np.pi / 6
    rows = torch.tensor([[50.0, 40.0, 20.0, 8.0, 0.9, 2.0, quarter]])
    (hull,) = hulls(rows).tolist()
    wide = 10 * np.cos(quarter) + 4 * np.sin(quarter)
    high = 10 * np.sin(quarter) + 4 * np.cos(quarter)
    box = [50 - wide, 40 - high, 50 + wide, 40 + high]
    assert hull == pytest.approx([*box, 0.9, 2.0])


@pytest.mark.parametrize(
    ("task", "architecture", "words"),
    [
        ("classify", "yolo11n-cls.yaml", 'made for "classify"'),
        ("pose", "yolo11n-pose.yaml", 'made for "pose"'),
    ],
)
def test_other_tasks_are_refused(tmp_path, save, task, architecture, words):
    tasks = load_ultralytics("ultralytics.nn.tasks")
    kind = {"classify": tasks.ClassificationModel, "pose": tasks.PoseModel}[task]
    with quiet():
        module = kind(architecture, verbose=False)
    module.task, module.names = task, {0: "a"}
    path = save(module, tmp_path / "other.pt")
    with pytest.raises(ModelError, match=words):
        load_yolo(path, device="cpu")


def test_nothing_is_left_of_training_mode(make_pt, photo):
    detector = load_yolo(make_pt(), DetectorOptions(imgsz=320), device="cpu")
    threads = torch.get_num_threads()
    first, second = detector.detect([make_plane(photo), make_plane(photo)])
    assert np.array_equal(first.boxes, second.boxes)
    assert torch.get_num_threads() == threads
    assert not torch.is_inference_mode_enabled()
