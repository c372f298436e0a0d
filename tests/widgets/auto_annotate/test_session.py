"""Without Qt and without napari: the real built-in model on small frames."""

import threading

import numpy as np
import pytest

from napari_sam.live.source import Source
from napari_sam.models.pocket.model import PocketModel
from napari_sam.models.tiles import Tiling
from napari_sam.segment import annotate, make_recipe
from napari_sam.widgets.auto_annotate import words
from napari_sam.widgets.auto_annotate.session import Session, say


class Listener:
    """Remembers what it was told, and by which thread."""

    def __init__(self):
        self.states, self.found, self.settlements, self.classes = [], [], [], []
        self.threads = set()

    def state_changed(self, state):
        self.threads.add(threading.current_thread())
        self.states.append(state)

    def plane_found(self, result):
        self.threads.add(threading.current_thread())
        self.found.append(result)

    def settled(self, results):
        self.settlements.append(results)

    def classes_known(self, names):
        self.classes.append(names)

    @property
    def phases(self):
        phases = [state.phase for state in self.states]
        return [p for i, p in enumerate(phases) if i == 0 or p != phases[i - 1]]


@pytest.fixture
def listener():
    return Listener()


@pytest.fixture
def session(pump, listener):
    session = Session(pump.post, listener)
    yield session
    session.close()


@pytest.fixture
def source(frames):
    return Source(frames, "nuclei", frames.shape, "T", False)


def stacked(results):
    ordered = sorted(results, key=lambda result: result.index)
    return np.stack([result.labels for result in ordered])


def ended(session):
    return lambda: not session.state.busy


def test_all_slices_give_what_the_command_line_gives(
    pump, session, listener, source, frames
):
    session.find_all(source, make_recipe(link="stack"))
    assert session.state.phase == "preparing"
    pump.until(ended(session))
    assert listener.phases == ["preparing", "running", "done"]
    assert [result.index for result in listener.found] == [(0,), (1,), (2,), (3,)]
    labels, objects = annotate(frames, axes="TYX", link="stack", device="cpu")
    ours = stacked(listener.found)
    assert (ours != labels).mean() < 1e-3
    ids = np.concatenate([result.objects["id"] for result in listener.found])
    assert ids.tolist() == objects["id"].tolist()


def test_everything_is_told_on_the_thread_that_pumps(pump, session, listener, source):
    session.find_all(source, make_recipe())
    pump.until(ended(session))
    assert listener.threads == {threading.current_thread()}
    assert listener.classes == [("nucleus",)]


def test_the_rest_is_estimated_after_the_first_slice(pump, session, listener, source):
    session.find_all(source, make_recipe())
    pump.until(ended(session))
    running = [state for state in listener.states if state.phase == "running"]
    assert [state.done for state in running] == [0, 1, 2, 3, 4]
    assert running[0].seconds_left is None
    assert all(state.seconds_left > 0 for state in running[1:4])


@pytest.fixture
def in_tiles(monkeypatch):
    """Planes are large for the built-in model: it sees them in tiles of 64 pixels."""
    tiling = Tiling(side=64, whole=64, small=16, large=64, most=2)
    monkeypatch.setattr(PocketModel, "tiling", tiling)


def test_it_is_told_how_far_a_large_plane_is(pump, session, listener, in_tiles, frames):
    plane = np.tile(frames[0], (3, 3))
    session.find_all(Source(plane, "wide", plane.shape, "", False), make_recipe())
    pump.until(ended(session))
    running = [state for state in listener.states if state.phase == "running"]
    parts = [state.part for state in running if state.part]
    assert len(parts) > 5
    assert parts == sorted(parts)
    assert parts[-1] < 1
    assert all(state.seconds_left > 0 for state in running if state.part)
    assert all(state.share == state.part for state in running if state.part)
    assert session.state.phase == "done"


def test_a_large_plane_is_given_up_at_once(pump, session, listener, in_tiles, frames):
    plane = np.tile(frames[0], (6, 6))
    session.find_all(Source(plane, "wide", plane.shape, "", False), make_recipe())
    pump.until(lambda: session.state.part > 0)
    session.cancel()
    assert session.state.phase == "stopped"
    # What is asked next does not wait for the rest of the plane.
    asked = len(listener.states)
    session.try_plane(
        Source(frames[0], "small", frames[0].shape, "", False), (), make_recipe()
    )
    pump.until(ended(session))
    assert session.state.phase == "done"
    assert [result.labels.shape for result in listener.found] == [frames[0].shape]
    assert all(state.total == 1 for state in listener.states[asked:])


