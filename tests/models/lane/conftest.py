"""A receiver as a viewer is one: it runs what is posted, when it comes to it."""

from __future__ import annotations

import queue
import threading
import time

import pytest

from napari_sam.models.lane import LaneHandle, Priority, acquire

PATIENCE = 60.0  # seconds; only a test that fails waits that long


class Receiver:
    """The posted functions wait in a queue until the test's thread runs them."""

    def __init__(self):
        self.posted = queue.Queue()
        self.told = []

    def post(self, function):
        self.posted.put(function)

    def tell(self, *words):
        """Make a callback that notes `words` and what it is called with."""
        return lambda *values: self.told.append((*words, *values))

    def listeners(self, name):
        """Make all four endings' callbacks."""
        endings = ("done", "failed", "cancelled", "stale")
        return {ending: self.tell(name, ending) for ending in endings}

    def until(self, condition):
        """Run what is posted until the condition holds."""
        end = time.monotonic() + PATIENCE
        while not condition():
            self.posted.get(timeout=end - time.monotonic())()

    def run_all(self):
        """Run what has been posted by now."""
        while not self.posted.empty():
            self.posted.get()()


class Gate:
    """Work that starts, says so, and goes on when the test says so."""

    def __init__(self):
        self.reached = threading.Event()
        self.opened = threading.Event()

    def pass_through(self):
        self.reached.set()
        assert self.opened.wait(PATIENCE)

    def wait_until_reached(self):
        assert self.reached.wait(PATIENCE)

    def open(self):
        self.opened.set()


def lane_threads():
    return [t for t in threading.enumerate() if t.name.startswith("napari-sam lane")]


@pytest.fixture
def receiver():
    return Receiver()


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture(autouse=True)
def no_thread_stays():
    assert not lane_threads()
    yield
    for thread in lane_threads():
        thread.join(PATIENCE)
    assert not lane_threads()


@pytest.fixture
def join():
    """Acquire handles that are closed after the test."""
    handles: list[LaneHandle] = []

    def acquire_one(receiver, owner="someone", device="cpu"):
        handles.append(acquire(device, owner=owner, post=receiver.post))
        return handles[-1]

    yield acquire_one
    for handle in handles:
        handle.close(PATIENCE)


@pytest.fixture
def handle(join, receiver, gate):  # the gate opens before the handle closes
    return join(receiver)


@pytest.fixture
def busy(handle, gate):
    """The lane runs something that ends when the gate opens."""
    handle.submit(gate.pass_through, slot="gate", priority=Priority.DRAWING)
    gate.wait_until_reached()
    return handle
