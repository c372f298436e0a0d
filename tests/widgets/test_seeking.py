"""Words in both docks: a real YOLOE, what reads its words, and real widgets."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from napari.components import ViewerModel
from napari.layers import Labels

from napari_sam.models.known import by_name
from napari_sam.models.store import Store
from napari_sam.types import Mask
from napari_sam.widgets.auto_annotate.panel import AutoAnnotate
from napari_sam.widgets.seeking import GET_ONE, SAY_WHAT, WORDS
from napari_sam.widgets.segment.panel import Segment
from napari_sam.widgets.segment.sections.find_where import NO_EXAMPLE

WAIT_MS = 240_000  # only a test that fails waits that long
_path = Path(__file__).parents[1] / "models" / "yolo" / "words_files.py"
_spec = importlib.util.spec_from_file_location("words_files", _path)
words_files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(words_files)


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path, no_thread_is_left):
    """Nothing is on this computer but what a test puts there."""
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def yoloe(tmp_path_factory, frames):
    """A YOLOE that sees something in these frames, and what reads its words."""
    folder = tmp_path_factory.mktemp("yoloe")
    grey = (frames[0] / frames[0].max() * 255).astype(np.uint8)
    pixels = np.stack([grey] * 3, -1)
    module = words_files.random_open(words_files.SMALL, pixels)
    module.args = {"imgsz": 128, "task": module.task}
    path = folder / "yoloe-11s-seg.pt"
    torch.save({"model": module, "train_args": module.args}, path)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        words_files.traced(words_files.MobileClip(), folder / "mobileclip_blt.ts")
    return path


@pytest.fixture
def viewer(frames):
    viewer = ViewerModel()
    viewer.add_image(frames, name="nuclei")
    viewer.dims.set_point(0, 0)
    return viewer


@pytest.fixture
def auto(viewer, qtbot):
    panel = AutoAnnotate(viewer)
    qtbot.addWidget(panel)
    yield panel
    panel.end()


@pytest.fixture
def segment(viewer, qtbot):
    panel = Segment(viewer)
    qtbot.addWidget(panel)
    yield panel
    panel.end()


def hidden(seeking):
    return seeking.words.native.isHidden()


def choices(seeking):
    return [seeking.detector.native.itemText(i) for i in range(len(seeking.detector))]


def test_auto_annotate_asks_what_to_look_for(auto, yoloe, qtbot, viewer):
    seeking, says = auto.form.seeking, auto.view.status
    assert hidden(seeking)
    auto.form.pick("detector", str(yoloe))
    qtbot.waitUntil(lambda: not hidden(seeking), timeout=WAIT_MS)
    assert says.text() == SAY_WHAT
    auto.find_all()
    assert says.text() == f"⚠ {SAY_WHAT}"
    assert auto.session.state.phase == "idle"
    seeking.words.value = " blob,  Zellkern 核, blob"
    assert auto.form.recipe().words == ("blob", "Zellkern 核")
    auto.form.conf.value, auto.form.smallest.pixels = 0.05, 0
    auto.try_slice()
    qtbot.waitUntil(lambda: not auto.session.state.busy, timeout=WAIT_MS)
    (labels,) = (layer for layer in viewer.layers if isinstance(layer, Labels))
    assert set(labels.features["class_name"]) <= {"blob", "Zellkern 核"}
    assert len(labels.features)
    assert auto.form.classes.native.isHidden()  # words are what is wanted
    seeking.words.value = "blob"
    auto._apply()
    assert "needs a new search" in says.text()
    auto.form.detector.value = "nuclei"
    assert hidden(seeking)
    assert auto.form.recipe().words is None


def test_segment_asks_what_to_look_for(segment, yoloe, qtbot):
    find, session = segment.find, segment.bridge.session
    told = []
    find._notice = find.seeking._notice = told.append
    find.seeking.pick(str(yoloe))
    qtbot.waitUntil(lambda: not hidden(find.seeking), timeout=WAIT_MS)
    qtbot.waitUntil(find.start.isEnabled, timeout=WAIT_MS)
    find.start.click()
    assert told == [SAY_WHAT, SAY_WHAT]
    assert segment.bridge.finder.state.phase == "nothing"
    find.seeking.words.value = "blob"
    find.confidence.value, find.smallest.value = 0.05, 0
    find.start.click()
    finder = segment.bridge.finder
    qtbot.waitUntil(lambda: not finder.state.busy, timeout=WAIT_MS)
    assert finder.state.phase == "found", finder.state.error
    find.add.click()
    qtbot.waitUntil(lambda: finder.state.phase == "nothing", timeout=WAIT_MS)
    assert "blob" in session.classes.names.values()
    (number,) = (n for n, name in session.classes.names.items() if name == "blob")
    records = session.store.records.values()
    assert {record.class_id for record in records} == {number}


def test_a_detector_with_classes_of_its_own_is_not_asked(auto, qtbot, tmp_path):
    path = tmp_path / "page.pt"
    path.write_text("<html>")
    auto.form.pick("detector", str(path))
    qtbot.waitUntil(lambda: "page.pt" in auto.view.status.text(), timeout=WAIT_MS)
    assert hidden(auto.form.seeking)
    assert "a web page" in auto.view.status.text()


def test_it_is_said_how_to_get_one(auto, yoloe, qtbot):
    seeking = auto.form.seeking
    seeking.detector.value = "nuclei-yolo"
    seeking.detector.value = WORDS
    assert seeking.detector.value == "nuclei-yolo"
    assert auto.view.status.text() == GET_ONE
    Store(mirror=str(yoloe.parent)).download(
        by_name("yoloe-11s"), lambda *_: None, lambda question: True
    )
    seeking.look()
    qtbot.waitUntil(lambda: "YOLOE-11s, by words" in choices(seeking), timeout=WAIT_MS)
    assert "What a word says…" not in choices(seeking)
    assert seeking.detector.value == "nuclei-yolo"
    seeking.detector.value = "yoloe-11s"
    qtbot.waitUntil(lambda: seeking.lacking == SAY_WHAT, timeout=WAIT_MS)


def test_more_like_what_is_outlined_is_found(segment, yoloe, qtbot):
    find, session = segment.find, segment.bridge.session
    told, finder = [], segment.bridge.finder
    find._notice = told.append
    assert find.like.isHidden()
    find.seeking.pick(str(yoloe))
    qtbot.waitUntil(lambda: not find.like.isHidden(), timeout=WAIT_MS)
    qtbot.waitUntil(find.like.isEnabled, timeout=WAIT_MS)
    find.like.click()
    assert told[-1] == NO_EXAMPLE
    mask = Mask.from_array(np.ones((12, 14), bool), (20, 30), score=0.9)
    session.add_found((0,), [(mask, {})])
    find.confidence.value, find.smallest.value = 0.05, 0
    find.like.click()
    qtbot.waitUntil(lambda: not finder.state.busy, timeout=WAIT_MS)
    assert finder.state.phase == "found", finder.state.error
    assert len(finder.found.objects)
    assert finder.found.index == (0,)
    assert not any("class_name" in one.about for one in finder.found.objects)
    find.detector.value = "nuclei"
    assert find.like.isHidden()
