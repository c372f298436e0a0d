"""`napari-sam prepare` and `annotate --cache`, as real processes."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile

from napari_sam.data import FOLDER
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.prompting.session import Session
from napari_sam.live.source import Source
from napari_sam.models.cache import EmbeddingCache
from napari_sam.models.pocket.model import PocketModel

COMMAND = [sys.executable, "-m", "napari_sam.cli"]
MOVIE = FOLDER / "images" / "nuclei_timelapse.tif"
PLANES = 6


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "kept"


def run(*arguments, code=0, **environment):
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == code, done.stderr
    return done


def files(folder):
    return list(folder.rglob("*.zarr.zip"))


class Nobody:
    """Listens to nothing."""

    def suggestions_changed(self, indices): ...
    def marks_changed(self, keys): ...
    def labels_changed(self, change): ...
    def status_changed(self, status): ...


def test_what_was_prepared_is_there_in_the_viewer(
    folder, pump, monkeypatch, no_thread_is_left
):
    done = run("prepare", MOVIE, NAPARI_SAM_CACHE=str(folder))
    expected = f"{PLANES} slices of 1 images are prepared in {folder}, 0 of them"
    assert expected in done.stdout
    assert len(files(folder)) == PLANES
    calls, look = [], PocketModel._look

    def looked(model, view):
        calls.append(view)
        return look(model, view)

    monkeypatch.setattr(PocketModel, "_look", looked)
    movie = tifffile.imread(MOVIE)
    session, cache = Session(pump.post, Nobody()), EmbeddingCache(folder)
    session.keep_in(cache)
    session.open(
        Source(movie, "nuclei", movie.shape, "T", False),
        LabelStore(np.zeros(movie.shape, np.uint32)),
    )
    for index in ((0,), (3,)):
        session.look_at(index)
        pump.until(lambda index=index: session.prepared(index) is not None)
    assert calls == []
    session.close()
    cache.close()


def test_nothing_is_prepared_twice_and_what_fails_is_said(folder, tmp_path):
    (tmp_path / "text.tif").write_text("no picture")
    run("prepare", MOVIE, "--cache", folder)
    before = {path: path.stat().st_size for path in files(folder)}
    done = run("prepare", MOVIE, tmp_path / "text.tif", "--cache", folder, code=2)
    assert f"{PLANES} of them were before" in done.stdout
    assert "text.tif" in done.stderr
    assert {path: path.stat().st_size for path in files(folder)} == before


def test_another_contrast_is_something_else(folder):
    run("prepare", MOVIE, "--cache", folder)
    run("prepare", MOVIE, "--cache", folder, "--normalization", "plane")
    assert len(files(folder)) == 2 * PLANES


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--limit", "0"), "--limit is gigabytes above 0"),
        (("--limit", "0.001"), "raise the limit"),
        (("--cache", MOVIE), "prepared slices cannot be kept there"),
        (("--model", "nothing"), 'there is no model "nothing"'),
    ],
)
def test_what_is_wrong_is_one_line(folder, options, says):
    done = run("prepare", MOVIE, *options, code=2, NAPARI_SAM_CACHE=str(folder))
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert says in last
    assert "Traceback" not in done.stderr


def test_interrupted_it_goes_on_where_it_was(folder, tmp_path):
    movie = tifffile.imread(MOVIE)
    long = tmp_path / "long.tif"
    tifffile.imwrite(long, np.concatenate([movie + i for i in range(10)]))
    process = subprocess.Popen(
        [*COMMAND, "prepare", str(long), "--cache", str(folder)],
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 120
    while len(files(folder)) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "the same command goes on from there" in err
    there = len(files(folder))
    assert 3 <= there < 10 * PLANES
    done = run("prepare", long, "--cache", folder)
    assert f"{there} of them were before" in done.stdout


def test_annotate_uses_what_is_kept(folder, tmp_path):
    run("annotate", MOVIE, "--output", tmp_path / "without")
    for number in (1, 2):
        run("annotate", MOVIE, "--output", tmp_path / str(number), "--cache", folder)
        assert len(files(folder)) == PLANES
    without, first, second = (
        tifffile.imread(tmp_path / name / "labels" / "nuclei_timelapse.tif")
        for name in ("without", "1", "2")
    )
    np.testing.assert_array_equal(first, second)
    assert (first == without).mean() > 0.999
    assert not files(tmp_path / "without")


def test_annotate_goes_on_where_nothing_can_be_kept(folder, tmp_path):
    folder.write_text("a file")
    done = run("annotate", MOVIE, "--output", tmp_path / "out", "--cache", folder)
    said = [line for line in done.stderr.splitlines() if "cannot be kept" in line]
    assert len(said) == 1
    assert said[0].endswith("Work goes on without")
    assert (tmp_path / "out" / "labels" / "nuclei_timelapse.tif").is_file()
