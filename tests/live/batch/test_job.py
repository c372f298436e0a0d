"""Commands in processes of their own, which end with whoever started them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile

from napari_sam.live.batch.job import Job
from napari_sam.records.files import is_locked
from napari_sam.records.status import read_status
from napari_sam.records.work import Workspace

MANY = 100
OPTIONS = ("--detector", "threshold", "--device", "cpu", "--link", "stack")

# Holds a job until it is killed, and says what process that is.
HOLDER = """
import sys, time
from napari_sam.live.batch.job import Job
job = Job(sys.argv[1:])
print(job._process.pid, flush=True)
time.sleep(600)
"""


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def finished(output: Path, image: str = "many") -> int:
    return len(Workspace(output).input(image).finished_planes())


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack that takes a while, of another plane each time."""
    random = np.random.default_rng(3)
    pixels = random.integers(90, 110, (MANY, 96, 96)).astype(np.uint16)
    for z in range(MANY):
        for y, x in ((10, 10), (20, 60), (60, 20), (66, 66)):
            side = 14 + (z + y) % 5
            pixels[z, y : y + side, x : x + side] += 900
    path = tmp_path_factory.mktemp("in") / "many.tif"
    tifffile.imwrite(path, pixels, imagej=True, metadata={"axes": "ZYX"})
    return path


@pytest.fixture
def start() -> Iterator[Callable[..., Job]]:
    """Start jobs; none of them outlives its test."""
    jobs: list[Job] = []

    def start(*arguments: object) -> Job:
        jobs.append(Job([str(each) for each in arguments]))
        return jobs[-1]

    yield start
    for job in jobs:
        if job.running:
            job.kill()
        assert job.wait(60)
        job.close()


def test_a_job_runs_to_its_end(
    start: Callable[..., Job], many: Path, tmp_path: Path
) -> None:
    one = tmp_path / "one.tif"
    tifffile.imwrite(one, tifffile.imread(many)[0])
    job = start("annotate", one, "--output", tmp_path / "out", *OPTIONS)
    assert job.running and job.code is None and not job.interrupted
    assert not job.wait(0)
    assert job.wait(60)
    assert (job.code, job.error) == (0, "")
    assert not job.running and not job.interrupted
    assert tifffile.imread(tmp_path / "out" / "labels" / "one.tif").max() == 4
    job.stop()  # too late, and no trouble
    assert job.code == 0


def test_a_job_that_is_stopped_ends_in_order(
    start: Callable[..., Job], many: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    job = start("annotate", many, "--output", output, *OPTIONS)
    until(lambda: finished(output) >= 3)
    assert is_locked(Workspace(output).lock)
    job.stop()
    assert job.wait(60)
    assert job.interrupted and job.code == 130
    assert job.error.startswith("interrupted") and str(output) in job.error
    kept = finished(output)
    assert 3 <= kept < MANY
    assert not is_locked(Workspace(output).lock)
    (begun,) = read_status(output).begun
    assert (begun.image, begun.finished) == ("many.tif", kept)
    assert not list(output.rglob("*.part"))
    job.stop()  # for a second time


def test_a_job_that_is_stopped_at_once_ends(
    start: Callable[..., Job], many: Path, tmp_path: Path
) -> None:
    job = start("annotate", many, "--output", tmp_path / "out", *OPTIONS)
    job.stop()
    assert job.wait(60)
    assert job.interrupted
    assert finished(tmp_path / "out") < MANY


def test_a_killed_job_counts_as_interrupted(
    start: Callable[..., Job], many: Path, tmp_path: Path
) -> None:
    job = start("annotate", many, "--output", tmp_path / "out", *OPTIONS)
    job.kill()
    assert job.wait(60)
    assert job.interrupted and job.code not in (0, 2)


def test_a_job_ends_when_whoever_started_it_is_gone(many: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    arguments = ["annotate", str(many), "--output", str(output), *OPTIONS]
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, *arguments], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        process = psutil.Process(int(holder.stdout.readline()))
        try:
            until(lambda: finished(output) >= 2)
            holder.kill()
            holder.wait(60)
            psutil.wait_procs([process], timeout=60)
            assert not process.is_running()
        finally:
            if process.is_running():
                process.kill()
    assert 2 <= finished(output) < MANY
    assert not is_locked(Workspace(output).lock)
    (begun,) = read_status(output).begun
    assert begun.finished == finished(output)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_ctrl_c_in_the_terminal_is_not_for_the_job(
    start: Callable[..., Job], many: Path, tmp_path: Path
) -> None:
    job = start("annotate", many, "--output", tmp_path / "out", *OPTIONS)
    assert os.getpgid(job._process.pid) != os.getpgid(0)


def test_why_a_job_failed_is_one_line(
    start: Callable[..., Job], tmp_path: Path
) -> None:
    missing = tmp_path / "missing.tif"
    job = start("annotate", missing, "--output", tmp_path / "out", *OPTIONS)
    assert job.wait(60)
    assert job.code == 2 and not job.interrupted
    assert str(missing) in job.error and "\n" not in job.error
    assert not job.error.startswith("error")

    job = start("annotate", missing)
    assert job.wait(60)
    assert job.code == 2 and "--output" in job.error


def test_a_trial_says_which_image_cannot_be_used(
    start: Callable[..., Job], many: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.tif").write_bytes(b"no TIFF")
    tifffile.imwrite(tmp_path / "one.tif", tifffile.imread(many)[0])
    command = ("annotate", tmp_path, "--output", tmp_path / "out", *OPTIONS)
    job = start(*command, "--try", 2)
    assert job.wait(60)
    assert job.code == 2 and str(tmp_path / "broken.tif") in job.error


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_a_job_that_is_left_ends_also_where_ctrl_c_is_ignored(
    many: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    # As in what a shell script starts in the background; children inherit that.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        job = Job(["annotate", str(many), "--output", str(output), *OPTIONS])
    finally:
        signal.signal(signal.SIGINT, before)
    process = psutil.Process(job._process.pid)
    until(lambda: finished(output) >= 1)
    job.leave()
    until(lambda: not process.is_running())
    # In order: it was not killed since it did not end.
    assert job.code == 130 and 1 <= finished(output) < MANY
