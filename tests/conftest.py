"""What all tests share: which display Qt talks to, small images, waiting."""

from __future__ import annotations

import importlib.util
import os
import queue
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_sam.data import FOLDER

HAS_DISPLAY = (
    sys.platform in ("win32", "darwin")
    or bool(os.environ.get("DISPLAY"))
    or bool(os.environ.get("WAYLAND_DISPLAY"))
)

if not HAS_DISPLAY:
    # Widgets still work without a display, OpenGL canvases do not.
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

# Of several bindings pytest-qt would take another one first than qtpy does.
for binding in ("PyQt6", "PyQt5"):
    if importlib.util.find_spec(binding) is not None:
        os.environ.setdefault("PYTEST_QT_API", binding.lower())
        break

# Neither read nor change the preferences of whoever runs the tests.
os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")
os.environ["NAPARI_SAM_CACHE"] = tempfile.mkdtemp()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what needs a window where there is no display, never in CI."""
    if HAS_DISPLAY or os.environ.get("CI"):
        return
    reason = "needs a display: `make test` brings one (Xvfb)"
    for item in items:
        if item.get_closest_marker("window"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def frames():
    """Four small frames of nuclei, uint8 or uint16 (4, 96, 112)."""
    whole = tifffile.imread(FOLDER / "images" / "nuclei_timelapse.tif")
    return np.ascontiguousarray(whole[:4, :96, :112])


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


@pytest.fixture
def no_thread_is_left():
    """Fail a test after which a thread of ours still runs."""
    before = our_threads()
    yield
    end = time.monotonic() + 20
    while (left := set(our_threads()) - set(before)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not left
