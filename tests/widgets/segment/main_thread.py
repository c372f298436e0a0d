"""Run by test_main_thread.py: a session in a real window, watched all the while.

Says as JSON what the main thread did that only other threads may do: ask a model,
go over a whole plane or more, write files. Afterwards all of that is done on the main
thread on purpose, to see that it would have been noticed.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path

os.environ["NAPARI_SAM_HOME"] = tempfile.mkdtemp()
os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")

import napari
import numpy as np
import tifffile
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog
from scipy import ndimage

from napari_sam.data import FOLDER
from napari_sam.live.disk import saving
from napari_sam.live.disk.snapshot import Snapshot
from napari_sam.live.labels.scan import scan
from napari_sam.live.prompting import engine
from napari_sam.widgets.segment.form import NEW
from napari_sam.widgets.segment.keyboard.canvas import canvases

MAIN = threading.get_ident()
SLICES, HEIGHT, WIDTH = 5, 96, 112
LEFT = Qt.MouseButton.LeftButton
PLAIN, CTRL = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier
_SHOWN = ("napari", "vispy")
_WRITES = {
    f"os.{name}"
    for name in ("rename", "remove", "mkdir", "rmdir", "truncate", "link", "symlink")
} | {"tempfile.mkstemp", "tempfile.mkdtemp", "shutil.copyfile", "shutil.rmtree"}
_MODELS = ("load", "encode", "decode", "torch")
_CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Guard:
    """Notes what the main thread does, and counts what the others do."""

    def __init__(self):
        self.armed, self._noting = False, threading.local()
        self.noted: dict[str, None] = {}
        self.elsewhere = Counter()

    def note(self, kind, pixels=None):
        """Take a deed in; one of few pixels, or one that only shows them, is good."""
        if not self.armed or getattr(self._noting, "now", False):
            return
        if pixels is not None and pixels < HEIGHT * WIDTH // 2:
            return
        if threading.get_ident() != MAIN:
            self.elsewhere[kind] += 1
            return
        self._noting.now = True
        try:
            culprit = self._culprit(sys._getframe(1), pixels)
            if kind in _MODELS:  # nobody may do that here
                culprit = culprit or "whatever"
            if culprit:
                self.noted[f"{kind} in {culprit}"] = None
        finally:
            self._noting.now = False

    @staticmethod
    def _culprit(frame, pixels):
        """Return who of us is to blame; None where napari shows what it has to."""
        nearest = None  # of those that count: libraries do what they are told
        while frame is not None:
            name = frame.f_globals.get("__name__", "")
            package = name.partition(".")[0]
            if package == "napari_sam":
                alone = nearest is None
                whole = pixels is not None and pixels > HEIGHT * WIDTH
                if alone or whole:
                    return f"{name}:{frame.f_code.co_name}"
                return None
            if package in _SHOWN:
                nearest = nearest or name
            frame = frame.f_back
        return None

    def said(self):
        """Return what was noted since the last time."""
        noted, self.noted = self.noted, {}
        return [*noted]


guard = Guard()


class Elsewhere:
    """Slices that do not lie in memory: whoever reads them is noticed."""

    def __init__(self, pixels):
        self._pixels = pixels
        self.shape, self.dtype, self.ndim = pixels.shape, pixels.dtype, pixels.ndim

    def __getitem__(self, key):
        part = np.array(self._pixels[key])
        guard.note("read", part.size)
        return part

    def __array__(self, dtype=None, copy=None):
        return self[...]


class Watched(np.ndarray):
    """An array that notices who goes over it."""

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **options):
        arrays = [each for each in (*inputs, *out) if isinstance(each, Watched)]
        guard.note("pass", max(each.size for each in arrays))
        if out:
            options["out"] = tuple(map(plain, out))
        return getattr(ufunc, method)(*map(plain, inputs), **options)

    def __array_function__(self, function, types, arguments, options):
        if function not in (np.shape, np.ndim, np.size, np.may_share_memory):
            guard.note("pass", self.size)
        return super().__array_function__(function, types, arguments, options)

    def __getitem__(self, key):
        part = super().__getitem__(key)
        picked = isinstance(part, np.ndarray) and not np.may_share_memory(
            plain(part), plain(self)
        )
        if picked:
            guard.note("pass", self.size)
        return part

    def __setitem__(self, key, value):
        guard.note("pass", np.size(plain(self)[key]))
        plain(self)[key] = value


def plain(array):
    return array.view(np.ndarray) if isinstance(array, Watched) else array


def watched_method(name):
    original = getattr(np.ndarray, name)

    @functools.wraps(original)
    def method(self, *arguments, **options):
        guard.note("pass", self.size)
        return original(plain(self), *arguments, **options)

    setattr(Watched, name, method)


def watch_arrays():
    """Watch what we make ourselves too, and those who look behind a watched one."""
    for name in ("copy", "astype", "tobytes", "nonzero", "flatten", "tolist", "fill"):
        watched_method(name)
    zeros = np.zeros

    def watched_zeros(*arguments, **options):
        made = zeros(*arguments, **options)
        caller = sys._getframe(1).f_globals.get("__name__", "")
        large = made.size >= HEIGHT * WIDTH and threading.get_ident() == MAIN
        return made.view(Watched) if large and caller.startswith("napari_sam") else made

    np.zeros = watched_zeros
    for name in ("asarray", "ascontiguousarray", "array"):
        setattr(np, name, looking(getattr(np, name)))


def looking(original):
    @functools.wraps(original)
    def look(*arguments, **options):
        if arguments and isinstance(arguments[0], Watched):
            guard.note("pass", arguments[0].size)
        return original(*arguments, **options)

    return look


def watch_files():
    def hook(event, arguments):
        if not guard.armed:
            return
        if event == "open":
            _, mode, flags = arguments
            if (mode and set(mode) & set("wax+")) or (flags or 0) & _CHANGES:
                guard.note("write")
        elif event in _WRITES:
            guard.note("write")

    sys.addaudithook(hook)
    fsync = os.fsync

    def noted_fsync(file):
        guard.note("write")
        fsync(file)

    os.fsync = noted_fsync


def watch_models():
    """Watch every model from the moment in which it is loaded."""
    load, known = engine._load, set()

    def noted(kind, original):
        @functools.wraps(original)
        def call(*arguments, **options):
            guard.note(kind)
            return original(*arguments, **options)

        return call

    def watched_load(*arguments):
        guard.note("load")
        model = load(*arguments)
        if type(model) not in known:
            known.add(type(model))
            for name in ("encode", "decode"):
                setattr(type(model), name, noted(name, getattr(type(model), name)))
        return model

    engine._load = watched_load


def watch_torch():
    """Watch every operation of torch, whoever asks for it."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Noted(TorchDispatchMode):
        def __torch_dispatch__(self, operation, types, arguments=(), options=None):
            guard.note("torch")
            return operation(*arguments, **(options or {}))

    Noted().__enter__()  # of this thread only, until the end