def test_one_slice_is_tried(pump, session, listener, source):
    session.try_plane(source, (2,), make_recipe())
    pump.until(ended(session))
    (result,) = listener.found
    assert result.index == (2,)
    assert result.labels.any()
    assert (session.state.done, session.state.total) == (1, 1)


def test_other_thresholds_need_no_run(pump, session, listener, source):
    session.find_all(source, make_recipe(conf=0.25))
    pump.until(ended(session))
    before = stacked(listener.found)
    for conf in (0.3, 0.5, 0.7):  # as a slider does: only the last one counts
        assert session.apply(make_recipe(conf=conf))
    pump.until(lambda: listener.settlements and objects_of(listener.settlements) < 1)
    assert len(listener.found) == 4
    after = stacked(listener.settlements[-1])
    assert 0 < len(np.unique(after)) < len(np.unique(before))
    assert session.apply(make_recipe(conf=0.25))
    seen = len(listener.settlements)
    pump.until(lambda: len(listener.settlements) > seen)
    assert np.array_equal(stacked(listener.settlements[-1]), before)


def objects_of(settlements):
    """Count objects of the last settlement below the confidence of 0.7."""
    scores = [result.objects["detection_score"] for result in settlements[-1]]
    return int((np.concatenate(scores) < 0.7).sum())


def test_ids_are_linked_and_unlinked_afterwards(pump, session, listener, source):
    session.find_all(source, make_recipe())
    pump.until(ended(session))
    assert session.apply(make_recipe(link="stack"))
    pump.until(lambda: listener.settlements)
    many = len(np.unique(stacked(listener.found)))
    few = len(np.unique(stacked(listener.settlements[-1])))
    assert few < many


def test_thresholds_can_change_during_a_run(pump, session, listener, source):
    session.find_all(source, make_recipe(conf=0.25))
    pump.until(lambda: listener.found)
    assert session.apply(make_recipe(conf=0.7))
    pump.until(ended(session))
    assert listener.settlements
    last = listener.found[-1].objects["detection_score"]
    assert (last >= 0.7).all()


@pytest.mark.parametrize("options", [{"iou": 0.2}, {"max_det": 500}, {"conf": 0.01}])
def test_what_needs_a_run_is_said(pump, session, source, options):
    assert not session.apply(make_recipe())
    session.try_plane(source, (0,), make_recipe())
    pump.until(ended(session))
    assert session.apply(make_recipe())
    assert not session.apply(make_recipe(**options))


def test_cancel_keeps_what_is_done_and_nothing_comes_after(
    pump, session, listener, source
):
    session.find_all(source, make_recipe())
    pump.until(lambda: listener.found)
    session.cancel()
    assert session.state.phase == "stopped"
    done = session.state.done
    assert done == len(listener.found) < 4
    assert session.apply(make_recipe(conf=0.7))
    pump.until(lambda: listener.settlements)
    assert len(listener.found) == done
    assert session.state.phase == "stopped"


def test_cancel_while_getting_ready(pump, session, listener, source):
    session.find_all(source, make_recipe())
    session.cancel()
    assert (session.state.phase, session.state.done) == ("stopped", 0)
    session.try_plane(source, (1,), make_recipe())
    pump.until(ended(session))
    assert [result.index for result in listener.found] == [(1,)]


def test_a_new_run_ends_the_one_before(pump, session, listener, source):
    session.find_all(source, make_recipe())
    pump.until(lambda: listener.found)
    listener.found.clear()
    session.try_plane(source, (3,), make_recipe())
    pump.until(ended(session))
    assert [result.index for result in listener.found] == [(3,)]


def test_a_model_that_is_not_there_is_said_in_one_line(pump, session, source, tmp_path):
    session.find_all(source, make_recipe(model=str(tmp_path / "none.pt")))
    pump.until(ended(session))
    assert session.state.phase == "failed"
    assert "none.pt" in session.state.error
    assert "\n" not in session.state.error
    session.try_plane(source, (0,), make_recipe())
    pump.until(ended(session))
    assert session.state.phase == "done"


