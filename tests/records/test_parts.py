"""Several processes that share one output folder."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from filelock import FileLock

from napari_sam.records.parts import Part
from napari_sam.records.run import run
from napari_sam.records.status import read_status
from napari_sam.records.work import Workspace
from napari_sam.types import OutputError

CLI = [sys.executable, "-c", "from napari_sam.cli import main; main()"]
OPTIONS = ["--detector", "threshold", "--device", "cpu", "--link", "stack"]


def equal(one: Path, other: Path) -> None:
    for path in (one / "labels").glob("*.tif"):
        same = tifffile.imread(other / "labels" / path.name)
        np.testing.assert_array_equal(tifffile.imread(path), same)
    table = (one / "objects.csv").read_text()
    assert table and table == (other / "objects.csv").read_text()


def test_parts_together_are_the_whole(write_discs, tmp_path, recipe):
    images = [write_discs(f"{name}.tif") for name in "abcd"]
    run(images, tmp_path / "whole", recipe)
    left = [
        run(images, tmp_path / "parts", recipe, part=Part(number, 3)).left
        for number in (2, 1, 3)
    ]
    assert left == [3, 1, 0]
    equal(tmp_path / "whole", tmp_path / "parts")


def test_parts_of_a_job_array_run_at_once(write_discs, tmp_path, recipe):
    images = [write_discs(f"images/{name}.tif", (2, 64, 64)) for name in "abcde"]
    output = tmp_path / "out"
    command = [*CLI, "annotate", str(images[0].parent), "--output", str(output)]
    jobs = [
        subprocess.Popen(
            [*command, *OPTIONS, "--part", f"{number}/3"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in (1, 2, 3)
    ]
    said = [job.communicate() for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0, 0], said
    # Who ended last has written what covers all images.
    assert sum("objects in" in out for out, _ in said) == 1
    run(images, tmp_path / "whole", recipe)
    equal(tmp_path / "whole", output)
    told = read_status(output)
    assert told.images["done"] == 5 and not told.running


def test_what_a_part_could_not_do_is_known_and_tried_again(
    write_discs, tmp_path, recipe
):
    images = [write_discs(f"{name}.tif") for name in "abc"]
    images[1].write_bytes(b"no TIFF")
    output = tmp_path / "out"
    for number in (1, 2):
        assert run(images, output, recipe, part=Part(number, 2)).left
    (failed,) = read_status(output).failed
    assert failed.image == "b.tif" and str(images[1]) in failed.message
    write_discs("b.tif")
    again = [
        run(images, output, recipe, part=Part(number, 2), retry_failed=True)
        for number in (1, 2)
    ]
    assert [len(report.inputs) for report in again] == [0, 1]
    assert again[1].ok and again[1].left == 0 and again[1].table is not None


def test_a_whole_run_waits_for_no_part(write_discs, tmp_path, recipe):
    image, output = write_discs("a.tif"), tmp_path / "out"
    run([image], output, recipe, part=Part(1, 2))
    with FileLock(Workspace(output).part_lock(2, 2)):
        assert read_status(output).running
        with pytest.raises(OutputError, match="another napari-sam"):
            run([image], output, recipe)
        with pytest.raises(OutputError, match="another napari-sam"):
            run([image], output, recipe, part=Part(2, 2))
        assert run([image], output, recipe, part=Part(1, 2)).ok
    assert run([image], output, recipe).ok


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--part", "4/3"], "3/10 for the third of ten"),
        (["--part", "1/2", "--overwrite"], "leave out --overwrite"),
        (["--workers", "2", "--scheduler", "tcp://a:1"], "give one of them"),
        (["--threads", "2"], "give --workers or --scheduler"),
    ],
)
def test_what_does_not_go_together(write_discs, tmp_path, options, said):
    image, output = write_discs("a.tif"), tmp_path / "out"
    command = [*CLI, "annotate", str(image), "--output", str(output), *options]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert said in line
    assert not output.exists()


def test_a_part_may_have_nothing_to_do(write_discs, tmp_path):
    image, output = write_discs("a.tif"), tmp_path / "out"
    command = [*CLI, "annotate", str(image), "--output", str(output), *OPTIONS]
    ended = subprocess.run(
        [*command, "--part", "2/2"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "no image falls to part 2/2" in ended.stdout
