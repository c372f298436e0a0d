"""The tables of what a run has done: states, failures, what is asked of them."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_sam import cli
from napari_sam.records.ledger import NAME
from napari_sam.records.run import run
from napari_sam.records.status import read_status
from napari_sam.records.work import Workspace
from napari_sam.segment.recipe import Recipe
from napari_sam.types import ImageError, OutputError

Writer = Callable[..., Path]


def rows(output: Path, what: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(output / ".work" / NAME)) as tables:
        return tables.execute(f"SELECT {what}").fetchall()


def test_states_failures_and_a_second_try(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    write_discs("in/good.tif", (3, 64, 64), axes="ZYX")
    long = "Zellkerne überall, " + "n" * 200
    write_discs(f"in/{long}.tif")
    bad = tmp_path / "in" / "bad.tif"
    bad.write_bytes(b"no image")
    output = tmp_path / "out"
    assert run([tmp_path / "in"], output, recipe).exit_code == 2

    found = read_status(output)
    assert found.images["done"] == 2 and found.images["failed"] == 1
    assert (found.finished, found.planes, found.objects) == (4, 4, 12)
    assert found.seconds_per_plane is not None and not found.running
    (failed,) = found.failed
    assert failed.image == "bad.tif" and str(bad) in failed.message
    done = rows(output, "attempt, objects, score, sha256 FROM inputs WHERE image != ''")
    assert sorted(row[0] for row in done) == [1, 1, 1]
    assert sum(row[3] is not None and 0.5 < row[2] <= 1 for row in done) == 2

    bad.unlink()
    write_discs("in/bad.tif")
    again = run([tmp_path / "in"], output, recipe, retry_failed=True)
    assert [(item.image, item.status) for item in again.inputs] == [("bad.tif", "done")]
    assert (output / "objects.csv").read_text().count("good.tif") == 9
    assert rows(output, "state, attempt FROM inputs WHERE name = 'bad'") == [
        ("done", 2)
    ]
    assert run([tmp_path / "in"], output, recipe, retry_failed=True).inputs == ()
    assert Workspace(output).record().finished  # as it was before
    write_discs("in/new.tif")
    assert run([tmp_path / "in"], output, recipe, retry_failed=True).inputs == ()
    assert not Workspace(output).record().finished


def test_only_some_are_done_and_the_others_wait(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    for name in ("p1/a.tif", "p1/b.tif", "p2/a.tif"):
        write_discs(f"in/{name}")
    output, inputs = tmp_path / "out", [tmp_path / "in"]
    some = run(inputs, output, recipe, only=["p1/*"])
    assert [item.image for item in some.inputs] == ["p1/a.tif", "p1/b.tif"]
    assert read_status(output).images["waiting"] == 1
    assert not Workspace(output).record().finished
    with pytest.raises(ImageError, match="p3"):
        run(inputs, output, recipe, only=["p3/*"])
    with pytest.raises(OutputError, match="--overwrite"):
        run(inputs, output, recipe, only=["p1/*"], overwrite=True)
    assert [i.status for i in run(inputs, output, recipe).inputs] == [
        "skipped",
        "skipped",
        "done",
    ]


@pytest.mark.parametrize("damage", ["missing", "damaged", "older"])
def test_tables_are_made_again_from_the_files(
    write_discs: Writer, tmp_path: Path, recipe: Recipe, damage: str
) -> None:
    image, output = write_discs("a.tif", (2, 64, 64), axes="ZYX"), tmp_path / "out"
    run([image], output, recipe)
    labels = output / "labels" / "a.tif"
    written = labels.stat().st_mtime_ns
    tables = output / ".work" / NAME
    if damage == "missing":
        tables.unlink()
    elif damage == "damaged":
        tables.write_bytes(b"damaged" * 1000)
    else:  # killed between a file and its entry
        with closing(sqlite3.connect(tables)) as db, db:
            db.execute("UPDATE inputs SET state = 'working'")
    before = read_status(output)
    assert before.images["done"] == 1 and before.finished == 2 and before.notes
    lines: list[str] = []
    report = run([image], output, recipe, progress=lambda e: lines.append(e.message))
    assert report.inputs[0].status == "skipped"
    assert labels.stat().st_mtime_ns == written
    assert sum("1 images and 0 slices were entered" in line for line in lines) == 1
    assert rows(output, "state FROM inputs") == [("done",)]


KILLED = """
import os, signal
from napari_sam.cli import main
from napari_sam.records.work import InputWork
save = InputWork.save_plane
def save_and_die(self, number, result):
    save(self, number, result)
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
InputWork.save_plane = save_and_die
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_a_plane_that_the_tables_missed_is_not_done_twice(
    write_discs: Writer, tmp_path: Path
) -> None:
    image, output = write_discs("s.tif", (5, 64, 64), axes="ZYX"), tmp_path / "out"
    options = ["annotate", str(image), "--output", str(output)]
    options += ["--detector", "threshold", "--device", "cpu", "--link", "stack"]
    killed = subprocess.run([sys.executable, "-c", KILLED, *options], check=False)
    assert killed.returncode == -9
    found = read_status(output)
    assert [(o.finished, o.planes) for o in found.begun] == [(3, 5)]
    assert found.images["unfinished"] == 1 and found.notes
    said = CliRunner().invoke(cli.app, ["status", "--json", str(output)])
    assert json.loads(said.stdout)["begun"][0]["finished"] == 3

    again = CliRunner().invoke(cli.app, options)
    assert again.exit_code == 0 and "0 images and 1 slices were entered" in again.stderr
    assert rows(output, "plane, state, attempt FROM planes ORDER BY plane") == [
        (plane, "done", 1) for plane in range(5)
    ]


def test_an_image_that_vanished_is_told(
    write_discs: Writer, tmp_path: Path, recipe: Recipe
) -> None:
    write_discs("in/a.tif")
    gone = write_discs("in/gone.tif")
    output, lines = tmp_path / "out", []
    run([tmp_path / "in"], output, recipe, only=["a.tif"])
    os.remove(gone)
    run([tmp_path / "in"], output, recipe, progress=lambda e: lines.append(e.message))
    assert any(str(gone) in line and "not there any more" in line for line in lines)
    assert [one.image for one in read_status(output).failed] == ["gone.tif"]


def test_a_folder_without_a_run_is_named(tmp_path: Path, recipe: Recipe) -> None:
    with pytest.raises(OutputError, match="holds no results of a run"):
        read_status(tmp_path)
