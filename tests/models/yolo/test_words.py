"""YOLOE and YOLO-World: the same answers as ultralytics gives to the same words.

The real architectures in their smallest sizes with random weights, and what reads
words with few layers: Apple's, as ultralytics traces it, and OpenAI's.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from napari_sam import load_detector, load_model
from napari_sam.images import make_plane
from napari_sam.models.catalog import load_alike
from napari_sam.models.known import by_name
from napari_sam.models.options import DetectorOptions
from napari_sam.models.store import Store
from napari_sam.models.ultra import load_ultralytics, quiet
from napari_sam.models.wording.asking import Asked, can_be_asked
from napari_sam.models.yolo.loading import load_yolo
from napari_sam.types import ModelError

_spec = importlib.util.spec_from_file_location(
    "words_files", Path(__file__).with_name("words_files.py")
)
words_files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(words_files)
SMALL = words_files.SMALL

# Ultralytics loads TorchScript so, which torch does not like any more.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")

WORDS = ("nucleus", "blue cell", "Zellkern 核")
ASKED = {"conf": 0.3, "iou": 0.45, "imgsz": 192}
YOLOE = ["yoloe-11n-seg.yaml", "yoloe-26n-seg.yaml"]
WORLD = ["yolov8n-world.yaml", "yolov8n-worldv2.yaml"]


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    """Nothing is on this computer but what a test puts there."""
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of what reads words, with names as their publishers give them."""
    folder = tmp_path_factory.mktemp("words")
    with torch.random.fork_rng():
        torch.manual_seed(5)
        words_files.traced(words_files.MobileClip(), folder / "mobileclip_blt.ts")
        words_files.traced(words_files.MobileClip(), folder / "mobileclip2_b.ts")
        words_files.traced(words_files.small_clip(), folder / "ViT-B-32.pt")
    return folder


@pytest.fixture(scope="module")
def make(folder, photo, save):
    """Write a checkpoint, once per architecture."""

    def file(architecture, **options):
        stem = "small" if architecture is SMALL else Path(architecture).stem
        name = f"{stem}{'-ex' if options else ''}.pt"
        if not (folder / name).exists():
            module = words_files.random_open(architecture, photo, **options)
            save(module, folder / name)
        return folder / name

    return file


@pytest.fixture
def upstream(folder, monkeypatch):
    """Lets ultralytics read words, with what is not on any index replaced."""
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer()

    def tokenize(texts, truncate=True):
        return tokenizer(texts, context_length=77)

    def load(name, device, download_root):
        assert name == "ViT-B/32"
        script = torch.jit.load(folder / "ViT-B-32.pt")
        return SimpleModel(script), None

    clip = ModuleType("clip")
    clip.clip = SimpleNamespace(tokenize=tokenize)
    clip.tokenize, clip.load = tokenize, load
    monkeypatch.setitem(sys.modules, "clip", clip)
    monkeypatch.chdir(folder)  # where it looks for its own files
    text = load_ultralytics("ultralytics.nn.text_model")
    yield text
    sys.modules.pop("ultralytics.nn.text_model")


class SimpleModel(nn.Module):
    def __init__(self, script):
        super().__init__()
        self.encode_text = script


def opened(path):
    with quiet():
        return load_ultralytics().YOLO(str(path))


def predicted(yolo, image, **options):
    """Boxes (y0, x0, y1, x1), scores, classes and masks of ultralytics."""
    with quiet():
        (found,) = yolo.predict(
            np.ascontiguousarray(image[..., ::-1]),
            device="cpu",
            verbose=False,
            save=False,
            retina_masks=True,
            **{**ASKED, **options},
        )
    masks = None if found.masks is None else found.masks.data.numpy() > 0
    boxes = found.boxes.xyxy.numpy()[:, [1, 0, 3, 2]]
    return boxes, found.boxes.conf.numpy(), found.boxes.cls.numpy().astype(int), masks


