"""Batches in processes of their own, and what is told of them."""

import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile

from napari_sam.live.batch.layers import OpenImage
from napari_sam.live.batch.session import Session
from napari_sam.live.batch.state import Images
from napari_sam.live.source import Source
from napari_sam.records.files import is_locked
from napari_sam.records.ledger import NAME as LEDGER
from napari_sam.records.run import run
from napari_sam.records.settings import NAME, Settings, read_settings
from napari_sam.records.trial import read_tried
from napari_sam.records.work import Workspace
from napari_sam.segment.recipe import Recipe

RECIPE = Recipe(detector="threshold", device="cpu")
PLANES = 24


class Listener:
    """Remembers what it was told, and by which threads."""

    def __init__(self):
        self.states, self.tried, self.pages, self.shown = [], [], [], []
        self.threads = set()

    def state_changed(self, state):
        self.threads.add(threading.current_thread())
        self.states.append(state)

    def slice_tried(self, one, picture):
        self.threads.add(threading.current_thread())
        self.tried.append((one, picture))

    def reported(self, page):
        self.pages.append(page)

    def opened(self, opened):
        self.shown.append(opened)

    def settings_read(self, settings):
        self.shown.append(settings)

    @property
    def phases(self):
        """All phases, each once where it did not change."""
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
def until(session, pump):
    """Look until something is so, as a window does."""

    def until(condition, seconds=90):
        def check():
            session.look()
            return condition()

        pump.until(check, seconds)

    return until


@pytest.fixture
def idle(session, until):
    """Wait until nothing runs, and the images are known."""

    def idle():
        until(lambda: not session.state.busy and session.state.found is not None)
        return session.state

    return idle


@pytest.fixture
def folder(tmp_path, squares):
    """Two planes, and one file that is no image."""
    place = tmp_path / "in"
    (place / "deep").mkdir(parents=True)
    tifffile.imwrite(place / "a.tif", squares((64, 80)))
    tifffile.imwrite(place / "deep" / "b.tif", squares((64, 80)))
    (place / "broken.tif").write_bytes(b"no TIFF")
    return place


@pytest.fixture
def stack(tmp_path, squares):
    """A stack that takes a while."""
    path = tmp_path / "stack.tif"
    axes = {"imagej": True, "metadata": {"axes": "ZYX"}}
    tifffile.imwrite(path, squares((PLANES, 64, 96)), **axes)
    return path


def settings(output, **options):
    recipe = RECIPE.model_copy(update=options)
    return Settings(inputs=("later",), output=str(output), options=recipe)


def finished(output, name="stack"):
    return len(Workspace(output).input(name).finished_planes())


def states(session):
    return {item.name: item.state for item in session.state.items}


def layer(pixels, name, axes=""):
    return OpenImage(Source(pixels, name, pixels.shape, axes, False), "", {})


def test_what_is_there_is_found_before_anything_runs(
    session, listener, idle, folder, tmp_path
):
    output = tmp_path / "out"
    session.watch(Images((str(folder),)), output)
    assert session.state.found is None and session.state.output == output
    state = idle()
    assert states(session) == {"a": "waiting", "deep/b": "waiting", "broken": "waiting"}
    (one,) = (item for item in state.items if item.name == "deep/b")
    assert (one.image, one.path) == ("deep/b.tif", str(folder / "deep" / "b.tif"))
    assert state.results.status is None and not state.elsewhere
    assert not output.exists()

    # What a run has done counts, and what it does not know is added.
    run([folder / "a.tif", folder / "broken.tif"], output, RECIPE)
    session.watch(Images((str(folder),)), output)
    idle()
    assert states(session) == {"a": "done", "broken": "failed", "deep/b": "waiting"}
    assert session.state.results.settings == read_settings(output / NAME)
    assert listener.threads == {threading.main_thread()}


def test_what_cannot_be_found_is_said(session, idle, tmp_path, folder):
    missing = tmp_path / "missing.tif"
    session.watch(Images((str(missing), str(folder / "a.tif"))), None)
    items = idle().items
    assert [item.state for item in items] == ["failed", "waiting"]
    assert str(missing) in items[0].error and not session.state.error
    # Results that cannot be understood.
    output = tmp_path / "out"
    run([folder / "a.tif"], output, RECIPE)
    (output / ".work" / "run.json").write_text("damaged")
    session.watch(Images((str(folder),)), output)
    assert "damaged" in idle().error and session.state.found == ()


def test_saved_settings_alone_are_no_results(session, idle, tmp_path, folder):
    (tmp_path / NAME).write_text(settings(tmp_path / "out").text())
    session.watch(Images((str(folder),)), tmp_path)
    state = idle()
    assert not state.error and len(state.items) == 3
    assert state.results.status is None


