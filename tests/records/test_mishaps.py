"""What happens to images, folders and processes while a run is going on."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_sam.records.report import Progress
from napari_sam.records.run import run
from napari_sam.segment.recipe import Recipe

Writer = Callable[..., Path]

# The real command line; it waits at its second plane until it is told to go on.
WAITING = """
from napari_sam.cli import main
from napari_sam.records.screen import Screen
show = Screen.__call__
def show_and_wait(self, event):
    show(self, event)
    if event.kind == "plane" and event.plane == 2:
        print("ready", flush=True)
        input()
Screen.__call__ = show_and_wait
main()
"""


def test_an_image_that_vanishes_meanwhile_fails_alone(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    write_discs("in/a.tif")
    gone = write_discs("in/b.tif")
    write_discs("in/c.tif")
    kept = tmp_path / "kept.tif"

    def vanish(event: Progress) -> None:
        if event.kind == "done" and event.image == "a.tif":
            shutil.move(gone, kept)

    output = tmp_path / "out"
    report = run([tmp_path / "in"], output, recipe, progress=vanish)
    assert [one.status for one in report.inputs] == ["done", "failed", "done"]
    assert str(gone) in report.inputs[1].message
    assert "\n" not in report.inputs[1].message
    assert sorted(os.listdir(output / "labels")) == ["a.tif", "c.tif"]

    shutil.move(kept, gone)
    assert run([tmp_path / "in"], output, recipe).ok
    assert sorted(os.listdir(output / "labels")) == ["a.tif", "b.tif", "c.tif"]


def test_an_image_that_is_replaced_meanwhile_is_never_mixed(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    image = write_discs("s.tif", (4, 64, 64), axes="ZYX")
    other = write_discs("other.tif", (4, 64, 64), axes="ZYX")
    tifffile.imwrite(
        other,
        tifffile.imread(other)[:, :, ::-1],
        imagej=True,
        metadata={"axes": "ZYX", "Info": "another"},
    )
    wanted = tmp_path / "wanted"
    assert run([other], wanted, recipe).ok

    def replace(event: Progress) -> None:
        if event.kind == "plane" and event.plane == 2:
            os.replace(other, image)

    output = tmp_path / "out"
    (first,) = run([image], output, recipe, progress=replace).inputs
    assert first.status == "failed" and str(image) in first.message
    assert "changed" in first.message
    assert not list((output / "labels").glob("*"))
    assert run([image], output, recipe).ok
    np.testing.assert_array_equal(
        tifffile.imread(output / "labels" / "s.tif"),
        tifffile.imread(wanted / "labels" / "other.tif"),
    )


def test_a_very_long_name_of_many_alphabets(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    # 250 bytes; a name may have 255.
    name = "細胞核 Ø µ " + "x" * 230
    image = write_discs(f"{name}.tif")
    output = tmp_path / "out"
    report = run([image], output, recipe)
    assert report.ok, report.inputs
    assert os.listdir(output / "labels") == [f"{name}.tif"]
    assert name in (output / "objects.csv").read_text(encoding="utf-8")
    assert run([image], output, recipe).inputs[0].status == "skipped"


# A disk of 1 MB with so much room, then one with enough; $1: who runs the command line.
SMALL_DISK = """
set -e
mount -t tmpfs -o size=1m tmpfs "$disk"
head -c $((1048576 - room * 1024)) /dev/zero > "$disk/other"
set +e
"$@"
echo "first: $?"
mount -o remount,size=64m "$disk"
"$@"
echo "second: $?"
cp -r "$disk/out" "$kept"
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="tmpfs is of Linux")
def test_a_disk_that_is_full_loses_nothing(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    alone = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*alone, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a disk of their own")
    for name in "abc":
        write_discs(f"in/{name}.tif", (6, 128, 128), axes="ZYX")
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    code = "from napari_sam.cli import main; main()"
    command = [sys.executable, "-c", code, "annotate", str(tmp_path / "in")]
    command += ["--output", str(disk / "out"), "--detector", "threshold"]
    command += ["--device", "cpu", "--link", "stack", "--format", "tiff,coco"]
    done = subprocess.run(
        [*alone, "sh", "-c", SMALL_DISK, "sh", *command],
        env=os.environ | {"disk": str(disk), "kept": str(kept), "room": "160"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "first: 2" in done.stdout and "second: 0" in done.stdout
    assert "the disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    wanted = tmp_path / "wanted"
    assert run([tmp_path / "in"], wanted, recipe, formats=["tiff", "coco"]).ok
    for name in "abc":
        np.testing.assert_array_equal(
            tifffile.imread(kept / "labels" / f"{name}.tif"),
            tifffile.imread(wanted / "labels" / f"{name}.tif"),
        )
    for name in ("objects.csv", "coco/annotations.json"):
        assert (kept / name).read_bytes() == (wanted / name).read_bytes()
    assert not [path for path in kept.rglob("*") if path.name.endswith(".part")]


def status(output: Path, prefix: Sequence[str] = ()) -> dict[str, Any]:
    code = "from napari_sam.cli import main; main()"
    done = subprocess.run(
        [*prefix, sys.executable, "-c", code, "status", "--json", str(output)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_state_of_a_run_that_is_going_on(
    write_discs: Writer, tmp_path: Path
) -> None:
    write_discs("in/a.tif", (3, 64, 64), axes="ZYX")
    write_discs("in/b.tif")
    output = tmp_path / "out"
    command = [sys.executable, "-c", WAITING, "annotate", str(tmp_path / "in")]
    command += ["--output", str(output), "--detector", "threshold", "--device", "cpu"]
    with subprocess.Popen(
        [*command, "--link", "stack"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as going:
        assert going.stdout is not None
        assert going.stdout.readline() == "ready\n"
        before = listing(output)
        found = status(output)
        after = listing(output)
        # Who reads says so to who writes, in the file that is there for that.
        shared = str(Path(".work", "ledger.sqlite-shm"))
        assert before.pop(shared)[0] == after.pop(shared)[0]
        assert after == before
        assert found["running"]
        assert found["begun"] == [{"image": "a.tif", "finished": 2, "planes": 3}]
        going.communicate("\n")
    assert going.returncode == 0
    before = listing(output)
    found = status(output)
    assert listing(output) == before
    assert not found["running"] and not found["begun"]
    assert found["images"]["done"] == 2


def listing(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return everything in a folder with sizes, times and contents of files."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_size,
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in folder.rglob("*")
    }


def test_the_state_of_a_run_that_was_killed_leaves_no_trace(
    write_discs: Writer, tmp_path: Path
) -> None:
    write_discs("in/a.tif")
    write_discs("in/b.tif", (3, 64, 64), axes="ZYX")
    output = tmp_path / "out"
    command = [sys.executable, "-c", WAITING, "annotate", str(tmp_path / "in")]
    command += ["--output", str(output), "--detector", "threshold", "--device", "cpu"]
    with subprocess.Popen(
        [*command, "--link", "stack"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as going:
        assert going.stdout is not None
        assert going.stdout.readline() == "ready\n"
        going.kill()
    before = listing(output)
    log = str(Path(".work", "ledger.sqlite-wal"))
    assert before[log][2]  # not all is in the tables yet
    found = status(output)
    assert listing(output) == before
    assert found["images"]["done"] == 1 and not found["running"]
    assert found["begun"] == [{"image": "b.tif", "finished": 2, "planes": 3}]
    # Times are in the tables alone, and were in what had not reached them.
    assert found["seconds_per_plane"] is not None


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no such mode there")
def test_the_state_of_a_folder_that_must_not_be_written(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    output = tmp_path / "out"
    assert run([write_discs("a.tif")], output, recipe).ok
    there = sorted(output.rglob("*"))
    folders = [output, *(path for path in there if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        prefix: list[str] = []
        if os.access(output, os.W_OK):  # an administrator; without that right then
            prefix = ["setpriv", "--inh-caps=-dac_override"]
            prefix += ["--bounding-set=-dac_override"]
            if shutil.which("setpriv") is None or may_write(prefix, output):
                pytest.skip("this user may write everywhere")
        found = status(output, prefix)
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert found["images"]["done"] == 1 and not found["running"]
    assert not found["notes"]  # it was read from the tables of the run
    assert sorted(output.rglob("*")) == there


def may_write(prefix: list[str], folder: Path) -> bool:
    """Return whether a process can, or does not start at all."""
    done = subprocess.run([*prefix, "test", "-w", folder], check=False)
    started = subprocess.run([*prefix, "true"], check=False)
    return done.returncode == 0 or started.returncode != 0
