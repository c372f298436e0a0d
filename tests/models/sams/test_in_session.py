"""MobileSAM, in full and with random weights, behind a person's clicks."""

import threading
from functools import partial

import numpy as np
import pytest
import torch

from napari_sam.live.labels.store import LabelStore
from napari_sam.live.prompting.session import Session
from napari_sam.live.proposals.finding import Finder
from napari_sam.live.proposals.where import Where, outward
from napari_sam.live.source import Source
from napari_sam.live.values import Mark
from napari_sam.models import catalog
from napari_sam.models.everything import GridOptions
from napari_sam.models.sam1.model import Sam1Model
from napari_sam.segment.everything import find_everything
from napari_sam.types import Prompt

FIRST, SECOND = (33.2, 44.2), (58.6, 70.8)
SURE = "mask_decoder.iou_prediction_head.layers.2"
CLEAR = "mask_decoder.output_hypernetworks_mlps"


class Nobody:
    """Listens to nothing."""

    def suggestions_changed(self, indices): ...
    def marks_changed(self, keys): ...
    def labels_changed(self, change): ...
    def status_changed(self, status): ...


@pytest.fixture(scope="module")
def checkpoint(mobile_state, tmp_path_factory):
    """Write a checkpoint of a model that is sure of its clear nonsense."""
    state = dict(mobile_state[0])
    state[f"{SURE}.weight"] = 0.01 * state[f"{SURE}.weight"]
    state[f"{SURE}.bias"] = torch.full_like(state[f"{SURE}.bias"], 0.95)
    for name in state:
        if name.startswith(CLEAR) and ".layers.2." in name:
            state[name] = 50 * state[name]
    path = tmp_path_factory.mktemp("sam") / "mobile_sam.pt"
    torch.save(state, path)
    return path


@pytest.fixture
def session(pump, frames, checkpoint, no_thread_is_left):
    session = Session(pump.post, Nobody())
    session.open(
        Source(frames, "nuclei", frames.shape, "T", False),
        LabelStore(np.zeros(frames.shape, np.uint32)),
    )
    session.use_model(str(checkpoint), "cpu")
    session.look_at((0,))
    yield session
    session.close()


@pytest.fixture
def finder(pump, session, monkeypatch):
    # Fewer clicks: each of them costs 20 ms here.
    few = partial(catalog.load_detector, points_per_side=4)
    monkeypatch.setattr(catalog, "load_detector", few)
    finder = Finder(session, pump.post, lambda: None)
    yield finder
    finder.close()


def clicks(*places):
    return [Mark("click", np.array([place], np.float32)) for place in places]


def said(pump, session, *places):
    session.ask("a", (0,), clicks(*places))
    pump.until(lambda: not session.suggestions["a"].waiting)
    return session.suggestions["a"]


def test_a_second_click_refines_the_answer_to_the_first(pump, session):
    first = said(pump, session, FIRST)
    second = said(pump, session, FIRST, SECOND)
    model, plane = session.prepared((0,))
    assert isinstance(model, Sam1Model)
    both = Prompt(points=[FIRST, SECOND], labels=[1, 1])
    refining = Prompt(points=[FIRST, SECOND], labels=[1, 1], previous=first.mask)
    anew, refined = model.decode(plane.embedding, [both, refining])
    assert refined.best.box == second.mask.box
    np.testing.assert_array_equal(refined.best.data, second.mask.data)
    shape = plane.embedding.shape
    assert (anew.best.full(shape) != refined.best.full(shape)).any()


def test_the_candidate_that_was_chosen_is_refined(pump, session):
    first = said(pump, session, FIRST)
    assert len(first.candidates.masks) > 1
    session.cycle()
    chosen = session.suggestions["a"].mask
    assert chosen is not first.mask
    second = said(pump, session, FIRST, SECOND)
    model, plane = session.prepared((0,))
    refining = Prompt(points=[FIRST, SECOND], labels=[1, 1], previous=chosen)
    (refined,) = model.decode(plane.embedding, [refining])
    np.testing.assert_array_equal(refined.best.data, second.mask.data)


def test_anything_is_found_as_by_a_batch(pump, session, finder):
    finder.find("everything")
    pump.until(lambda: finder.state.phase == "found")
    model, plane = session.prepared((0,))
    looks = []
    session.look((0,), looks.append, pytest.fail)
    pump.until(lambda: looks)
    options = GridOptions(points_per_side=4, conf=0.05, max_fraction=0.5)
    batch = find_everything(looks[0].plane, model, options, embedding=plane.embedding)
    assert len(batch) > 0
    assert finder.total.of == len(batch)
    assert finder.total.objects == len(finder.found.objects)
    for ours, theirs in zip(
        finder._pile[(0,)].proposals().masks, batch.masks, strict=True
    ):
        assert ours.box == theirs.box
        np.testing.assert_array_equal(ours.data, theirs.data)


def test_it_is_cancelled_in_the_middle_of_the_encoder(
    pump, session, finder, monkeypatch
):
    real, begun, finished = Sam1Model.encode, threading.Event(), []

    def encode(self, image, normalization=None):
        if image.index == (3,):  # nobody else has it prepared
            begun.set()
        embedding = real(self, image, normalization)
        finished.append(image.index)
        return embedding

    monkeypatch.setattr(Sam1Model, "encode", encode)
    finder.find("everything", Where(((0,), *outward((3,), (4,))[:3])))
    pump.until(begun.is_set)
    found = finder.total
    finder.cancel()
    assert finder.state.phase == "stopped"
    pump.until(lambda: finder._lane.idle)
    assert (3,) not in finished
    assert finder.searched == 1
    assert finder.total == found
    assert found.objects > 0