def agree(found, boxes, scores, classes, masks, shape):
    """Whether objects are the same, whatever their order."""
    assert len(boxes) >= 5
    away = np.abs(found.boxes[:, None] - boxes).max(-1)
    away[found.classes[:, None] != classes] = np.inf
    away += np.abs(found.scores[:, None] - scores)
    assert away.min(0).max() < 0.5
    best = away.argmin(0)
    assert np.allclose(found.scores[best], scores, atol=1e-3)
    for theirs, number in zip(masks if masks is not None else (), best, strict=False):
        edge = 2 * sum(theirs.any(1)) + 2 * sum(theirs.any(0))
        assert (found.masks[number].full(shape) != theirs).sum() <= max(2, edge)
    # Ultralytics leaves out those whose own mask is empty.
    more = [n for n in range(len(found)) if n not in set(best.tolist())]
    assert all(found.masks is not None and not found.masks[n].area for n in more)


@pytest.mark.parametrize("architecture", [*YOLOE, *WORLD])
def test_words_are_found_as_ultralytics_finds_them(make, upstream, photo, architecture):
    path = make(architecture)
    yolo = opened(path)
    with quiet():
        if "yoloe" in architecture:
            yolo.set_classes(list(WORDS), yolo.get_text_pe(list(WORDS)))
        else:
            yolo.set_classes(list(WORDS))
    theirs = predicted(yolo, photo)
    detector = load_detector(path, words=WORDS, device="cpu", **ASKED)
    assert detector.class_names == WORDS
    (found,) = detector.detect([make_plane(photo)])
    agree(found, *theirs, photo.shape[:2])
    assert len(set(found.classes.tolist())) > 1


@pytest.mark.parametrize("architecture", YOLOE[:1])
def test_examples_are_found_as_ultralytics_finds_them(make, photo, architecture):
    path = make(architecture, examples=True)
    like, unlike = [(40, 80, 120, 200), (150, 10, 210, 90)], [(10, 300, 90, 400)]
    boxes = np.array([*like, *unlike], float)
    theirs = predicted(
        opened(path),
        photo,
        visual_prompts={
            "bboxes": boxes[:, [1, 0, 3, 2]],
            "cls": np.array([0, 0, 1]),
        },
    )
    like_ones = theirs[2] == 0
    theirs = [part[like_ones] for part in theirs]
    options = DetectorOptions(**ASKED)
    detector = load_yolo(path, options, device="cpu", examples=True)
    found = detector.find_alike(make_plane(photo), like, unlike=unlike)
    agree(found, *theirs, photo.shape[:2])
    assert set(found.classes.tolist()) == {0}
    tiny = detector.find_alike(make_plane(photo), [(41.2, 81.3, 42.0, 82.0)])
    assert not np.isnan(tiny.scores).any()
    with pytest.raises(ModelError, match="at least one"):
        detector.find_alike(make_plane(photo), [])
    asked = {"conf": ASKED["conf"], "iou": ASKED["iou"], "device": "cpu"}
    (same,) = load_alike(path, like, **asked).detect([make_plane(photo)])
    assert set(same.classes.tolist()) <= {0}
    with pytest.raises(ModelError, match="cannot be shown examples"):
        load_alike("nuclei", like)


def test_without_words_or_examples_there_is_nothing_to_find(make):
    path = make("yoloe-11n-seg.yaml")
    assert can_be_asked(path) == Asked(words=True, alone=False, examples=True)
    with pytest.raises(ModelError, match="finds what words say"):
        load_detector(path, device="cpu")
    with pytest.raises(ModelError, match="use it as a detector"):
        load_model(path, device="cpu")


def set_classes(module, names):
    """Do what ultralytics does, with vectors of no words."""
    head = module.model[-1]
    module.pe = head.get_tpe(module.vectors[:, : len(names)]).detach()
    module.names, head.nc = list(names), len(names)
    return module


@pytest.fixture
def yoloe(make):
    """A module to change."""
    return opened(make(SMALL)).model


def test_classes_that_are_set_need_nothing_that_reads(yoloe, save, tmp_path, photo):
    path = save(set_classes(yoloe, ("cell", "debris")), tmp_path / "set.pt")
    theirs = predicted(opened(path), photo)
    assert can_be_asked(path) == Asked(words=True, alone=True, examples=True)
    detector = load_detector(path, device="cpu", **ASKED)
    assert detector.class_names == ("cell", "debris")
    agree(detector.detect([make_plane(photo)])[0], *theirs, photo.shape[:2])
    yoloe.names = ["cell"]
    with pytest.raises(ModelError, match="their names do not fit"):
        load_detector(save(yoloe, tmp_path / "odd.pt"), device="cpu")
    yoloe.pe = yoloe.pe * torch.nan
    with pytest.raises(ModelError, match="pe holds numbers that are not finite"):
        load_detector(save(yoloe, tmp_path / "odd.pt"), device="cpu")


