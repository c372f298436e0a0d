"""The images of layers as files."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from napari_sam.images import open_image
from napari_sam.live.batch.layers import OpenImage, files_of, places_of
from napari_sam.live.source import Source
from napari_sam.types import ImageError, OutputError


def layer(pixels, name="cells", axes="", rgb=False, path="", size=None):
    shape = pixels.shape[:-1] if rgb else pixels.shape
    source = Source(pixels, name, shape, axes, rgb)
    return OpenImage(source, str(path), size or {})


def pixels_in(file):
    """Return all planes of a file as one array, and its stack axes."""
    with open_image(file) as stack:
        planes = [stack.read(index) for index in stack.indices()]
        whole = np.stack(planes).reshape(*stack.stack_shape, *planes[0].shape)
        return whole, stack.stack_axes, stack.rgb, stack.pixel_size


def test_what_came_from_a_file_is_that_file(tmp_path, frames, monkeypatch):
    one, other = tmp_path / "one.tif", tmp_path / "other.tif"
    for path in (one, other):
        tifffile.imwrite(path, frames[0])
    monkeypatch.chdir(tmp_path)
    layers = [
        layer(frames[0], "red", path=one),
        layer(frames[0], "green", path=one),  # another channel of it
        layer(frames[0], "blue", path="other.tif"),
    ]
    output = tmp_path / "out"
    assert files_of(layers, output) == [str(one), str(other)]
    assert not output.exists()


def test_a_zarr_folder_is_a_file_too(tmp_path, frames):
    place = tmp_path / "stack.zarr"
    zarr.save_array(str(place), frames)
    assert files_of([layer(frames, axes="T", path=place)], tmp_path / "out") == [
        str(place)
    ]


@pytest.mark.parametrize(
    "kind", [bool, np.uint8, np.uint16, np.int32, np.int64, np.float32, np.float64]
)
def test_a_copy_has_the_same_pixels(tmp_path, frames, kind):
    pixels = (frames > np.median(frames)) if kind is bool else frames.astype(kind)
    (file,) = files_of([layer(pixels, axes="T")], tmp_path)
    assert file == str(tmp_path / "images" / "cells.tif")
    copied, axes, rgb, _ = pixels_in(file)
    np.testing.assert_array_equal(copied, pixels)
    assert (axes, rgb) == ("T", False)
    assert copied.dtype == (np.uint8 if kind is bool else kind)
    assert os.listdir(tmp_path / "images") == ["cells.tif"]


@pytest.mark.parametrize("axes", ["", "Z", "TZ", "ZT"])
def test_a_copy_says_what_its_axes_are(tmp_path, axes):
    shape = (2, 3)[: len(axes)]
    pixels = np.random.default_rng(1).integers(0, 999, (*shape, 20, 30), np.uint16)
    (file,) = files_of([layer(pixels, axes=axes)], tmp_path)
    copied, found, _, _ = pixels_in(file)
    assert found == axes
    np.testing.assert_array_equal(copied, pixels)


def test_an_axis_that_nobody_would_understand_is_refused(tmp_path):
    # A file would have it as channels, of which only the first would be looked at.
    with pytest.raises(ImageError, match="more axes than time and depth"):
        files_of([layer(np.zeros((2, 2, 2, 20, 30)), axes="PTZ")], tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("samples", [3, 4])
def test_a_copy_of_a_colour_image_is_in_colour(tmp_path, samples):
    pixels = np.random.default_rng(1).integers(0, 255, (2, 20, 30, samples), np.uint8)
    (file,) = files_of([layer(pixels, axes="Z", rgb=True)], tmp_path)
    copied, axes, rgb, _ = pixels_in(file)
    assert (axes, rgb) == ("Z", True)
    np.testing.assert_array_equal(copied[..., :3], pixels[..., :3])


def test_a_copy_says_how_large_a_pixel_is(tmp_path, frames):
    size = {
        "Y": (0.5, "micrometer"),
        "X": (0.25, "micrometer"),
        "T": (30.0, "second"),
    }
    (file,) = files_of([layer(frames, axes="T", size=size)], tmp_path)
    found = pixels_in(file)[3]
    assert {axis: found[axis][0] for axis in found} == {"Y": 0.5, "X": 0.25, "T": 30}
    assert found["X"][1] == "micrometer" and found["T"][1] == "second"


def test_a_copy_that_is_the_same_stays(tmp_path, frames):
    one = layer(frames, axes="T")
    (file,) = files_of([one], tmp_path)
    before = Path(file).stat()
    assert files_of([layer(frames.copy(), axes="T")], tmp_path) == [file]
    after = Path(file).stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_another_image_of_this_name_is_refused_or_replaced(tmp_path, frames):
    (file,) = files_of([layer(frames, axes="T")], tmp_path)
    written = Path(file).read_bytes()
    other = layer(frames[::-1].copy(), axes="T")
    with pytest.raises(OutputError, match="another image") as caught:
        files_of([other], tmp_path)
    assert file in str(caught.value) and "rename" in str(caught.value)
    assert Path(file).read_bytes() == written
    assert os.listdir(tmp_path / "images") == ["cells.tif"]
    assert files_of([other], tmp_path, replace=True) == [file]
    np.testing.assert_array_equal(pixels_in(file)[0], frames[::-1])


def test_names_are_those_that_files_may_have_and_each_is_there_once(tmp_path, frames):
    names = ["a/b: <c>?", "A_B_ _c__", "..", "", "con", "nul.1", "ä" * 300, "x", "X"]
    layers = [layer(frames[n % 4], name) for n, name in enumerate(names)]
    files = [Path(file) for file in files_of(layers, tmp_path)]
    assert len({file.name.casefold() for file in files}) == len(names)
    for file, one in zip(files, layers, strict=True):
        assert file.parent == tmp_path / "images"
        assert not set(file.name) & set('<>:"/\\|?*')
        assert len(file.name.encode()) < 200
        assert file.stem.split(".")[0].casefold() not in ("", "con", "nul")
        np.testing.assert_array_equal(pixels_in(file)[0], one.source.data)


def test_places_are_known_before_anything_is_written(tmp_path, frames):
    file = tmp_path / "one.tif"
    tifffile.imwrite(file, frames[0])
    copied = layer(frames[1], "new")
    gone = layer(frames[2], "gone", path=tmp_path / "g.tif")
    given = [layer(frames[0], path=file), copied, gone]
    output = tmp_path / "out"
    assert places_of(given, output) == [
        (file, None),
        (output / "images" / "new.tif", copied),
        (output / "images" / "gone.tif", gone),  # its file is not there any more
    ]
    assert not output.exists()
    assert files_of(given, output) == [
        str(place) for place, _ in places_of(given, output)
    ]


def test_a_place_that_cannot_be_written_is_named(tmp_path, frames):
    (tmp_path / "images").write_text("a file")
    with pytest.raises(OutputError, match="cannot be written") as caught:
        files_of([layer(frames)], tmp_path)
    assert str(tmp_path / "images") in str(caught.value)


def test_of_pixels_that_cannot_be_read_nothing_is_left(tmp_path):
    class Gone:
        shape, dtype = (2, 20, 30), np.dtype(np.uint8)

        def __getitem__(self, key):
            if key[0]:
                raise OSError("the disk is gone")
            return np.zeros((20, 30), np.uint8)

    with pytest.raises(ImageError, match="the disk is gone"):
        files_of([layer(Gone(), axes="T")], tmp_path)
    assert os.listdir(tmp_path / "images") == []
