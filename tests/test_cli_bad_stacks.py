"""Stacks that are damaged, unusual or replaced: one clear line, nothing lost."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from skimage.draw import disk
from typer.testing import CliRunner, Result

from napari_sam.cli import app
from napari_sam.models.catalog import load_model
from napari_sam.records import one
from napari_sam.segment import (
    AnnotationWarning,
    annotate,
    fill_between,
    propagate,
)
from napari_sam.types import Prompt

FAST = ["--detector", "threshold", "--device", "cpu"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def failures(result: Result) -> list[str]:
    lines = result.stderr.splitlines()
    return [line for line in lines if line.startswith("error: ")]


def column(planes: int, without: tuple[int, ...] = ()) -> np.ndarray:
    """Return a disc that goes through all planes but some."""
    stack = np.full((planes, 48, 48), 100, np.uint16)
    stack[:, *disk((20, 24), 8)] = 900
    stack[list(without)] = 100
    return stack


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.tif"
    tifffile.imwrite(path, column(2), photometric="minisblack")
    return path


def spoiled_zarr(folder: Path) -> Path:
    path = folder / "stack.zarr"
    array = zarr.create_array(
        path, shape=(4, 48, 48), chunks=(1, 48, 48), dtype="u2", overwrite=True
    )
    array[:] = column(4)
    (path / "c" / "2" / "0" / "0").write_bytes(b"rubbish")
    return path


def spoiled_tiff(folder: Path) -> Path:
    path = folder / "stack.tif"
    tifffile.imwrite(path, column(4), photometric="minisblack", compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[2]
        start, count = page.dataoffsets[0], page.databytecounts[0]
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\0" * count)
    return path


@pytest.mark.parametrize("spoil", [spoiled_zarr, spoiled_tiff])
def test_a_damaged_plane_is_named_and_the_other_files_are_done(
    spoil, good: Path, tmp_path: Path
) -> None:
    path, output = spoil(tmp_path), tmp_path / "out"
    result = run("annotate", path, good, "--output", output, *FAST)
    assert result.exit_code == 2
    (line,) = failures(result)
    assert str(path) in line
    assert "=2 cannot be read" in line
    assert os.listdir(output / "labels") == ["good.tif"]


@pytest.mark.parametrize("kind", ["zarr", "tiff"])
def test_a_file_that_is_replaced_while_it_is_annotated(
    kind: str, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By one of another shape, after the second plane."""
    path, output = tmp_path / f"a.{'zarr' if kind == 'zarr' else 'tif'}", tmp_path / "o"

    def write(pixels: np.ndarray) -> None:
        if kind == "tiff":
            tifffile.imwrite(path, pixels, photometric="minisblack")
            return
        shutil.rmtree(path, ignore_errors=True)
        chunks = (1, *pixels.shape[1:])
        zarr.create_array(path, shape=pixels.shape, chunks=chunks, dtype="u2")[:] = (
            pixels
        )

    write(column(4))
    real, done = one.annotate_plane, []

    def annotate_plane(plane, *args):
        done.append(plane.index)
        if len(done) == 2:
            write(column(4)[:, :30, :40])
        return real(plane, *args)

    monkeypatch.setattr(one, "annotate_plane", annotate_plane)
    result = run("annotate", path, good, "--output", output, *FAST)
    assert result.exit_code == 2
    (line,) = failures(result)
    assert str(path) in line
    assert "changed or replaced while it was annotated" in line
    assert os.listdir(output / "labels") == ["good.tif"]

    again = run("annotate", path, good, "--output", output, *FAST)
    assert again.exit_code == 0, again.stderr
    assert tifffile.imread(output / "labels" / "a.tif").shape == (4, 30, 40)


@pytest.mark.filterwarnings(
    "ignore:.*has no contrast:napari_sam.segment.AnnotationWarning"
)
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 1, 1), (3, 1, 30)])
@pytest.mark.parametrize("detector", ["threshold", "nuclei"])
def test_planes_of_one_pixel_or_one_row(
    shape: tuple[int, ...], detector: str, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 300, shape).astype(np.uint16)
    axes = "ZYX"[3 - len(shape) :]
    labels, objects = annotate(
        noise, axes=axes, detector=detector, link="stack", device="cpu"
    )
    assert labels.shape == shape
    assert not labels.any()
    assert len(objects["id"]) == 0


@pytest.mark.parametrize("axes", ["ZYX", "TYX"])
@pytest.mark.parametrize("link", ["none", "stack"])
def test_a_stack_of_one_plane(axes: str, link: str) -> None:
    labels, objects = annotate(
        column(1), axes=axes, detector="threshold", link=link, device="cpu"
    )
    assert labels.shape == (1, 48, 48)
    assert len(objects["id"]) == labels.max() == 1


def test_planes_and_time_points_without_objects() -> None:
    film = np.stack([column(3), column(3, without=(0, 1, 2)), column(3, without=(1,))])
    options = {"detector": "threshold", "link": "stack", "min_planes": 1}
    with pytest.warns(AnnotationWarning, match="T=1 Z=0, .* has no contrast"):
        labels, objects = annotate(film, axes="TZYX", device="cpu", **options)
    assert labels.any((2, 3)).tolist() == [
        [True, True, True],
        [False, False, False],
        [True, False, True],
    ]
    # A missing slice is bridged; another time point is another object.
    assert len(np.unique(objects["id"])) == 2
    assert objects["flag"].tolist() == ["", "", "", "", "gap"]


def test_an_object_on_every_plane() -> None:
    labels, objects = annotate(
        column(12), axes="ZYX", detector="threshold", link="stack", device="cpu"
    )
    assert set(np.unique(labels)) == {0, 1}
    assert labels.any((1, 2)).all()
    assert set(objects["flag"]) == {""}
    full, filled = fill_between(labels)
    assert (filled.outlines, filled.in_the_way) == (0, 0)
    np.testing.assert_array_equal(full, labels)


def test_it_is_followed_through_every_plane() -> None:
    stack = column(8) + np.random.default_rng(0).integers(0, 30, (48, 48), np.uint16)
    model = load_model("pocket", device="cpu")
    labels = propagate(
        stack, {1: {5: Prompt(points=[(20, 24)])}}, model=model, axes="ZYX"
    )
    assert (labels == 1).any((1, 2)).all()


@pytest.mark.filterwarnings("ignore:.*no contrast:napari_sam.segment.AnnotationWarning")
def test_time_points_without_objects_end_no_track() -> None:
    pytest.importorskip("laptrack")
    labels, objects = annotate(
        column(6, without=(2,)),
        axes="TYX",
        detector="threshold",
        link="time",
        device="cpu",
    )
    assert labels.any((1, 2)).tolist() == [True, True, False, True, True, True]
    assert set(objects["track"]) == {1}
    nothing, none = annotate(
        column(3, without=(0, 1, 2)),
        axes="TYX",
        detector="threshold",
        link="time",
        device="cpu",
    )
    assert not nothing.any()
    assert len(none["id"]) == 0