class Person:
    """Works in a window with mouse and keys."""

    def __init__(self, pixels, labels):
        self.viewer = napari.Viewer()
        self.viewer.window.resize(1200, 800)
        low, high = int(pixels.min()), int(pixels.max())
        self.viewer.add_image(
            Elsewhere(pixels), name="nuclei", contrast_limits=(low, high)
        )
        self.theirs = self.viewer.add_labels(labels, name="mine")
        self.viewer.dims.set_current_step(0, 0)
        self.wait(0.2)
        guard.armed = True
        _, self.panel = self.viewer.window.add_plugin_dock_widget(
            "napari-sam-annotator", "Segment"
        )
        (self.canvas,) = canvases(self.viewer)
        self.panel.hint.hide()
        self.viewer.reset_view()
        self.until(self.ready)

    @property
    def session(self):
        return self.panel.bridge.session

    def wait(self, seconds):
        QTest.qWait(round(1000 * seconds))

    def until(self, condition):
        for _ in range(6000):
            if condition():
                return
            QTest.qWait(10)
        raise SystemExit("it did not happen in time")

    def ready(self):
        return self.session.status.phase == "ready"

    def idle(self):
        prepared = set(np.ndindex(SLICES)) <= set(self.session._planes.kept)
        return self.ready() and prepared

    def at(self, place):
        camera, desk = self.viewer.scene.camera, self.panel.bridge.desk
        world = desk.image.data_to_world((*desk.index, *place))[-2:]
        middle = np.array([self.canvas.height(), self.canvas.width()]) / 2
        row, column = middle + (np.array(world) - camera.center[-2:]) * camera.zoom
        return QPoint(round(column), round(row))

    def click(self, place):
        self.canvas.setFocus()
        QTest.mouseMove(self.canvas, self.at(place))
        QTest.mouseClick(self.canvas, LEFT, PLAIN, self.at(place))
        self.answered()

    def drag(self, start, end):
        first, last = self.at(start), self.at(end)
        QTest.mouseMove(self.canvas, first)
        QTest.mousePress(self.canvas, LEFT, PLAIN, first)
        for part in (0.3, 0.7, 1.0):
            QTest.mouseMove(self.canvas, first + (last - first) * part)
            self.wait(0.02)
        QTest.mouseRelease(self.canvas, LEFT, PLAIN, last)

    def press(self, key, modifier=PLAIN):
        self.canvas.setFocus()
        QTest.keyClick(self.canvas, key, modifier)
        self.wait(0.05)

    def answered(self):
        self.until(
            lambda: (
                self.session.suggestions
                and not any(s.waiting for s in self.session.suggestions.values())
            )
        )

    def keep(self):
        self.press(Qt.Key.Key_Return)
        self.until(lambda: not self.session.suggestions)


