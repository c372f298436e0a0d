"""What can get in the way: other images, other models, full memory, cancelling."""

import threading

import numpy as np
import pytest

from napari_sam.live.labels.store import LabelStore
from napari_sam.live.prompting import engine
from napari_sam.live.prompting.session import Session
from napari_sam.live.source import Source
from napari_sam.models.lane import checkpoint


class Around:
    """The built-in model with something in front of what it does."""

    def __init__(self, model, encode=None, decode=None):
        self._model, self._before_encode, self._before_decode = model, encode, decode

    @property
    def info(self):
        return self._model.info

    def encode(self, plane):
        if self._before_encode is not None:
            self._before_encode(plane)
        return self._model.encode(plane)

    def decode(self, embedding, prompts):
        if self._before_decode is not None:
            self._before_decode(prompts)
        return self._model.decode(embedding, prompts)


@pytest.fixture
def around(monkeypatch):
    """Put something in front of what models do that are loaded from now on."""
    load = engine._load

    def put(**before):
        monkeypatch.setattr(engine, "_load", lambda *a: Around(load(*a), **before))

    return put


def held(event):
    """Let a model wait as real ones do: with checkpoints."""

    def wait(_):
        while not event.wait(0.01):
            checkpoint()

    return wait


def ready(session):
    return lambda: session.status.phase == "ready"


def told(session, key="a"):
    return lambda: not session.suggestions[key].waiting


def allocate(_):
    import torch

    torch.empty(2**62, dtype=torch.uint8)  # no computer has so much


def no_memory(_):
    raise MemoryError


@pytest.mark.parametrize("fail", [allocate, no_memory])
def test_memory_that_is_gone_while_answering(
    pump, around, session, source, store, draw, fail
):
    full = [True]
    around(decode=lambda prompts: fail(prompts) if full else None)
    session.open(source, store)
    session.look_at((0,))
    session.ask("a", (0,), draw.on(0))
    session.ask("b", (0,), draw.on(1))
    session.commit(["b"])
    pump.until(lambda: told(session)() and told(session, "b")())
    for key in "ab":
        assert "memory" in session.suggestions[key].error
        assert "\n" not in session.suggestions[key].error
        assert session.suggestions[key].mask is None
    assert not store.records
    full.clear()
    session.ask("a", (0,), draw.on(0))
    pump.until(told(session))
    assert session.suggestions["a"].mask is not None


@pytest.mark.parametrize("fail", [allocate, no_memory])
def test_memory_that_is_gone_while_preparing(
    pump, around, session, source, store, draw, fail
):
    full = [True]
    around(encode=lambda plane: fail(plane) if full else None)
    session.open(source, store)
    session.look_at((0,))
    session.ask("a", (0,), draw.on(0))
    pump.until(told(session))
    assert "memory" in session.suggestions["a"].error
    pump.until(lambda: session.status.phase == "failed")
    assert "memory" in session.status.error
    full.clear()
    session.ask("a", (0,), draw.on(0))
    pump.until(told(session))
    assert session.suggestions["a"].mask is not None
    pump.until(ready(session))


def test_one_bad_question_does_not_spoil_the_others(
    pump, around, session, source, store, draw
):
    def refuse(prompts):
        if any(prompt.points[0, 0] > 60 for prompt in prompts):
            raise RuntimeError("no")

    around(decode=refuse)
    session.open(source, store)
    session.ask_all({n: ((0,), draw.on(n)) for n in range(4)})
    pump.until(lambda: not any(one.waiting for one in session.suggestions.values()))
    errors = [bool(one.error) for one in session.suggestions.values()]
    assert errors == [False, False, False, True]


def test_the_image_is_replaced_while_a_model_runs(
    pump, around, session, listener, source, store, draw, frames
):
    go = threading.Event()
    around(decode=held(go))
    session.open(source, store)
    session.look_at((0,))
    session.ask("a", (0,), draw.on(0))
    session.commit()
    pump.until(lambda: session.status.phase == "answering")
    new = LabelStore(np.zeros((2, 96, 112), np.uint32))
    session.open(Source(frames[2:], "other", (2, 96, 112), "T", False), new)
    assert not session.suggestions
    assert listener.marks == [{"a"}]
    session.look_at((1,))
    session.ask("a", (1,), draw.on(1))
    go.set()
    pump.until(told(session))
    assert session.suggestions["a"].mask is not None
    assert not store.records
    assert not new.records
    assert not session.history.undo_text.startswith("Add object")


def test_the_image_is_replaced_while_a_slice_is_prepared(
    pump, around, session, source, store, draw, frames
):
    go = threading.Event()
    around(encode=held(go))
    session.open(source, store)
    session.look_at((0,))
    session.ask("a", (0,), draw.on(0))
    pump.until(lambda: session.status.phase == "preparing")
    bright = Source(frames[0] * 2, "other", (96, 112), "", False)
    session.open(bright, LabelStore(np.zeros((96, 112), np.uint32)))
    session.ask("b", (), draw.on(1))
    go.set()
    pump.until(told(session, "b"))
    assert list(session.suggestions) == ["b"]


