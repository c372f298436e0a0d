from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import zarr
from PIL import Image

from napari_sam.images import InputFile, find_inputs, stem_of


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4)).save(path)
    return path


def names(items: list[InputFile]) -> list[str]:
    assert [item.error for item in items] == [None] * len(items)
    return [str(item.relative) for item in items]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.tif", "a.png", "deep/er/c.JPG", "deep/d.tiff", ".hidden/e.png"):
        picture(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("no image")
    (tmp_path / "in" / "._b.tif").write_bytes(b"what macOS leaves on USB sticks")
    group = zarr.open_group(tmp_path / "in" / "deep" / "f.ome.zarr", mode="w")
    group.create_array("0", data=np.zeros((4, 4)))
    return tmp_path / "in"


def test_folders_are_mirrored(folder: Path) -> None:
    found = find_inputs([folder])
    assert names(found) == ["a", "b", "deep/d", "deep/er/c", "deep/f"]
    assert found[0].path == folder / "a.png"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.png", ["a"]),
        ("*", ["a", "b"]),
        ("**/*", ["a", "b", "deep/d", "deep/er/c", "deep/f"]),
        ("deep/*", ["d", "f"]),
        ("*/*.tiff", ["deep/d"]),
        ("**/*.zarr", ["deep/f"]),
        ("[ab].*", ["a", "b"]),
    ],
)
def test_patterns(folder: Path, pattern: str, expected: list[str]) -> None:
    assert names(find_inputs([str(folder / pattern)])) == expected


def test_files_keep_only_their_own_name(folder: Path) -> None:
    given = [folder / "deep" / "d.tiff", folder / "deep" / "f.ome.zarr"]
    assert names(find_inputs(given)) == ["d", "f"]


def test_any_suffix_is_taken_when_named(folder: Path) -> None:
    assert names(find_inputs([folder / "notes.txt"])) == ["notes"]


def test_a_name_with_brackets_is_a_name(tmp_path: Path) -> None:
    path = picture(tmp_path / "cells [2].png")
    assert names(find_inputs([path])) == ["cells [2]"]


def test_every_image_once(folder: Path) -> None:
    given = [folder / "b.tif", folder, str(folder / "*.tif")]
    assert names(find_inputs(given)) == ["b", "a", "deep/d", "deep/er/c", "deep/f"]


def test_results_inside_the_input_are_left_out(folder: Path) -> None:
    picture(folder / "out" / "labels" / "b.tif")
    everything = [folder, str(folder / "**/*.tif")]
    assert "out/labels/b" in names(find_inputs(everything))
    assert "out/labels/b" not in names(find_inputs(everything, exclude=folder / "out"))


def test_what_is_missing_is_reported_and_the_rest_is_found(folder: Path) -> None:
    empty = folder.parent / "empty"
    empty.mkdir()
    gone = folder / "gone.tif"
    found = find_inputs([gone, empty, str(folder / "*.bmp"), folder / "a.png"])
    messages = [str(item.error) for item in found[:3]]
    assert "no such file" in messages[0]
    assert str(gone) in messages[0]
    assert "no images in this folder: looked for .tif" in messages[1]
    assert "no image matches" in messages[2]
    assert found[3] == InputFile(folder / "a.png", PurePosixPath("a"))


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.tif", "a"),
        ("a.ome.tif", "a"),
        ("a.OME.TIFF", "a"),
        ("a.ome.zarr", "a"),
        ("a.b.png", "a.b"),
        ("raw", "raw"),
        (".ome.tif", ".ome"),
    ],
)
def test_stems(name: str, stem: str) -> None:
    assert stem_of(Path("somewhere") / name) == stem


def test_a_folder_that_is_there_is_no_pattern_whatever_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "plate [2]"
    for name in ("a.png", "b.png", "sub/c.png"):
        picture(folder / name)
    found = find_inputs([folder / "[ab].png"])
    assert names(found) == ["a", "b"]
    deep = find_inputs([folder / "*" / "c.png"])
    assert names(deep) == ["sub/c"]
