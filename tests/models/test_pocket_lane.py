"""The pocket model on a lane: it can be interrupted, and ends when it should."""

from __future__ import annotations

import queue
import threading

import numpy as np
import pytest

import napari_sam as ns
from napari_sam.models.lane import Priority, acquire


@pytest.fixture(scope="module")
def model():
    return ns.load_model("pocket", device="cpu")


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 255, (96, 128), np.uint8)


@pytest.fixture
def lane():
    posted = queue.Queue()
    handle = acquire(owner="test", post=posted.put)
    handle.posted = posted
    yield handle
    handle.close(60)


def run(lane, work, **callbacks):
    lane.submit(work, slot="work", priority=Priority.BATCH, **callbacks)
    while not lane.idle:
        lane.posted.get(timeout=60)()


BOXES = [ns.Prompt(box=(10, 10 + i, 40, 50 + i)) for i in range(20)]  # two chunks
CLICK = [ns.Prompt(points=[(30, 40)])]


@pytest.mark.parametrize("long", ["encode", "decode"])
def test_a_click_is_answered_inside_long_work_and_neither_changes(
    model, image, lane, long
):
    embedding = model.encode(image)
    expected = {
        "click": model.decode(embedding, CLICK),
        "encode": model.decode(embedding, BOXES),
        "decode": model.decode(embedding, BOXES),
    }
    order, answers = [], {}

    def click():
        answers["click"] = model.decode(embedding, CLICK)
        order.append("click")

    def work():
        lane.submit(click, slot="click", priority=Priority.DRAWING)
        here = model.encode(image) if long == "encode" else embedding
        if long == "encode":
            order.append("encode")
        answers[long] = model.decode(here, BOXES)
        if long == "decode":
            order.append("decode")

    run(lane, work)
    assert order == ["click", long]
    for name, answer in answers.items():
        assert_same(answer, expected[name])


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.best.box == other.best.box
        np.testing.assert_array_equal(one.best.data, other.best.data)
        assert one.best.score == pytest.approx(other.best.score, abs=1e-5)


@pytest.mark.parametrize("long", ["encode", "decode"])
def test_it_stops_in_the_middle(model, image, lane, long):
    embedding = model.encode(image)
    told, parts = [], []
    requests = []
    submitted = threading.Event()

    def count(*_):
        parts.append(1)
        if len(parts) == 3:
            requests[0].cancel()

    def work():
        assert submitted.wait(60)
        if long == "encode":
            model.encode(image)
        else:
            requests[0].cancel()
            model.decode(embedding, BOXES)
        told.append("went on")

    modules = list(model._network.encoder.parts())
    hooks = [module.register_forward_hook(count) for module in modules]
    try:
        requests.append(
            lane.submit(
                work,
                slot="work",
                priority=Priority.BATCH,
                cancelled=lambda: told.append("cancelled"),
            )
        )
        submitted.set()
        while not lane.idle:
            lane.posted.get(timeout=60)()
    finally:
        for hook in hooks:
            hook.remove()
    assert told == ["cancelled"]
    assert len(parts) == (3 if long == "encode" else 0)
