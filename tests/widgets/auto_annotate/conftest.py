"""What the tests of the widget share: small images, and waiting without Qt."""

from __future__ import annotations

import queue
import threading
import time

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel

from napari_sam.data import FOLDER


@pytest.fixture(scope="session")
def frames():
    """Four small frames of nuclei, uint8 or uint16 (4, 96, 112)."""
    whole = tifffile.imread(FOLDER / "images" / "nuclei_timelapse.tif")
    return np.ascontiguousarray(whole[:4, :96, :112])


@pytest.fixture
def viewer():
    """Return a viewer without a window."""
    return ViewerModel()


class Pump:
    """Runs what was posted, on the thread that calls `until`."""

    def __init__(self):
        self._posted = queue.Queue()

    def post(self, function):
        self._posted.put(function)

    def until(self, condition, seconds=60):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            try:
                self._posted.get(timeout=0.05)()
            except queue.Empty:
                continue


@pytest.fixture
def pump():
    return Pump()


def our_threads():
    return [t.name for t in threading.enumerate() if t.name.startswith("napari-sam")]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    """Fail a test after which a thread of ours still runs."""
    before = our_threads()
    yield
    end = time.monotonic() + 20
    while (left := set(our_threads()) - set(before)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not left
