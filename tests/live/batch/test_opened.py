"""Results as the viewer takes them."""

import gc
import os
from dataclasses import replace
from pathlib import Path

import dask.array
import numpy as np
import pytest
import tifffile

from napari_sam.live.batch import opened as opened_module
from napari_sam.live.batch.opened import open_result, open_tried
from napari_sam.records.run import run
from napari_sam.records.status import read_items
from napari_sam.types import ImageError, NapariSamError


def open_files(folder: Path) -> list[str]:
    """Those in a folder that this process holds open."""
    links = (Path(f"/proc/self/fd/{one}") for one in os.listdir("/proc/self/fd"))
    found = (os.readlink(link) for link in links if os.path.lexists(link))
    return [place for place in found if place.startswith(str(folder))]


def test_a_plane_and_its_labels(done):
    opened = open_result(done.item("plane"), done.output, done.recipe)
    assert (opened.name, opened.axes, opened.rgb) == ("plane", "YX", False)
    assert opened.path == done.images / "plane.tif"
    (channel,) = opened.channels
    assert (channel.name, channel.limits) == ("", (100, 900))
    np.testing.assert_array_equal(channel.pixels, done.image("plane"))
    np.testing.assert_array_equal(opened.labels, done.labels("plane"))
    assert opened.labels.max() == 2 and opened.labels.flags.writeable
    assert opened.editable and not opened.trial


def test_a_stack_in_a_subfolder_has_its_axes(done):
    opened = open_result(done.item("deep/stack"), done.output, done.recipe)
    assert (opened.name, opened.axes) == ("stack", "TZYX")
    np.testing.assert_array_equal(opened.channels[0].pixels, done.image("deep/stack"))
    np.testing.assert_array_equal(opened.labels, done.labels("deep/stack"))
    assert opened.labels.shape == (2, 3, 64, 80)


def test_colour_stays_colour(done):
    opened = open_result(done.item("colour"), done.output, done.recipe)
    (channel,) = opened.channels
    assert opened.rgb and channel.pixels.shape == (64, 80, 3)
    np.testing.assert_array_equal(channel.pixels, done.image("colour"))
    assert opened.labels.shape == (64, 80) and opened.axes == "YX"


def test_channels_are_those_that_models_saw(tmp_path, recipe):
    pixels = np.random.default_rng(0).integers(0, 99, (3, 64, 80), np.uint16)
    pixels[1, 8:24, 8:24] = 900
    path, output = tmp_path / "c.ome.tif", tmp_path / "out"
    names = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP", "RFP"]}}
    names |= {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm"}
    names |= {"PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"}
    tifffile.imwrite(path, pixels, metadata=names)
    chosen = recipe.model_copy(update={"channels": (2, 1)})
    run([path], output, chosen)
    (item,) = read_items(output)[1]
    opened = open_result(item, output, chosen)
    assert [channel.name for channel in opened.channels] == ["RFP", "GFP"]
    for channel, number in zip(opened.channels, (2, 1), strict=True):
        np.testing.assert_array_equal(channel.pixels, pixels[number])
        assert channel.limits == (pixels[number].min(), pixels[number].max())
    assert opened.pixel_size["X"] == (0.5, "micrometer")
    assert (opened.axes, opened.labels.shape) == ("YX", (64, 80))


def test_an_image_of_one_colour_has_limits_that_differ(tmp_path, recipe, done):
    path = tmp_path / "flat.tif"
    tifffile.imwrite(path, np.full((20, 30), 7, np.uint8))
    item = replace(done.item("plane"), path=str(path), state="waiting")
    opened = open_result(item, tmp_path, recipe)
    assert opened.channels[0].limits == (7, 8)


def test_what_is_not_done_is_opened_without_labels(done):
    item = replace(done.item("plane"), state="waiting")
    opened = open_result(item, done.output, done.recipe)
    assert opened.labels is None and not opened.editable
    np.testing.assert_array_equal(opened.channels[0].pixels, done.image("plane"))


def test_what_is_too_large_is_read_when_it_is_seen(done, monkeypatch):
    monkeypatch.setattr(opened_module, "_MOST", 10_000)
    opened = open_result(done.item("deep/stack"), done.output, done.recipe)
    pixels, labels = opened.channels[0].pixels, opened.labels
    assert isinstance(pixels, dask.array.Array) and isinstance(labels, dask.array.Array)
    assert pixels.shape == labels.shape == (2, 3, 64, 80) and not opened.editable
    assert labels.chunks[:2] == ((1, 1), (1, 1, 1))
    np.testing.assert_array_equal(pixels[1, 2], done.image("deep/stack")[1, 2])
    np.testing.assert_array_equal(labels, done.labels("deep/stack"))
    if Path("/proc/self/fd").exists():
        assert len(open_files(done.images)) == len(open_files(done.output)) == 1
        del opened, pixels, labels
        gc.collect()
        assert not open_files(done.images) and not open_files(done.output)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_files_of_what_is_in_memory_are_closed(done):
    for name in ("deep/stack", "plane"):
        opened = open_result(done.item(name), done.output, done.recipe)
        assert opened.editable
    assert open_files(done.images) == open_files(done.output) == []
    # Also where the labels cannot be opened.
    with pytest.raises(NapariSamError):
        open_result(done.item("plane"), done.images, done.recipe)
    assert open_files(done.images) == []


def test_a_slice_that_was_tried(done):
    for one in done.tried:
        opened = open_tried(one, done.output)
        t, z = one.index
        assert opened.name == f"{one.image}, t {t + 1}, z {z + 1} (try-out)"
        assert opened.trial and opened.rgb and opened.axes == "YX"
        (channel,) = opened.channels
        assert channel.pixels.shape == (64, 80, 3) and channel.limits == (0, 255)
        shown = done.image("deep/stack")[t, z] > 500
        assert (channel.pixels[shown] > 120).all() and not channel.pixels[~shown].any()
        assert np.unique(opened.labels).size - 1 == one.objects == 2


@pytest.mark.parametrize("what", ["image", "labels", "picture"])
def test_what_is_not_there_any_more_is_named(done, tmp_path, what):
    if what == "image":
        item = replace(done.item("plane"), path=str(tmp_path / "plane.tif"))
        with pytest.raises(ImageError, match=r"plane\.tif"):
            open_result(item, done.output, done.recipe)
    elif what == "labels":
        with pytest.raises(ImageError, match="labels"):
            open_result(done.item("plane"), tmp_path, done.recipe)
    else:
        with pytest.raises(ImageError, match=r"1\.png"):
            open_tried(done.tried[0], tmp_path)
