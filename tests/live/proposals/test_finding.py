"""All objects of a slice: the real built-in model on small frames of nuclei."""

import threading

import numpy as np
import pytest

from napari_sam.live.labels.store import LabelStore
from napari_sam.live.proposals.finding import Finder
from napari_sam.live.proposals.found import Filters
from napari_sam.live.source import Source
from napari_sam.live.values import Rule
from napari_sam.models.pocket.model import PocketModel
from napari_sam.segment import annotate


@pytest.fixture
def finder(pump, opened):
    finder = Finder(opened, pump.post, lambda: None)
    yield finder
    finder.close()


@pytest.fixture
def found(pump, finder):
    """A finder that has found the nuclei of the first frame."""
    finder.find("nuclei")
    pump.until(lambda: finder.state.phase == "found")
    return finder


@pytest.fixture
def encoded(monkeypatch):
    """Return where models have been asked to encode a plane."""
    planes = []
    real = PocketModel.encode

    def encode(self, image, normalization=None):
        planes.append((image.index, threading.current_thread().name))
        return real(self, image, normalization)

    monkeypatch.setattr(PocketModel, "encode", encode)
    return planes


def count(finder):
    return 0 if finder.found is None else len(finder.found.objects)


def painted(finder, shape):
    labels = np.zeros(shape, np.uint32)
    for number, one in enumerate(finder.found.objects, 1):
        assert not labels[one.mask.slices][one.mask.data].any()
        labels[one.mask.slices][one.mask.data] = number
    return labels


def settled(pump, finder, filters):
    """Filter, and wait for what comes of it."""
    before = finder.found
    finder.filter(filters)
    pump.until(lambda: finder.found is not before)


def add(finder):
    """Add what was found; return how many, and why not the others."""
    told = []
    finder.add(lambda count, refused: told.append((count, list(refused))))
    (outcome,) = told  # so few are added at once
    return outcome


def test_it_finds_what_a_batch_run_finds(found, frames):
    labels, objects = annotate(frames[0])
    assert len(objects["id"]) > 5
    assert count(found) == len(objects["id"])
    # The batch sees one frame, the session the contrast of all.
    ours = painted(found, frames.shape[1:])
    assert ((ours > 0) != (labels > 0)).mean() < 0.02
    assert found.found.index == (0,)


def test_a_prepared_slice_is_not_encoded_again(pump, opened, finder, encoded):
    pump.until(lambda: len(opened._planes.kept) >= 3)
    before = [index for index, _ in encoded]
    assert before.count((0,)) == 1
    finder.find("nuclei")
    pump.until(lambda: finder.state.phase == "found")
    assert [index for index, _ in encoded].count((0,)) == 1
    assert {thread for _, thread in encoded} == {"napari-sam lane cpu"}


def test_a_slice_that_is_being_prepared_is_waited_for(pump, finder, opened, encoded):
    finder.find("nuclei")  # nothing is loaded yet
    assert finder.state.phase == "preparing"
    opened.look_at((3,))  # the person goes on meanwhile
    pump.until(lambda: finder.state.phase == "found")
    assert finder.found.index == (0,)
    assert [index for index, _ in encoded].count((0,)) == 1


def test_filters_act_without_a_model(pump, found, frames, encoded):
    everything = count(found)
    settled(pump, found, Filters(confidence=0.05))
    assert count(found) >= everything
    settled(pump, found, Filters(border=False))
    whole = found.found.objects
    assert 0 < len(whole) < everything
    assert all(one.mask.box[0] > 0 and one.mask.box[1] > 0 for one in whole)
    areas = sorted(one.mask.area for one in whole)
    settled(pump, found, Filters(border=False, smallest=areas[1]))
    assert count(found) == len(whole) - 1
    settled(pump, found, Filters(border=False, largest=areas[0]))
    assert count(found) >= 1
    assert all(one.mask.area <= areas[0] * 1.2 for one in found.found.objects)
    settled(pump, found, Filters(stability=0.999))
    assert count(found) == 0
    settled(pump, found, Filters())
    assert count(found) == everything
    assert (0,) not in [index for index, _ in encoded]  # neighbours may be


def test_they_are_added_in_one_step(found, opened, listener):
    expected = count(found)
    scores = [one.mask.score for one in found.found.objects]
    masks = [one.mask for one in found.found.objects]
    assert add(found) == (expected, [])
    records = opened.store.records
    assert [opened.history.undo_text, len(opened.history)] == [
        f"Add {expected} objects",
        1,
    ]
    assert [r.source for r in records.values()] == ["detector"] * expected
    assert [r.score for r in records.values()] == scores
    assert {(r.reviewed, r.annotator, r.model) for r in records.values()} == {
        (False, "Ada", "pocket")
    }
    assert all(r.model_sha256 for r in records.values())
    for number, mask in enumerate(masks, 1):
        kept = opened.store.mask_of(number, (0,))
        assert kept.box == mask.box
        assert (kept.data == mask.data).all()
    assert len(listener.changes) == 1
    assert (found.found, found.state.phase) == (None, "nothing")
    labels = opened.store.labels.copy()
    assert opened.undo()
    assert not opened.store.labels.any()
    assert not records
    assert opened.redo()
    assert (opened.store.labels == labels).all()
    assert len(records) == expected


