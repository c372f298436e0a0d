"""Real processes that are killed, or that find the disk full."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

Writer = Callable[..., Path]

# The real command line; the signal comes when the third plane is finished.
STOPPED = """
import os, signal, sys
from napari_sam.cli import main
from napari_sam.records.screen import Screen
show = Screen.__call__
def show_and_stop(self, event):
    show(self, event)
    if event.kind == "plane" and event.plane == 3:
        os.kill(os.getpid(), signal.{signal})
Screen.__call__ = show_and_stop
# A shell that runs the tests in the background has Ctrl-C ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""
# No file may be larger than this many bytes, as on a disk that is full.
LIMITED = """
import resource
from napari_sam.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
main()
"""
PLAIN = "from napari_sam.cli import main; main()"

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


def annotate(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    options = ["--detector", "threshold", "--device", "cpu"]
    return subprocess.run(
        [sys.executable, "-c", code, "annotate", *map(str, arguments), *options],
        capture_output=True,
        text=True,
        check=False,
    )


@posix
@pytest.mark.parametrize(
    ("signal", "code", "link"),
    [
        ("SIGINT", 130, "stack"),
        ("SIGTERM", 143, "stack"),
        ("SIGKILL", -9, "stack"),
        ("SIGKILL", -9, "time"),
    ],
)
def test_finished_planes_outlive_the_process(
    write_discs: Writer, tmp_path: Path, signal: str, code: int, link: str
) -> None:
    axis = "T" if link == "time" else "Z"
    first = write_discs("a.tif", (2, 64, 64), axes=f"{axis}YX")
    stack = write_discs("stack.tif", (6, 64, 64), axes=f"{axis}YX")
    output = tmp_path / "out"
    arguments = (first, stack, "--output", output, "--link", link)
    arguments += ("--format", "ctc") if link == "time" else ()
    stopped = annotate(STOPPED.format(signal=signal), *arguments)
    assert stopped.returncode == code, stopped.stderr
    if signal != "SIGKILL":
        last = stopped.stderr.splitlines()[-1]
        assert "interrupted" in last and str(output) in last
    # Half of the stack is there, and nothing that looks like a result.
    planes = sorted((output / ".work").rglob("*.npz"))
    assert len(planes) == 3
    assert os.listdir(output / "labels") == ["a.tif"]
    done_before = (output / "labels" / "a.tif").stat().st_mtime_ns

    resumed = annotate(PLAIN, *arguments)
    assert resumed.returncode == 0, resumed.stderr
    assert "resumed at plane 4 of 6 (3 were finished)" in resumed.stderr
    assert (output / "labels" / "a.tif").stat().st_mtime_ns == done_before
    assert not [*output.rglob("*.npz"), *output.rglob("*.part")]

    straight = annotate(
        PLAIN, *arguments[:2], "--output", tmp_path / "b", *arguments[4:]
    )
    assert straight.returncode == 0, straight.stderr
    masks = [path.relative_to(output) for path in output.rglob("mask*.tif")]
    assert len(masks) == (8 if link == "time" else 0)
    for name in ("labels/a.tif", "labels/stack.tif", *masks):
        np.testing.assert_array_equal(
            tifffile.imread(output / name), tifffile.imread(tmp_path / "b" / name)
        )
    table = (output / "objects.csv").read_text()
    assert table == (tmp_path / "b" / "objects.csv").read_text()
    for tracks in output.rglob("res_track.txt"):
        same = tmp_path / "b" / tracks.relative_to(output)
        assert tracks.read_text() == same.read_text()


@posix
def test_a_full_disk_keeps_what_is_finished(
    write_discs: Writer, tmp_path: Path
) -> None:
    small = write_discs("a.tif")
    stack = write_discs("stack.tif", (40, 64, 64), axes="ZYX")
    never = write_discs("z.tif")
    reference = tmp_path / "reference"
    assert annotate(PLAIN, small, stack, "--output", reference).returncode == 0
    limit = (reference / "labels" / "stack.tif").stat().st_size - 1

    output = tmp_path / "out"
    arguments = (small, stack, never, "--output", output)
    full = annotate(LIMITED.format(limit=limit), *arguments)
    assert full.returncode == 2
    last = full.stderr.splitlines()[-1]
    assert "disk is full" in last and str(output) in last
    assert full.stdout.startswith("1 of 3 images done")
    assert os.listdir(output / "labels") == ["a.tif"]
    assert "a.tif" in (output / "objects.csv").read_text()
    assert not list(output.rglob("*.part"))

    later = annotate(PLAIN, *arguments)
    assert later.returncode == 0, later.stderr
    assert "resumed at plane 40 of 40" in later.stderr
    assert sorted(os.listdir(output / "labels")) == ["a.tif", "stack.tif", "z.tif"]


@posix
def test_a_second_run_into_one_folder_is_refused(
    write_discs: Writer, tmp_path: Path
) -> None:
    image, output = write_discs("a.tif"), tmp_path / "out"
    holding = f"""
from pathlib import Path
from napari_sam.records.files import locked, prepare_folder
from napari_sam.records.work import Workspace
space = Workspace(Path({str(output)!r}))
prepare_folder(space.folder)
with locked(space.lock, space.output):
    print("ready", flush=True)
    input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", holding],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        refused = annotate(PLAIN, image, "--output", output)
        assert refused.returncode == 2
        assert "is being written by another" in refused.stderr
        assert not (output / "labels").exists()
        other.communicate("\n")
    assert annotate(PLAIN, image, "--output", output).returncode == 0
