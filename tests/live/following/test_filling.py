"""Slices between those with an object are filled: nuclei, of which some are gone."""

import numpy as np
import pytest
import tifffile

from napari_sam.data import FOLDER
from napari_sam.live.following import filling as module
from napari_sam.live.following.filling import Filling, FillState
from napari_sam.live.following.following import NO_STACK
from napari_sam.live.labels.scan import scan
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.source import Source
from napari_sam.live.values import Rule
from napari_sam.segment import fill_between
from napari_sam.types import Mask


@pytest.fixture(scope="module")
def truth():
    """Twelve slices of plant nuclei, 100 x 100."""
    stack = tifffile.imread(FOLDER / "truth" / "plant_nuclei_3d.tif")
    return np.ascontiguousarray(stack[40:52])


@pytest.fixture
def few(truth):
    """The same, with the objects on every third slice only."""
    labels = np.zeros(truth.shape, np.uint32)
    labels[::3] = truth[::3]
    return labels


@pytest.fixture
def use(session):
    def use_it(labels, axes="Z"):
        found = scan(labels)
        store = LabelStore(labels, records=found.records, extents=found.extents)
        pixels = np.zeros(labels.shape, np.uint8)
        session.open(Source(pixels, "nuclei", labels.shape, axes, False), store)
        session.look_at((0,) * (labels.ndim - 2))
        return session

    return use_it


@pytest.fixture
def filling(pump, session):
    told = []
    made = Filling(session, pump.post, lambda: told.append(made.state))
    made.told = told
    yield made
    made.close()


def ended(filling):
    return lambda: not filling.state.busy


def test_all_are_filled_as_in_python_and_in_one_step(pump, use, filling, few):
    session, before, noted = use(few), few.copy(), []
    expected, filled = fill_between(before)
    session.on_change = noted.append
    assert filling.start() == ""
    assert filling.state.busy and np.array_equal(few, before)  # nothing on this thread
    pump.until(ended(filling))
    state = filling.state
    assert state.phase == "done" and state.total == len(session.store.records)
    assert state.outlines == filled.outlines > 20
    assert len(state.objects) == filled.objects
    assert np.array_equal(few, expected)
    assert noted  # it is in the journal
    assert len(session.history) == 1
    assert session.history.undo_text == "Fill between slices"
    session.undo()
    assert np.array_equal(few, before)
    session.redo()
    assert np.array_equal(few, expected)


def test_only_the_wanted_object(pump, use, filling, few, truth):
    session, before = use(few), few.copy()
    number = max(session.store.extents, key=lambda n: len(session.store.extents[n]))
    filling.start([number, 99_999])
    pump.until(ended(filling))
    assert filling.state.objects == {number}
    assert filling.state.total == 1
    assert set(np.unique(few[few != before])) == {number}
    # A second time there is nothing left to do.
    filling.start([number])
    pump.until(ended(filling))
    assert filling.state == FillState("done", total=1)
    assert len(session.history) == 1


@pytest.mark.parametrize("axis", [0, 1])
def test_along_any_axis(pump, use, filling, few, axis):
    film = np.zeros((3, *few.shape), np.uint32)
    if axis:
        film[1] = few
    else:
        film[0] = film[2] = few
    session, (expected, filled) = use(film, "TZ"), fill_between(film, axis=axis)
    filling.start(axis=axis)
    pump.until(ended(filling))
    assert filling.state.outlines == filled.outlines > 20
    assert np.array_equal(session.store.labels, expected)


def test_others_are_never_written_over(pump, use, filling, few):
    few[1:3, 20:80, 20:80] = 5000
    use(few)
    before = few.copy()
    filling.start()
    pump.until(ended(filling))
    assert np.array_equal(few[before > 0], before[before > 0])
    assert filling.state.in_the_way > 0


def test_what_a_person_does_meanwhile_stays(pump, use, filling, few):
    session = use(few)
    number = max(session.store.extents, key=lambda n: len(session.store.extents[n]))
    first = min(session.store.extents[number])
    (at,) = first
    filling.start([number])
    own = Mask.from_array(np.ones((3, 3), bool), (0, 0))
    session.edit(session.store.add((at + 1,), own, Rule.KEEP, object_id=number))
    pump.until(ended(filling))
    assert (few[at + 1] == number).sum() == 9
    assert (few[at + 2] == number).sum() > 9


def test_it_stops_at_once_and_where_the_objects_go(pump, use, filling, few):
    use(few)
    before = few.copy()
    filling.start()
    filling.stop()
    assert filling.state.phase == "stopped"
    use(before.copy())
    filling.start()
    filling.close()
    assert filling.state.phase == "stopped"
    assert np.array_equal(few, before)


def test_it_ends_when_what_it_added_is_taken_back(pump, use, filling, few, monkeypatch):
    monkeypatch.setattr(module, "_OBJECTS", 1)
    session, before = use(few), few.copy()
    filling.start()
    pump.until(lambda: filling.state.outlines > 0)
    session.undo()
    pump.until(ended(filling))
    assert filling.state.phase == "stopped"
    assert np.array_equal(few, before)


def test_one_slice_is_no_stack(use, filling, few):
    use(few[:1].copy())
    assert filling.start() == NO_STACK
    use(few[0].copy(), "")
    assert filling.start() == NO_STACK
    assert not filling.state.busy