@pytest.mark.parametrize("rule", [Rule.KEEP, Rule.BACKGROUND])
def test_what_is_there_already_is_refused_and_counted(pump, found, opened, rule):
    first, *others = found.found.objects
    opened.rule = rule
    opened.edit(opened.store.add((0,), first.mask, Rule.KEEP, source="person"))
    mine = opened.store.labels.copy()
    added, refused = add(found)
    assert (added, len(refused)) == (len(others), 1)
    assert (opened.store.labels[mine > 0] == 1).all()
    assert opened.store.records[1].source == "person"
    assert opened.undo()
    assert (opened.store.labels == mine).all()


def test_a_rule_that_replaces_takes_all(found, opened):
    first = found.found.objects[0]
    opened.rule = Rule.REPLACE
    opened.edit(opened.store.add((0,), first.mask, Rule.KEEP))
    total = count(found)
    assert add(found) == (total, [])
    assert 1 not in opened.store.records
    assert opened.undo()
    assert list(opened.store.records) == [1]


def test_nothing_is_added_where_all_are_there_already(pump, found, opened):
    total, _ = add(found)
    found.find("nuclei")
    pump.until(lambda: found.state.phase == "found")
    steps = len(opened.history)
    added, refused = add(found)
    assert (added, len(refused)) == (0, total)
    assert len(opened.history) == steps


def test_anything_is_found_point_by_point(pump, finder, opened, frames):
    parts = []
    finder._changed = lambda: parts.append(finder.state.part)
    finder.find("everything")
    pump.until(lambda: finder.state.phase == "found")
    assert any(part and 0 < part < 1 for part in parts)
    assert count(finder) > 5
    one = finder.found.objects[0]
    (said,) = one.about["prompts"]
    assert said.index == (0,)
    assert said.marks[0].kind == "click"
    total, _ = add(finder)
    assert total > 5
    record = opened.store.records[1]
    assert len(record.prompts) == 1
    key = opened.reopen(1, (0,))
    assert len(opened.suggestions[key].marks) == 1


def test_a_search_can_be_stopped(pump, finder, opened):
    pump.until(lambda: opened.status.phase == "ready")
    finder.find("everything")
    pump.until(lambda: finder.state.part)
    finder.cancel()
    assert finder.state.phase == "stopped"
    pump.until(lambda: finder._lane.idle)
    assert finder.found is None
    finder.find("nuclei")
    pump.until(lambda: finder.state.phase == "found")


def test_cancelling_the_session_stops_a_search_that_waits(finder, opened):
    finder.find("nuclei")
    opened.cancel()
    assert finder.state.phase == "stopped"


def test_another_model_begins_the_search_again(pump, finder, opened):
    finder.find("everything")
    pump.until(lambda: finder.state.phase == "searching")
    opened.use_model("pocket", "cpu")  # loaded anew, since before it was "auto"
    assert finder.state.phase == "preparing"
    pump.until(lambda: finder.state.phase == "found")


def test_a_model_that_is_not_there_is_said(pump, finder, opened):
    pump.until(lambda: opened.status.phase == "ready")
    finder.find("nuclei")
    opened.use_model("there is no such model")
    pump.until(lambda: finder.state.phase == "failed")
    assert "no such model" in finder.state.error


def test_a_slice_without_contrast_is_said(pump, session, frames):
    flat = np.array(frames)
    flat[1] = 7
    source = Source(flat, "nuclei", flat.shape, "T", False)
    session.open(source, LabelStore(np.zeros(flat.shape, np.uint32)))
    session.look_at((1,))
    finder = Finder(session, pump.post, lambda: None)
    finder.find("nuclei")
    pump.until(lambda: finder.state.phase == "failed")
    assert "one colour" in finder.state.error
    finder.close()


def test_without_an_image_nothing_happens(pump, session):
    finder = Finder(session, pump.post, lambda: None)
    finder.find("nuclei")
    assert finder.state.phase == "nothing"
    finder.add(pytest.fail)
    finder.close()


def test_full_labels_refuse_the_rest(pump, session, source, frames):
    store = LabelStore(np.zeros(frames.shape, np.uint8), next_id=254)
    session.open(source, store)
    session.look_at((0,))
    finder = Finder(session, pump.post, lambda: None)
    finder.find("nuclei")
    pump.until(lambda: finder.state.phase == "found")
    total = count(finder)
    added, refused = add(finder)
    assert (added, len(refused)) == (2, total - 2)
    assert "no number above" in refused[0].text
    finder.close()