def test_a_detector_is_tried_as_soon_as_it_is_chosen(pump, session, listener, tmp_path):
    session.prepare(make_recipe(detector=str(tmp_path / "none.pt")))
    pump.until(lambda: session.state.phase == "failed")
    session.prepare(make_recipe(detector="threshold"))
    pump.until(lambda: listener.classes)
    assert listener.classes == [("object",)]


class Broken:
    """Frames of which some cannot be read."""

    def __init__(self, frames, *bad):
        self.frames, self.bad = frames, bad

    def __getitem__(self, key):
        if key[0] in self.bad:
            raise OSError("the disk is gone")
        return self.frames[key]


@pytest.mark.parametrize("link", ["none", "stack"])
def test_a_slice_that_cannot_be_read_leaves_the_others(
    pump, session, listener, frames, link
):
    source = Source(Broken(frames, 0, 2), "far away", frames.shape, "Z", False)
    session.find_all(source, make_recipe(link=link, min_planes=1))
    pump.until(ended(session))
    assert session.state.phase == "done", session.state.error
    assert [result.labels.any() for result in listener.found] == [
        *(False, True),
        *(False, True),
    ]
    assert list(session.unread) == [(0,), (2,)]
    assert "the disk is gone" in session.unread[0,]
    (line,) = words.unread(session.unread, "Z")
    assert line.startswith("⚠ 2 slices could not be read and have no objects")
    assert session.apply(make_recipe(conf=0.5, link=link, min_planes=1))
    seen = len(listener.settlements)
    pump.until(lambda: len(listener.settlements) > seen)
    assert len(listener.settlements[-1]) == 4


def test_where_no_slice_can_be_read_it_says_why(pump, session, listener, frames):
    source = Source(Broken(frames, 0, 1, 2, 3), "far", frames.shape, "Z", False)
    session.find_all(source, make_recipe())
    pump.until(ended(session))
    assert session.state.phase == "failed"
    assert "the disk is gone" in session.state.error
    session.try_plane(
        Source(Broken(frames, 1), "far", frames.shape, "Z", False), (1,), make_recipe()
    )
    pump.until(ended(session))
    assert session.state.phase == "failed"
    assert "at (1) cannot be read" in session.state.error


def test_a_slice_of_another_shape_is_no_slice_of_this_image(
    pump, session, listener, frames
):
    class Replaced:
        def __getitem__(self, key):
            return frames[key][:50] if key == (2,) else frames[key]

    source = Source(Replaced(), "replaced", frames.shape, "Z", False)
    session.find_all(source, make_recipe())
    pump.until(ended(session))
    assert session.state.phase == "done"
    assert list(session.unread) == [(2,)]
    assert "are 50 × 112 now, not 96 × 112" in session.unread[2,]


def test_the_users_own_labels_are_outlined(
    pump, session, listener, source, frames, tmp_path
):
    import tifffile

    marks = np.zeros(frames.shape, np.uint8)
    marks[1, 20:40, 30:60] = 7
    path = tmp_path / "marks.tif"
    tifffile.imwrite(path, marks, photometric="minisblack")
    session.find_all(source, make_recipe(detector=str(path)))
    pump.until(ended(session))
    assert session.state.phase == "done", session.state.error
    counts = [len(result.objects["id"]) for result in listener.found]
    assert counts == [0, 1, 0, 0]


def test_two_sessions_do_not_disturb_each_other(pump, session, listener, source):
    theirs = Listener()
    other = Session(pump.post, theirs)
    session.find_all(source, make_recipe())
    other.find_all(source, make_recipe(conf=0.6))
    pump.until(lambda: listener.found and theirs.found)
    other.close()
    pump.until(ended(session))
    assert len(listener.found) == 4
    assert len(theirs.found) < 4


def test_a_closed_session_is_silent_and_can_be_used_again(
    pump, session, listener, source
):
    session.find_all(source, make_recipe())
    pump.until(lambda: listener.found)
    session.close()
    told = len(listener.states)
    session.try_plane(source, (0,), make_recipe())
    pump.until(ended(session))
    assert listener.states[told].phase == "preparing"
    assert session.state.phase == "done"


def test_what_was_not_expected_is_not_hidden(caplog):
    line = say(ValueError("two\nlines"))
    assert line == "something unexpected happened (ValueError: two lines)"
    assert "an unexpected error" in caplog.text
    assert "memory is full" in say(MemoryError())