@pytest.mark.parametrize("phase", ["loading", "preparing", "answering"])
def test_closed_in_the_middle(
    pump, around, session, listener, source, store, draw, phase
):
    go = threading.Event()
    around(**{"preparing": {"encode": held(go)}}.get(phase, {"decode": held(go)}))
    session.open(source, store)
    session.look_at((0,))
    session.ask("a", (0,), draw.on(0))
    pump.until(lambda: session.status.phase == phase)
    session.close()
    seen = len(listener.statuses)
    assert session.status.phase == "no image"
    go.set()
    other = Session(pump.post, listener)
    other.open(source, store)
    other.ask("a", (0,), draw.on(0))
    pump.until(told(other))
    other.close()
    assert not session.suggestions
    assert len(listener.statuses) > seen
    session.open(source, store)  # it can be used again
    session.ask("b", (0,), draw.on(0))
    pump.until(told(session, "b"))
    assert session.suggestions["b"].mask is not None


@pytest.mark.parametrize("phase", ["loading", "preparing", "answering"])
def test_cancel_stops_at_once(pump, around, session, source, store, draw, phase):
    go = threading.Event()
    around(**{"preparing": {"encode": held(go)}}.get(phase, {"decode": held(go)}))
    session.open(source, store)
    session.look_at((0,))
    session.ask("a", (0,), draw.on(0))
    session.commit()
    pump.until(lambda: session.status.phase == phase)
    session.cancel()
    assert not session.status.busy
    shown = session.suggestions["a"]
    assert (shown.waiting, shown.mask) == (False, None)
    assert "stopped" in shown.error
    go.set()
    session.ask("a", (0,), draw.on(0))  # the same once more
    pump.until(told(session))
    assert session.suggestions["a"].mask is not None
    assert not store.records  # cancelled is cancelled


def test_a_click_does_not_wait_for_neighbours(
    pump, around, session, source, store, draw
):
    go, calls = threading.Event(), []

    def encode(plane):
        calls.append(plane.index)
        if plane.index != (0,):
            held(go)(plane)

    around(encode=encode)
    session.open(source, store)
    session.look_at((0,))
    pump.until(lambda: len(calls) > 1)  # a neighbour is being prepared
    assert session.status.phase == "ready"
    session.ask("a", (0,), draw.on(0))
    pump.until(told(session))
    assert session.suggestions["a"].mask is not None
    assert not go.is_set()
    go.set()


def test_another_model_answers_everything_again(
    pump, opened, listener, draw, answered, tmp_path
):
    from napari_sam.models.catalog import list_models

    path = next(entry.path for entry in list_models() if entry.name == "pocket")
    copy = tmp_path / "mine.safetensors"
    copy.write_bytes(path.read_bytes())
    opened.ask("a", (0,), draw.on(0))
    pump.until(answered(opened))
    opened.ask("b", (0,), draw.on(1))
    opened.drop(["b"])
    first = opened.suggestions["a"]
    opened.use_model(str(copy))
    assert opened.status.phase == "loading"
    assert opened.suggestions["a"].mask is not None  # shown until then
    pump.until(lambda: opened.suggestions["a"] is not first)
    pump.until(answered(opened))
    opened.commit()
    assert opened.store.records[1].model == "mine.safetensors"
    opened.undo()
    opened.use_model("pocket")
    opened.use_model("pocket")
    pump.until(ready(opened))
    pump.until(answered(opened))
    opened.commit()
    assert opened.store.records[opened.store.next_id - 1].model == "pocket"


def test_a_model_that_cannot_be_loaded_is_said(pump, opened, draw, answered, tmp_path):
    opened.ask("a", (0,), draw.on(0))
    opened.use_model(str(tmp_path / "none.pt"))
    pump.until(answered(opened))
    assert "none.pt" in opened.suggestions["a"].error
    assert opened.status.phase == "failed"
    assert "none.pt" in opened.status.error
    opened.use_model("pocket")
    opened.ask("a", (0,), draw.on(0))
    pump.until(answered(opened))
    assert opened.suggestions["a"].mask is not None


def test_slices_on_which_there_is_nothing_to_see(pump, session, draw, answered, frames):
    planes = frames.astype(np.float32)
    planes[1] = 7
    planes[2] = np.nan
    labels = LabelStore(np.zeros(planes.shape, np.uint32))
    session.open(Source(planes, "gaps", planes.shape, "Z", False), labels)
    session.ask_all({n: ((n,), draw.on(1)) for n in range(4)})
    session.commit([2])
    pump.until(answered(session))
    errors = [one.error for one in session.suggestions.values()]
    assert not errors[0]
    assert "one colour" in errors[1]
    assert "NaN" in errors[2]
    assert not errors[3]
    assert not labels.records


def test_a_slice_that_cannot_be_read_is_said(pump, session, draw, answered, frames):
    class Broken:
        gone = True

        def __getitem__(self, key):
            if key == (2,) and self.gone:
                raise OSError("the disk is gone")
            return frames[key]

    data = Broken()
    data.gone = False
    session.open(
        Source(data, "far away", frames.shape, "Z", False),
        LabelStore(np.zeros(frames.shape, np.uint32)),
    )
    session.ask("a", (0,), draw.on(1))
    pump.until(answered(session))
    data.gone = True
    session.drop()
    session.look_at((3,))
    session.ask("b", (2,), draw.on(1))
    pump.until(answered(session))
    data.gone = False
    if session.suggestions["b"].error:
        assert "the disk is gone" in session.suggestions["b"].error
        session.ask("b", (2,), draw.on(1))
        pump.until(answered(session))
    assert session.suggestions["b"].mask is not None