def work(person, middles, folder):
    """Do what people do all day."""
    panel = person.panel
    panel.form.labels.value = person.theirs
    person.until(lambda: panel.bridge.desk.labels is not None)
    for number in range(SLICES):
        person.viewer.dims.set_current_step(0, number)
        person.until(person.ready)
        person.click(middles[number][0])
        person.press(Qt.Key.Key_Tab)
        person.keep()
    panel.view.tools["box"].click()
    y, x = middles[SLICES - 1][1]
    person.drag((y - 9, x - 9), (y + 9, x + 9))
    person.answered()
    person.keep()
    for key, modifier in (
        (Qt.Key.Key_Z, CTRL),
        (Qt.Key.Key_Z, CTRL | Qt.KeyboardModifier.ShiftModifier),
    ):
        person.press(key, modifier)
    person.until(lambda: not person.session.suggestions)
    QTest.mouseMove(person.canvas, person.at((y, x)))
    person.press(Qt.Key.Key_Delete)
    paint(person)
    panel.find.start.click()
    person.until(panel.find.add.isEnabled)
    panel.find.add.click()
    QFileDialog.getExistingDirectory = staticmethod(lambda *_: str(folder))
    panel.view.save.click()
    person.until(lambda: "saved in" in panel.view.notice.text())
    panel.form.labels.value = NEW
    panel.view.tools["click"].click()
    person.viewer.dims.set_current_step(0, 1)
    person.click(middles[1][0])
    person.keep()
    person.until(person.idle)
    person.wait(1)  # what is to be kept on the disk is kept by now


def paint(person):
    layer = person.theirs
    person.viewer.layers.selection.active = layer
    layer.selected_label, layer.brush_size, layer.mode = 40, 5, "paint"
    before = len(person.session.store.records)
    person.drag((50, 50), (60, 60))
    person.until(lambda: len(person.session.store.records) == before + 1)


def misdeeds(person, folder):
    """Return what is noticed when it is done on the main thread."""
    session, store = person.session, person.session.store
    source, model = session.source, session._engine.model
    found = {}
    plane = source.plane((1,), source.normalization("stack"))
    found["read"] = guard.said()
    model.encode(plane)
    found["model"] = guard.said()
    scan(store.labels)
    found["scan"] = guard.said()
    snapshot = Snapshot.of(store)
    found["pack"] = guard.said()
    text = saving.ImageText(
        name="nuclei", shape=source.shape, stack_axes="Z", path="", fingerprint=""
    )
    saving.save(folder, snapshot, text)
    found["write"] = guard.said()
    return found


def main():
    pixels = tifffile.imread(FOLDER / "images" / "nuclei_timelapse.tif")
    truth = tifffile.imread(FOLDER / "truth" / "nuclei_timelapse.tif")
    pixels, truth = (a[:SLICES, :HEIGHT, :WIDTH] for a in (pixels, truth))
    middles = []
    for plane in truth:
        ids = [i for i in np.unique(plane[12:-12, 12:-12]) if i]
        middles.append(ndimage.center_of_mass(plane > 0, plane, ids))
    labels = np.zeros(pixels.shape, np.int32)
    labels[4, 2:6, 2:6] = 3
    watch_arrays()
    watch_files()
    watch_models()
    folders = [Path(tempfile.mkdtemp()) for _ in range(2)]
    person = Person(pixels, labels.view(Watched))
    watch_torch()
    work(person, middles, folders[0])
    says = {"session": guard.said(), "elsewhere": dict(guard.elsewhere)}
    says["objects"] = len(np.unique(plain(person.theirs.data))) - 1
    says["files"] = sorted(
        path.relative_to(folders[0]).as_posix()
        for path in folders[0].rglob("*")
        if path.is_file()
    )
    says["misdeeds"] = misdeeds(person, folders[1])
    person.viewer.close()
    person.wait(0.5)
    says["closing"] = guard.said()
    QApplication.processEvents()
    print(json.dumps(says))


main()