def test_one_that_needs_no_prompt_is_a_segmenter(yoloe, save, tmp_path, photo):
    names = ("cell", "debris", "fibre")
    head = set_classes(yoloe, names).model[-1]
    head.fuse(yoloe.pe)
    yoloe.args = {"imgsz": 64}
    yoloe.set_vocab(nn.ModuleList(part[-1] for part in head.cv3), list(names))
    path = save(yoloe, tmp_path / "free.pt")
    theirs = predicted(opened(path), photo)
    assert can_be_asked(path) == Asked()
    detector = load_detector(path, device="cpu", **ASKED)
    assert detector.class_names == names
    agree(detector.detect([make_plane(photo)])[0], *theirs, photo.shape[:2])
    with pytest.raises(ModelError, match="does not understand words"):
        load_detector(path, words=["nucleus"], device="cpu")


@pytest.mark.parametrize(
    ("architecture", "name", "file"),
    [
        (SMALL, "mobileclip-blt", "mobileclip_blt.ts"),
        ("yoloe-26n-seg.yaml", "mobileclip2-b", "mobileclip2_b.ts"),
        ("yolov8n-worldv2.yaml", "clip-vit-b-32", "ViT-B-32.pt"),
    ],
)
def test_what_reads_words_may_be_missing(make, tmp_path, architecture, name, file):
    path = tmp_path / "mine.pt"
    path.write_bytes(make(architecture).read_bytes())
    says = rf"models download {name}, or put {file} beside the detector"
    with pytest.raises(ModelError, match=says):
        load_detector(path, words=["nucleus"], device="cpu")


def test_what_reads_words_may_be_wrong(make, folder, tmp_path, monkeypatch):
    path, beside = tmp_path / "mine.pt", tmp_path / "mobileclip_blt.ts"
    path.write_bytes(make(SMALL).read_bytes())
    right = (folder / beside.name).read_bytes()
    for content, problem in (
        ((folder / "ViT-B-32.pt").read_bytes(), "it is another CLIP"),
        (path.read_bytes(), "this is an ultralytics detector"),
        (right[:-100], "cut off or damaged"),
        (b"<html>", "a web page"),
    ):
        beside.write_bytes(content)
        with pytest.raises(ModelError, match=problem):
            load_detector(path, words=["nucleus"], device="cpu")
    monkeypatch.setattr(words_files, "OUT", 64)
    words_files.traced(words_files.MobileClip(), beside)
    with pytest.raises(ModelError, match="gives 64 numbers for a word"):
        load_detector(path, words=["nucleus"], device="cpu")


def test_files_that_were_downloaded_are_found_by_name(make, folder, monkeypatch):
    """Nothing of ultralytics that could download is reached."""
    name = "ultralytics.nn.text_model"
    monkeypatch.setitem(sys.modules, name, ModuleType(name))
    (folder / "yoloe-11s-seg.pt").write_bytes(make(SMALL).read_bytes())
    asked = {"words": ["Zellkern 核"], "device": "cpu"}
    with pytest.raises(ModelError, match="nothing is downloaded unasked"):
        load_detector("yoloe-11s", **asked)
    store = Store(mirror=str(folder))
    for name in ("yoloe-11s", "mobileclip-blt"):
        store.download(by_name(name), lambda *_: None, lambda question: True)
    detector = load_detector("yoloe-11s", **asked)
    assert detector.class_names == ("Zellkern 核",)
    assert detector.info.version.startswith("mobileclip:blt ")
    assert can_be_asked("yoloe-11s").words
    with pytest.raises(ModelError, match="is too long to be read"):
        load_detector("yoloe-11s", words=["核细胞" * 40], device="cpu")
    monkeypatch.setitem(sys.modules, "open_clip.tokenizer", None)
    with pytest.raises(ModelError, match=r"napari-sam-annotator\[words\]"):
        load_detector("yoloe-11s", **asked)
