"""Runs on several processes of dask, which may be lost."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile

from napari_sam.records.run import run
from napari_sam.records.status import read_status
from napari_sam.types import NapariSamError

dask = pytest.importorskip("dask")
pytest.importorskip("distributed")
from napari_sam.records.distributed import Workers, WorkersError  # noqa: E402

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

# Ctrl-C when the third plane of an image is finished.
STOPPED = """
import os, signal
from napari_sam.cli import main
from napari_sam.records.screen import Screen
show = Screen.__call__
def show_and_stop(self, event):
    show(self, event)
    if event.kind == "plane" and event.plane == 3:
        os.kill(os.getpid(), signal.SIGINT)
Screen.__call__ = show_and_stop
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
"""


ALONE = ["unshare", "--user", "--map-root-user", "--mount"]
HIDDEN = 'mount -t tmpfs tmpfs "$1" && shift && exec "$@"'


def equal(one: Path, other: Path) -> None:
    paths = sorted((one / "labels").glob("*.tif"))
    assert paths
    for path in paths:
        same = tifffile.imread(other / "labels" / path.name)
        np.testing.assert_array_equal(tifffile.imread(path), same)
    table = (one / "objects.csv").read_text()
    assert table and table == (other / "objects.csv").read_text()


def worker_processes() -> list[psutil.Process]:
    """Those that dask has started for this process."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def test_two_workers_give_what_one_process_gives(write_discs, tmp_path, recipe):
    images = [write_discs(f"{name}.tif", (2, 64, 64)) for name in "abc"]
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"no TIFF")
    heard = []
    run([*images, broken], tmp_path / "alone", recipe)
    report = run(
        [*images, broken],
        tmp_path / "two",
        recipe,
        workers=Workers(2),
        progress=heard.append,
    )
    assert [item.status for item in report.inputs].count("failed") == 1
    (failed,) = report.failed
    assert failed.path == broken and str(broken) in failed.message
    equal(tmp_path / "alone", tmp_path / "two")
    assert sum(event.kind == "plane" for event in heard) == 6
    assert all(e.finished is not None for e in heard if e.kind == "plane")
    # What the workers told is in the ledger.
    told = read_status(tmp_path / "two")
    assert (told.images["done"], told.images["failed"]) == (3, 1) and not told.running
    assert not worker_processes()


def test_a_lost_worker_loses_nothing(write_discs, tmp_path, recipe):
    images = [write_discs(f"{n}.tif", (6, 64, 64), axes="ZYX") for n in "abcdef"]
    run(images, tmp_path / "alone", recipe)
    killed: list[int] = []

    def kill_one(event):
        if event.kind == "plane" and not killed:
            victim = worker_processes()[0]
            victim.kill()
            killed.append(victim.pid)

    report = run(
        images, tmp_path / "four", recipe, workers=Workers(4), progress=kill_one
    )
    assert killed and report.ok
    equal(tmp_path / "alone", tmp_path / "four")


@posix
def test_ctrl_c_ends_the_workers_and_the_same_command_goes_on(
    write_discs, tmp_path, recipe
):
    images = [write_discs(f"{n}.tif", (6, 64, 64), axes="ZYX") for n in "ab"]
    output = tmp_path / "out"
    options = ["--detector", "threshold", "--device", "cpu", "--link", "stack"]
    options += ["--workers", "2"]
    script = tmp_path / "stopped.py"
    script.write_text(STOPPED)
    stopped = subprocess.run(
        [sys.executable, script, "annotate", *images, "--output", output, *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert stopped.returncode == 130, stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert list((output / ".work").rglob("*.npz"))
    assert run(images, output, recipe).ok
    run(images, tmp_path / "alone", recipe)
    equal(tmp_path / "alone", output)


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A scheduler of its own: its file and its address."""
    file = tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    command += ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    command += ["--scheduler-file", str(file)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while not file.exists() or not file.read_text():
            assert process.poll() is None
            time.sleep(0.05)
        yield file, json.loads(file.read_text())["address"]
        process.terminate()


def start_worker(
    file: Path, threads: int, without: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start one, as on a machine that does not have a folder."""
    command = (
        [] if without is None else [*ALONE, "sh", "-c", HIDDEN, "sh", str(without)]
    )
    command += [sys.executable, "-m", "distributed.cli.dask_worker", "--no-nanny"]
    command += ["--scheduler-file", str(file), "--nthreads", str(threads)]
    command += ["--no-dashboard", "--local-directory", str(file.parent / "scratch")]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=file.parent)


def test_workers_of_a_scheduler(scheduler, write_discs, tmp_path, recipe, monkeypatch):
    file, address = scheduler
    images = [write_discs(f"{name}.tif") for name in "abc"]
    run(images, tmp_path / "alone", recipe)
    there = Workers(scheduler=address)
    # One that would do two things at once has one model for both.
    with start_worker(file, 2) as busy:
        with pytest.raises(WorkersError, match="--nthreads 1"):
            run(images, tmp_path / "refused", recipe, workers=there)
        busy.terminate()
    monkeypatch.chdir(tmp_path)  # the worker is elsewhere: paths must be whole
    with start_worker(file, 1) as worker:
        relative = [path.relative_to(tmp_path) for path in images]
        assert run(relative, "many", recipe, workers=there).ok
        worker.terminate()
    equal(tmp_path / "alone", tmp_path / "many")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="tmpfs is of Linux")
@pytest.mark.parametrize("hidden", ["images", "results"])
def test_a_worker_that_does_not_see_the_files_is_refused(
    scheduler, write_discs, tmp_path, recipe, hidden
):
    if subprocess.run([*ALONE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a disk of their own")
    file, address = scheduler
    image = write_discs("images/a.tif")
    (tmp_path / "results").mkdir()
    with start_worker(file, 1, tmp_path / hidden) as worker:
        with pytest.raises(WorkersError, match="does not see") as raised:
            output = tmp_path / "results"
            run([image], output, recipe, workers=Workers(scheduler=address))
        worker.terminate()
    assert str(tmp_path / hidden) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "results" / "labels").exists()


def test_workers_do_only_what_is_asked_for(write_discs, tmp_path, recipe):
    images = [write_discs(f"{name}.tif") for name in "abc"]
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\0 cut off")
    images.append(broken)
    many, alone = tmp_path / "many", tmp_path / "alone"
    first = run(images, many, recipe, only=["b", "broken"], workers=Workers(2))
    assert {one.image: one.status for one in first.inputs} == {
        "b.tif": "done",
        "broken.tif": "failed",
    }
    broken.write_bytes(images[0].read_bytes())
    again = run(images, many, recipe, retry_failed=True, workers=Workers(2))
    assert [(one.image, one.status) for one in again.inputs] == [("broken.tif", "done")]
    assert read_status(many).images["done"] == 2
    assert run(images, many, recipe, workers=Workers(2)).ok
    assert run(images, alone, recipe).ok
    equal(alone, many)


def test_a_scheduler_that_does_not_answer(write_discs, tmp_path, recipe):
    nobody = Workers(scheduler="tcp://127.0.0.1:9")
    image = write_discs("a.tif")
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(
            WorkersError, match=r"no scheduler answers at tcp://127\.0\.0\.1"
        ),
    ):
        run([image], tmp_path / "out", recipe, workers=nobody)


def test_without_dask_it_is_said_how_to_get_it(
    write_discs, tmp_path, recipe, monkeypatch
):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(NapariSamError, match=r'pip install "napari-sam-annotator'):
        run([write_discs("a.tif")], tmp_path / "out", recipe, workers=Workers(2))
