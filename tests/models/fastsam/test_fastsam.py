"""FastSAM: its architecture with random weights, beside ultralytics' own predictor."""

import shutil

import numpy as np
import pytest

from napari_sam import load_model
from napari_sam.images import make_plane
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.prompting.session import Session
from napari_sam.live.source import Source
from napari_sam.live.values import Mark
from napari_sam.models.fastsam.choosing import NOTHING, choose, iou_with_box
from napari_sam.models.fastsam.model import FastSamModel
from napari_sam.models.options import DetectorOptions
from napari_sam.models.protocol import PromptableModel
from napari_sam.models.ultra import load_ultralytics, quiet
from napari_sam.models.yolo.loading import load_yolo
from napari_sam.segment import annotate
from napari_sam.types import Mask, ModelError, Prompt, PromptError

ARCHITECTURE = "yolov8s-seg.yaml"  # that of FastSAM-s
# With random weights there is something everywhere.
FEW = DetectorOptions(conf=0.5, iou=0.9, max_det=200)


@pytest.fixture(scope="module")
def path(make_pt):
    return make_pt(ARCHITECTURE, classes=1)


@pytest.fixture(scope="module")
def model(path):
    return FastSamModel(load_yolo(path, FEW, device="cpu"))


@pytest.fixture(scope="module")
def embedding(model, photo):
    return model.encode(photo)


@pytest.fixture(scope="module")
def predictor(path, tmp_path_factory):
    """Ultralytics' own, which goes by the name of the file."""
    named = tmp_path_factory.mktemp("fastsam") / "FastSAM-s.pt"
    shutil.copy(path, named)
    return load_ultralytics().FastSAM(str(named))


def theirs(predictor, photo, **prompts):
    with quiet():
        (found,) = predictor.predict(
            np.ascontiguousarray(photo[..., ::-1]),
            device="cpu",
            conf=FEW.conf,
            iou=FEW.iou,
            max_det=FEW.max_det,
            imgsz=640,
            retina_masks=True,
            save=False,
            verbose=False,
            **prompts,
        )
    return [] if found.masks is None else list(found.masks.data.numpy() > 0)


def test_it_answers_as_every_model_does(path):
    model = load_model(path, device="cpu")
    assert isinstance(model, PromptableModel)
    assert model.info.name == path.name
    assert len(model.info.sha256) == 64


def test_everything_is_what_ultralytics_outlines(predictor, photo, embedding):
    masks = theirs(predictor, photo)
    ours = [mask for mask in embedding.tiles[0].features if mask.area]
    assert len(masks) == len(ours) > 10
    for one, other in zip(ours, masks, strict=True):
        edge = 2 * sum(other.any(1)) + 2 * sum(other.any(0))
        assert (one.full(photo.shape[:2]) != other).sum() <= max(2, edge)


def test_boxes_choose_the_same_objects(model, predictor, photo, embedding):
    masks = embedding.tiles[0].features
    random = np.random.default_rng(0)
    large = sorted(masks, key=lambda mask: -mask.area)[:8]
    boxes = [np.array(m.box) + random.integers(-4, 5, 4) for m in large]
    boxes = [b.clip(0, [300, 420, 300, 420]) for b in boxes]
    answers = model.decode(embedding, [Prompt(box=b) for b in boxes])
    for answer, box in zip(answers, boxes, strict=True):
        (their,) = theirs(predictor, photo, bboxes=box[[1, 0, 3, 2]])
        assert len(answer.masks) == 1
        assert same(answer.best, their)


def same(mask, other):
    ours = mask.full(other.shape)
    return (ours & other).sum() / (ours | other).sum() > 0.9


def test_clicks_choose_the_same_objects(model, predictor, photo, embedding):
    masks = embedding.tiles[0].features
    middle = np.argwhere(masks[0].full((300, 420))).mean(0).round()
    inside = [m for m in masks if m.full((300, 420))[tuple(middle.astype(int))]]
    beside = next(
        np.argwhere(m.full((300, 420)) & ~masks[0].full((300, 420)))[0]
        for m in inside
        if (m.full((300, 420)) & ~masks[0].full((300, 420))).any()
    )
    points, labels = np.array([middle, beside]), [1, 0]
    their = theirs(predictor, photo, points=points[:, ::-1].copy(), labels=labels)
    (answer,) = model.decode(
        embedding, [Prompt(points=points + 0.5, labels=labels)], multimask=True
    )
    assert 0 < len(their)
    assert len(answer.masks) == min(3, len(their))
    for mask in answer.masks:
        assert any(same(mask, other) for other in their)
    (one,) = model.decode(embedding, [Prompt(points=[middle + 0.5])])
    assert len(one.masks) == min(3, len(inside))
    scores = [mask.score for mask in one.masks]
    assert scores == sorted(scores, reverse=True)


