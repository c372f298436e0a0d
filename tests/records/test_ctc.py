"""Runs through time and the Cell Tracking Challenge's layout, with real files."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from skimage.draw import disk

from napari_sam import annotate
from napari_sam.records.run import run
from napari_sam.segment.recipe import Recipe
from napari_sam.types import OutputError

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (96, 96)
# One moves, one divides on the third frame, one is missed on the second.
FRAMES = [
    [(20, 20, 8), (60, 60, 12), (20, 80, 7)],
    [(20, 32, 8), (60, 60, 12)],
    [(20, 44, 8), (51, 60, 8), (69, 60, 8), (20, 80, 7)],
    [(20, 56, 8), (48, 60, 8), (72, 60, 8), (20, 80, 7)],
]


def movie(frames: list[list[tuple[int, int, int]]]) -> np.ndarray:
    """Discs on nothing: a frame without any is of one colour."""
    image = np.full((len(frames), *SHAPE), 100, np.uint16)
    for plane, discs in zip(image, frames, strict=True):
        for y, x, radius in discs:
            plane[disk((y, x), radius, shape=SHAPE)] += 900
    return image


def write(path: Path, image: np.ndarray, axes: str = "TYX") -> Path:
    tifffile.imwrite(path, image, photometric="minisblack", metadata={"axes": axes})
    return path


@pytest.fixture
def time() -> Recipe:
    return Recipe(detector="threshold", device="cpu", link="time")


def read(folder: Path) -> tuple[list[list[int]], list[np.ndarray]]:
    lines = (folder / "res_track.txt").read_text().splitlines()
    masks = [tifffile.imread(path) for path in sorted(folder.glob("mask*.tif"))]
    return [[int(part) for part in line.split(" ")] for line in lines], masks


def rows_of(masks: list[np.ndarray]) -> list[list[int]]:
    """Return the rows that the movie above must give."""

    def at(t: int, y: int, x: int) -> int:
        return int(masks[t][..., y, x].max())

    mother, missed = at(0, 60, 60), at(0, 20, 80)
    return [
        [at(0, 20, 20), 0, 3, 0],
        [mother, 0, 1, 0],
        [missed, 0, 0, 0],
        [at(2, 51, 60), 2, 3, mother],
        [at(2, 69, 60), 2, 3, mother],
        [at(2, 20, 80), 2, 3, missed],
    ]


def check_rules(rows: list[list[int]], masks: list[np.ndarray]) -> None:
    """Check what the challenge asks of results."""
    labels = [row[0] for row in rows]
    assert len(set(labels)) == len(labels) and 0 not in labels
    assert all(mask.dtype == np.uint16 for mask in masks)
    on = [set(np.unique(mask).tolist()) - {0} for mask in masks]
    assert set().union(*on) == set(labels)
    for label, first, last, parent in rows:
        # On all frames from the first to the last, and on no others.
        assert [t for t, there in enumerate(on) if label in there] == list(
            range(first, last + 1)
        )
        if parent:
            assert rows[labels.index(parent)][2] < first


def test_moving_dividing_and_missed_objects_are_written(
    tmp_path: Path, time: Recipe
) -> None:
    image = write(tmp_path / "cells.tif", movie(FRAMES))
    output = tmp_path / "out"
    report = run([image], output, time, formats=["ctc"])
    assert report.exit_code == 0, report.inputs
    folder = output / "ctc" / "cells" / "01_RES"
    assert sorted(p.name for p in folder.iterdir()) == [
        *(f"mask{t:03d}.tif" for t in range(4)),
        "res_track.txt",
    ]
    rows, masks = read(folder)
    check_rules(rows, masks)
    assert rows == sorted(rows_of(masks))

    # Here a gap is no end: the object keeps its number.
    labels = tifffile.imread(output / "labels" / "cells.tif")
    for mask, plane in zip(masks, labels, strict=True):
        np.testing.assert_array_equal(mask > 0, plane > 0)
    late, early = labels[3, 20, 80], labels[0, 20, 80]
    assert late == early > 0
    with (output / "objects.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert all(row["track"] == row["id"] for row in table)
    mother = str(labels[0, 60, 60])
    assert [row["parent"] for row in table if row["t"] == "3"].count(mother) == 2
    assert {row["parent"] for row in table if row["t"] == "0"} == {"0"}
    assert "flag" not in table[0]

    # Python says the same.
    ours, objects = annotate(
        image, axes="TYX", detector="threshold", device="cpu", link="time"
    )
    np.testing.assert_array_equal(ours, labels)
    assert objects["parent"].tolist() == [int(row["parent"]) for row in table]


def test_volumes_over_time_are_one_file_for_each_time(
    tmp_path: Path, time: Recipe
) -> None:
    flat = movie(FRAMES)
    empty = movie([[]] * 4)
    deep = np.stack([empty, flat, flat, flat, empty], 1)
    output = tmp_path / "out"
    image = write(tmp_path / "deep.tif", deep, "TZYX")
    report = run([image], output, time, formats=["ctc"])
    assert report.exit_code == 0, report.inputs
    rows, masks = read(output / "ctc" / "deep" / "01_RES")
    check_rules(rows, masks)
    assert rows == sorted(rows_of(masks))
    assert [mask.shape for mask in masks] == [(5, *SHAPE)] * 4
    with (output / "objects.csv").open(newline="") as file:
        assert csv.DictReader(file).fieldnames[-4:] == [
            "track",
            "parent",
            "flag",
            "truncated",
        ]


@pytest.mark.parametrize(
    ("frames", "tracks"), [(FRAMES[:1], 3), ([[], FRAMES[0], []], 3), ([[], []], 0)]
)
def test_one_frame_and_frames_without_objects(
    tmp_path: Path, time: Recipe, frames: list, tracks: int
) -> None:
    image = write(tmp_path / "cells.tif", movie(frames))
    options = time.model_copy(update={"axes": "TYX"})
    report = run([image], tmp_path / "out", options, formats=["ctc"])
    assert report.exit_code == 0, report.inputs
    rows, masks = read(tmp_path / "out" / "ctc" / "cells" / "01_RES")
    check_rules(rows, masks)
    assert (len(rows), len(masks)) == (tracks, len(frames))


def test_an_image_without_time_fails_and_the_others_are_done(
    tmp_path: Path, time: Recipe
) -> None:
    write(tmp_path / "flat.tif", movie(FRAMES)[0], "YX")
    write(tmp_path / "movie.tif", movie(FRAMES))
    write(tmp_path / "stack.tif", movie(FRAMES), "ZYX")
    report = run([tmp_path], tmp_path / "out", time)
    status = {item.image: (item.status, item.message) for item in report.inputs}
    assert status["movie.tif"][0] == "done"
    for name, axes in (("flat.tif", "are Y and X"), ("stack.tif", "are Z, Y and X")):
        assert status[name][0] == "failed"
        assert "there is no time axis" in status[name][1]
        assert axes in status[name][1] and name in status[name][1]
    assert report.exit_code == 2


def test_ctc_needs_tracks(tmp_path: Path, recipe: Recipe) -> None:
    image = write(tmp_path / "cells.tif", movie(FRAMES))
    with pytest.raises(OutputError, match="add --link time"):
        run([image], tmp_path / "out", recipe, formats=["ctc"])
    assert not (tmp_path / "out").exists()


def test_without_laptrack_it_says_how_to_get_it(
    tmp_path: Path, time: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = write(tmp_path / "cells.tif", movie(FRAMES))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Exception, match=r"laptrack.*napari-sam-annotator\[tracks\]"):
        run([image], tmp_path / "out", time)
    assert not (tmp_path / "out").exists()
    with pytest.raises(Exception, match=r"napari-sam-annotator\[tracks\]"):
        annotate(image, link="time")


def test_an_earlier_sequence_is_replaced_as_a_whole(
    tmp_path: Path, time: Recipe
) -> None:
    image = write(tmp_path / "cells.tif", movie(FRAMES))
    run([image], tmp_path / "out", time, formats=["ctc"])
    folder = tmp_path / "out" / "ctc" / "cells" / "01_RES"
    (folder / "notes.txt").write_text("mine")
    write(image, movie(FRAMES[:2]))
    report = run([image], tmp_path / "out", time, formats=["ctc"], overwrite=True)
    assert report.exit_code == 0, report.inputs
    rows, masks = read(folder)
    check_rules(rows, masks)
    assert len(masks) == 2
    assert (folder / "notes.txt").read_text() == "mine"


def test_specks_in_a_stack_are_left_out_of_all_files(
    tmp_path: Path, recipe: Recipe
) -> None:
    planes = [[(20, 20, 9)] for _ in range(12)]
    planes[5] = [(20, 20, 9), (70, 70, 5)]
    image = write(tmp_path / "stack.tif", movie(planes), "ZYX")
    formats = ["yolo", "coco", "sa1b"]
    report = run([image], tmp_path / "out", recipe, formats=formats)
    (item,) = report.inputs
    assert item.objects == 12
    (warning,) = item.warnings
    assert "1 object on fewer than 3 slices left out" in warning
    assert "min_planes=1" in warning
    labels = tifffile.imread(tmp_path / "out" / "labels" / "stack.tif")
    assert np.unique(labels).tolist() == [0, 1]
    assert len((tmp_path / "out" / "objects.csv").read_text().splitlines()) == 13
    rows = (tmp_path / "out" / "yolo" / "stack" / "z0005.txt").read_text()
    assert len(rows.splitlines()) == 1
    everything = recipe.model_copy(update={"min_planes": 1})
    report = run([image], tmp_path / "all", everything, formats=formats)
    assert report.inputs[0].objects == 13
    assert not report.inputs[0].warnings