def test_only_what_was_asked_for_last_is_told(session, idle, tmp_path, folder):
    session.watch(Images((str(tmp_path / "missing.tif"),)), tmp_path / "one")
    session.watch(Images((str(folder / "a.tif"),)), tmp_path / "two")
    state = idle()
    assert states(session) == {"a": "waiting"} and state.output == tmp_path / "two"


def test_a_run_from_its_start_to_its_end(
    session, listener, idle, folder, tmp_path, monkeypatch
):
    # Named from where the viewer was started.
    monkeypatch.chdir(tmp_path)
    output, images = Path("out"), Images(("in",))
    session.watch(images, output)
    idle()
    session.start(images, settings(output), overwrite=False)
    assert session.state.busy
    state = idle()
    assert listener.phases in (
        ["idle", "starting", "running", "idle"],
        ["idle", "starting", "idle"],  # so fast that nobody saw it
    )
    # One failed: that is in the list, and the others are done.
    assert (state.ended, state.error) == ("done", "")
    assert states(session) == {"a": "done", "broken": "failed", "deep/b": "done"}
    (broken,) = (item for item in state.items if item.name == "broken")
    assert str(folder / "broken.tif") in broken.error
    run([folder], tmp_path / "alone", RECIPE)
    for name in ("a", "deep/b"):
        np.testing.assert_array_equal(
            *(
                tifffile.imread(tmp_path / place / "labels" / f"{name}.tif")
                for place in ("out", "alone")
            )
        )
    assert listener.threads == {threading.main_thread()}

    session.report()
    idle()
    assert listener.pages == [output / "report.html"]
    assert "a.tif" in listener.pages[0].read_text()
    assert session.state.ended == ""

    # With other options it is refused, and what is there stays.
    other = settings(output, min_area=20)
    session.start(images, other, overwrite=False)
    state = idle()
    assert state.ended == "failed" and "min-area" in state.error
    assert states(session)["a"] == "done"
    before = len(listener.states) + 1
    session.start(images, other, overwrite=True)
    state = idle()
    assert not any(one.error for one in listener.states[before:])
    assert (state.ended, state.error) == ("done", "")
    assert state.results.settings.options.min_area == 20


def test_a_run_is_paused_and_goes_on(session, listener, idle, until, stack, tmp_path):
    output, images = tmp_path / "out", Images((str(stack),))
    chosen = settings(output, link="stack")
    session.watch(images, output)
    session.start(images, chosen, overwrite=False)
    until(lambda: any(item.finished >= 2 for item in session.state.results.items))
    assert session.state.phase == "running" and not session.state.elsewhere
    assert session.state.items[0].state == "working"
    session.stop()
    assert session.state.phase == "stopping"
    state = idle()
    assert (state.ended, state.error) == ("paused", "")
    assert listener.phases[-4:] == ["starting", "running", "stopping", "idle"]
    (item,) = state.items
    kept = item.finished
    assert item.state == "unfinished" and 2 <= kept < PLANES
    assert kept == finished(output)
    assert not is_locked(Workspace(output).lock)

    # Another viewer finds the same, and goes on.
    session.watch(images, output)
    assert idle().items[0].finished == kept
    session.start(images, chosen, overwrite=False)
    state = idle()
    assert (state.ended, state.items[0].state) == ("done", "done")
    # None that was finished was done for a second time.
    with closing(sqlite3.connect(output / ".work" / LEDGER)) as tables:
        tries = tables.execute("SELECT attempt FROM planes ORDER BY plane").fetchall()
    assert len(tries) == PLANES and tries[:kept] == [(1,)] * kept
    run([stack], tmp_path / "alone", chosen.options)
    for name in ("labels/stack.tif", "objects.csv"):
        one, other = (tmp_path / place / name for place in ("out", "alone"))
        assert one.read_bytes() == other.read_bytes()


def test_what_is_stopped_while_it_starts_ends(session, idle, stack, tmp_path):
    output, images = tmp_path / "out", Images((str(stack),))
    session.watch(images, output)
    session.start(images, settings(output), overwrite=False)
    session.stop()  # there is no process yet
    assert session.state.phase == "stopping"
    state = idle()
    assert (state.ended, state.error) == ("paused", "")
    assert finished(output) < PLANES
    session.stop()  # nothing runs
    assert session.state.phase == "idle"