def test_a_mask_or_the_answer_before_is_what_it_is_like(model, embedding):
    masks = embedding.tiles[0].features
    wanted = masks[3]
    drawn = wanted.full(embedding.shape)
    drawn[: wanted.box[0] + 2] = False
    answers = model.decode(
        embedding, [Prompt(mask=drawn), Prompt(previous=wanted, points=[(1, 1)])]
    )
    assert answers[0].best.iou(wanted) == 1
    assert answers[1].best is NOTHING or answers[1].best.full((300, 420))[1, 1]


def test_where_there_is_nothing_the_answer_is_empty(model):
    black = np.zeros((64, 80), np.uint8)
    prompts = [Prompt(points=[(3, 4)]), Prompt(box=(1, 2, 30, 40))]
    nothing = make_plane(black)
    for answer in model.decode(model.encode(nothing), prompts):
        assert answer.best.area == 0 or answer.best.score > 0
    assert choose([], prompts[0], 3) == (NOTHING,)
    assert choose([], prompts[1], 1) == (NOTHING,)
    far = Mask.from_array(np.ones((3, 3), bool), (60, 60))
    assert choose([far], prompts[1], 1) == (NOTHING,)


def test_overlap_with_a_box():
    mask = Mask.from_array(np.ones((4, 4), bool), (2, 2))
    assert iou_with_box(mask, (2, 2, 6, 6)) == 1
    assert iou_with_box(mask, (4, 4, 8, 8)) == 4 / 28
    assert iou_with_box(mask, (-3, -3, 4, 4)) == 4 / 28
    assert iou_with_box(mask, (10, 10, 12, 12)) == 0


def test_prompts_and_embeddings_that_do_not_fit(model, embedding):
    with pytest.raises(PromptError, match="the plane is"):
        model.decode(embedding, [Prompt(mask=np.ones((3, 3), bool))])
    pocket = load_model("pocket", device="cpu")
    with pytest.raises(ModelError, match="encode the plane again"):
        model.decode(pocket.encode(np.zeros((32, 32))), [Prompt(points=[(1, 1)])])


@pytest.mark.parametrize(
    ("architecture", "classes"), [("yolo11n.yaml", 1), ("yolo11n-seg.yaml", 3)]
)
def test_other_networks_of_ultralytics_are_no_models(make_pt, architecture, classes):
    file = make_pt(architecture, classes=classes)
    with pytest.raises(ModelError, match="use it as a detector"):
        load_model(file, device="cpu")


def test_detected_boxes_are_outlined_by_it(model, frames):
    labels, objects = annotate(frames[:1], axes="TYX", model=model, detector="nuclei")
    assert labels.shape == (1, 96, 112)
    assert len(objects["id"]) == len(np.unique(labels)) - 1


class Nobody:
    """Listens to nothing."""

    def suggestions_changed(self, indices): ...
    def marks_changed(self, keys): ...
    def labels_changed(self, change): ...
    def status_changed(self, status): ...


def test_a_person_clicks_and_keeps(pump, path, model, photo, no_thread_is_left):
    grey = photo[..., 0]
    best = model.encode(grey).tiles[0].features[0]
    y, x = np.argwhere(best.full(grey.shape))[best.area // 2] + 0.5
    session = Session(pump.post, Nobody())
    try:
        source = Source(grey, "photo", grey.shape, "", False)
        session.open(source, LabelStore(np.zeros(grey.shape, np.uint32)))
        session.use_model(str(path), "cpu")
        session.look_at(())
        session.ask("one", (), [Mark("click", np.array([[y, x]], np.float32))])
        pump.until(
            lambda: session.suggestions and not session.suggestions["one"].waiting
        )
        suggestion = session.suggestions["one"]
        assert not suggestion.error
        assert suggestion.mask.full(grey.shape)[int(y), int(x)]
        session.commit()
        assert np.array_equal(
            session.store.labels > 0, suggestion.mask.full(grey.shape)
        )
    finally:
        session.close()
