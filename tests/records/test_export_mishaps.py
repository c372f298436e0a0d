"""An export that is killed or interrupted: real processes, real files."""

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

FORMATS = "tiff,coco,cellpose,geojson,roi,omezarr,yolo-seg,parquet"
ANSWERS = {signal.SIGINT: 130, signal.SIGTERM: 143}

# The real command line, which sends itself a signal at a step of writing.
CHILD = """
import os, pathlib, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
left, number = int(os.environ["STOP_AT"]), int(os.environ["STOP_WITH"])
steps = 0
def watched(owner, name):
    plain = getattr(owner, name)
    def step():
        global steps
        steps += 1
        if steps == left:
            os.kill(os.getpid(), number)
    def call(*args, **more):
        step()
        answer = plain(*args, **more)
        step()
        return answer
    setattr(owner, name, call)
watched(os, "fsync")
watched(pathlib.Path, "replace")
watched(pathlib.Path, "rename")
from napari_sam.cli import main
try:
    main()
finally:
    print("steps", steps)
"""


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """Labels and images of a stack and of two planes."""
    random = np.random.default_rng(0)
    for name, planes in (("a", 1), ("stack", 4), ("z", 1)):
        labels = np.zeros((planes, 60, 80), np.uint16)
        for number, (y, x) in enumerate(random.integers(0, 50, (9, 2)), start=1):
            labels[:, y : y + 8, x : x + 8] = number
        metadata = {"axes": "ZYX" if planes > 1 else "YX"}
        for folder, data in (("labels", labels), ("images", labels * 99)):
            path = tmp_path / folder / f"{name}.tif"
            path.parent.mkdir(exist_ok=True)
            tifffile.imwrite(path, data.squeeze(), imagej=True, metadata=metadata)
    return tmp_path


def export(
    given: Path,
    output: Path,
    *more: str,
    step: int = 0,
    number: int = 0,
) -> subprocess.CompletedProcess[str]:
    words = [str(given / "labels"), "--images", str(given / "images")]
    words += ["--output", str(output), "--format", FORMATS, *more]
    return subprocess.run(
        [sys.executable, "-c", CHILD, "export", *words],
        env={**os.environ, "STOP_AT": str(step), "STOP_WITH": str(number)},
        capture_output=True,
        text=True,
        check=False,
    )


def steps_of(done: subprocess.CompletedProcess[str]) -> int:
    return int(done.stdout.rsplit("steps ", 1)[1])


def visible(folder: Path) -> dict[str, Path]:
    """Return the files that a person sees, and those in what a person sees."""
    found = {path.relative_to(folder): path for path in folder.rglob("*")}
    return {
        place.as_posix(): path
        for place, path in found.items()
        if path.is_file() and not any(step.startswith(".") for step in place.parts)
    }


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*")]


def check_whole(output: Path, straight: Path, *, all_of_it: bool = False) -> None:
    """Each file is what it is in an undisturbed export, or is not there."""
    there, expected = visible(output), visible(straight)
    assert there.keys() <= expected.keys()
    assert not all_of_it or there.keys() == expected.keys()
    for name, path in there.items():
        other = expected[name]
        if name.endswith(".tif"):  # the time of writing is in some of them
            assert np.array_equal(tifffile.imread(path), tifffile.imread(other)), name
        elif name.endswith(".zip"):
            with zipfile.ZipFile(path) as one, zipfile.ZipFile(other) as two:
                assert one.namelist() == two.namelist() and one.testzip() is None
        else:
            assert path.read_bytes() == other.read_bytes(), name
    # A folder of Zarr is one file to a person.
    for zarr in output.glob("omezarr/*.zarr"):
        same = f"omezarr/{zarr.name}/"
        names = {name for name in there if name.startswith(same)}
        assert names == {name for name in expected if name.startswith(same)}


@pytest.fixture
def straight(given: Path) -> tuple[Path, int]:
    """An undisturbed export, and in how many steps it was written."""
    output = given / "straight"
    done = export(given, output)
    assert done.returncode == 0, done.stderr
    assert not hidden(output)
    return output, steps_of(done)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_a_killed_export_leaves_nothing_half_written(
    given: Path, straight: tuple[Path, int]
) -> None:
    expected, steps = straight
    output, left = given / "out", 0
    for number, part in enumerate((0.03, 0.35, 0.62, 0.81, 0.97)):
        # All but the first one replace what is there, and may leave only that.
        more = ["--overwrite"] if number else []
        step = max(1, int(part * steps))
        done = export(given, output, *more, step=step, number=signal.SIGKILL)
        assert done.returncode == -signal.SIGKILL, done.stderr
        left += any(name.endswith(".part") for name in hidden(output))
        check_whole(output, expected)
    assert left  # so that there was something to remove
    before = visible(output)
    refused = export(given, output)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert "is there already: add --overwrite" in refused.stderr
    assert visible(output) == before
    done = export(given, output, "--overwrite")
    assert done.returncode == 0, done.stderr
    check_whole(output, expected, all_of_it=True)
    assert not hidden(output)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_an_export_that_was_killed_before_its_first_file_is_simply_repeated(
    given: Path, straight: tuple[Path, int]
) -> None:
    output = given / "out"
    done = export(given, output, step=1, number=signal.SIGKILL)
    assert done.returncode == -signal.SIGKILL
    assert hidden(output) and not visible(output)
    assert export(given, output).returncode == 0
    check_whole(output, straight[0], all_of_it=True)
    assert not hidden(output)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_what_a_killed_export_left_is_gone_after_one_in_fewer_formats(
    given: Path,
) -> None:
    output = given / "out"
    first = ("--format", "geojson,roi")
    done = export(given, output, *first, step=1, number=signal.SIGKILL)
    assert done.returncode == -signal.SIGKILL
    left = list((output / "geojson").glob(".*.part"))
    assert left  # which no file of the next export is written over
    done = export(given, output, "--format", "roi")
    assert done.returncode == 0, done.stderr
    assert not any(path.exists() for path in left)
    assert not hidden(output)
    assert any((output / "roi").iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize("number", ANSWERS)
def test_an_interrupted_export_cleans_up(
    given: Path, straight: tuple[Path, int], number: signal.Signals
) -> None:
    expected, steps = straight
    output = given / "out"
    done = export(given, output, step=steps // 2, number=number)
    assert done.returncode == ANSWERS[number]
    # Behind the lines about labels that were done before.
    *_, line = done.stderr.splitlines()
    assert line.startswith("error: interrupted:") and str(output) in line
    assert "--overwrite" in line and "Traceback" not in done.stderr
    assert visible(output) and not hidden(output)
    check_whole(output, expected)
    refused = export(given, output)
    assert refused.returncode == 2 and "add --overwrite" in refused.stderr