def test_slices_are_tried_and_nothing_else_is_written(
    session, listener, idle, until, folder, tmp_path
):
    output, images = tmp_path / "out", Images((str(folder),))
    session.watch(images, output)
    session.try_slices(images, settings(output), seed=1, count=3)
    state = idle()
    assert listener.phases == ["idle", "trying", "idle"]
    assert {one.image for one, _ in listener.tried} == {"a.tif", "deep/b.tif"}
    assert [one for one, _ in listener.tried] == read_tried(session.trial)
    for one, picture in listener.tried:
        assert one.objects == 2
        pixels = np.asarray(picture).astype(int)
        assert (np.ptp(pixels, axis=-1) > 60).any()  # outlines
    # It was no run, and what could not be used is said.
    assert state.ended == "" and str(folder / "broken.tif") in state.error
    assert not output.exists() and states(session)["a"] == "waiting"

    session.open_tried(listener.tried[0][0])
    session.read(tmp_path / "missing.toml")
    until(lambda: listener.shown and session.state.error)
    assert listener.shown[0].trial and listener.shown[0].labels.max() == 2
    assert "missing.toml" in session.state.error

    # Another trial tells its own slices only.
    first, listener.tried = session.trial, []
    session.try_slices(images, settings(output), seed=2, count=1)
    idle()
    assert len(listener.tried) == 1 and session.trial != first


def test_layers_are_done(session, listener, idle, until, tmp_path, folder, squares):
    stack = squares((2, 64, 80))
    from_file = replace(layer(stack, "f"), path=str(folder / "a.tif"))
    images = Images(layers=(layer(stack, "cells", "Z"), from_file))
    output = tmp_path / "out"
    session.watch(images, output)
    idle()
    assert states(session) == {"cells": "waiting", "a": "waiting"}
    session.start(images, settings(output), overwrite=False)
    state = idle()
    assert (state.ended, state.error) == ("done", "")
    assert states(session) == {"cells": "done", "a": "done"}
    labels = tifffile.imread(output / "labels" / "cells.tif")
    assert np.mean((labels > 0) == (stack > 500)) > 0.99 and labels.max() == 4
    assert (output / "images" / "cells.tif").exists()

    # The layer has changed meanwhile.
    changed = Images(layers=(layer(stack[::-1].copy(), "cells", "Z"),))
    session.start(changed, settings(output), overwrite=False)
    state = idle()
    assert "another image" in state.error and state.phase == "idle"

    (item,) = (item for item in session.state.items if item.name == "cells")
    session.open(item, RECIPE)
    until(lambda: listener.shown)
    np.testing.assert_array_equal(listener.shown[0].labels, labels)


def test_what_another_program_does_is_seen(session, until, idle, stack, tmp_path):
    output = tmp_path / "out"
    session.watch(Images((str(stack),)), output)
    idle()
    seen = []

    def look(event):
        if event.kind == "plane" and event.plane == 2:
            session.watch(Images((str(stack),)), output)
            idle()
            seen.append((session.state, session.state.elsewhere))

    run([stack], output, RECIPE, progress=look)
    ((state, elsewhere),) = seen
    assert elsewhere and not state.busy
    assert state.items[0].state == "working" and state.items[0].finished == 2
    until(lambda: session.state.items[0].state == "done")
    assert not session.state.elsewhere


def test_closing_ends_the_process_and_tells_nothing_more(
    session, listener, until, stack, tmp_path
):
    output, images = tmp_path / "out", Images((str(stack),))
    session.watch(images, output)
    session.start(images, settings(output), overwrite=False)
    scratch = session.trial.parent
    until(lambda: finished(output) >= 1)
    (process,) = our_processes(output.parent)
    session.close()
    told = len(listener.states)
    psutil.wait_procs([process], timeout=60)
    assert not process.is_running()
    assert 1 <= finished(output) < PLANES
    assert not is_locked(Workspace(output).lock)
    assert len(listener.states) == told and not scratch.exists()


def test_closing_while_it_starts_ends_the_process(session, stack, tmp_path, pump):
    output, images = tmp_path / "out", Images((str(stack),))
    session.start(images, settings(output), overwrite=False)
    scratch = session.trial.parent
    session.close()
    # The thread that has started it is gone, too: `no_thread_is_left` waits for it.
    pump.until(lambda: not our_processes(tmp_path) and not scratch.exists())
    assert finished(output) < PLANES


def our_processes(folder):
    """Those that this process has started for a test."""
    found = []
    for child in psutil.Process().children():
        try:
            if "napari_sam.cli_attached" in child.cmdline():
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def test_a_run_whose_settings_are_damaged_meanwhile_ends_all_the_same(
    session, idle, until, stack, tmp_path
):
    output, images = tmp_path / "out", Images((str(stack),))
    session.watch(images, output)
    session.start(images, settings(output), overwrite=False)
    until(lambda: session.state.phase == "running")
    (output / NAME).write_text("damaged [")
    session.stop()
    assert idle().ended == "paused"
    until(lambda: session.state.error)
    assert str(output / NAME) in session.state.error
