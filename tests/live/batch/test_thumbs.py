"""Small pictures of images, with outlines where something was found."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage.segmentation import find_boundaries

from napari_sam.images import planes
from napari_sam.live.batch.pictures import Pictures
from napari_sam.live.batch.thumbs import draw_item, draw_tried, part_of
from napari_sam.types import ImageError

SIDE = 160


def coloured(picture):
    """Where a picture is not grey."""
    pixels = np.asarray(picture).astype(int)
    return pixels.max(axis=-1) - pixels.min(axis=-1) > 60


def near_edges(labels, picture):
    """Whether outlines of objects are where the edges of labels are, and only there."""
    zoom = picture.width // labels.shape[1]
    edges = find_boundaries(labels)
    wide = np.kron(edges, np.ones((zoom, zoom))).astype(bool)
    drawn = coloured(picture)
    assert drawn.any()
    assert not (drawn & ~wide).sum() > 0.05 * drawn.sum()
    rows = wide.any(axis=1).nonzero()[0], wide.any(axis=0).nonzero()[0]
    seen = drawn.any(axis=1).nonzero()[0], drawn.any(axis=0).nonzero()[0]
    for one, other in zip(rows, seen, strict=True):
        assert abs(one.min() - other.min()) <= 2 * zoom
        assert abs(one.max() - other.max()) <= 2 * zoom


def test_a_plane_that_is_done_is_drawn_with_outlines(done):
    picture = draw_item(done.item("plane"), done.output, done.recipe, SIDE)
    assert picture.size == (160, 128)
    near_edges(done.labels("plane"), picture)


def test_of_a_stack_it_is_the_slice_in_the_middle(done):
    picture = draw_item(done.item("deep/stack"), done.output, done.recipe, SIDE)
    near_edges(done.labels("deep/stack")[1, 1], picture)
    plain = replace(done.item("deep/stack"), state="waiting")
    grey = np.asarray(draw_item(plain, done.output, done.recipe, 80))
    bright = done.image("deep/stack")[1, 1] > 500
    assert (grey[bright] > 120).all() and (grey[~bright] < 90).all()


@pytest.mark.parametrize("state", ["waiting", "working", "unfinished", "failed"])
def test_what_is_not_done_is_drawn_without(done, tmp_path, state):
    item = replace(done.item("plane"), state=state)
    for output in (done.output, tmp_path):  # with and without a contrast of the run
        picture = draw_item(item, output, done.recipe, SIDE)
        assert picture.size == (160, 128) and not coloured(picture).any()
        assert np.ptp(np.asarray(picture)) > 150


def test_colour_is_drawn_in_colour(tmp_path, done):
    path = tmp_path / "red.png"
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[10:30, 10:30, 0] = 255
    Image.fromarray(pixels).save(path)
    item = replace(done.item("plane"), path=str(path), state="waiting")
    shown = np.asarray(draw_item(item, tmp_path, done.recipe, 60))
    assert shown[20, 20].tolist() == [255, 0, 0] and shown[5, 50].tolist() == [0, 0, 0]


def test_of_a_large_plane_it_is_the_part_in_the_middle(tmp_path, done, monkeypatch):
    pixels = np.full((300, 500), 100, np.uint16)
    pixels[::2] = 120
    pixels[140:160, 240:260] = 900
    path = tmp_path / "wide.tif"
    tifffile.imwrite(path, pixels)
    item = replace(done.item("plane"), path=str(path), state="waiting")
    whole = np.asarray(draw_item(item, tmp_path, done.recipe, 50))
    assert whole.shape == (30, 50, 3)
    monkeypatch.setattr(planes, "LARGE", 10_000)
    part = np.asarray(draw_item(item, tmp_path, done.recipe, 50))
    assert part.shape == (50, 50, 3)
    # Of 100 pixels around the middle, of which 20 are bright.
    assert np.mean(part[..., 0] > 128) == pytest.approx(0.04, abs=0.02)
    assert part[25, 25, 0] > 200 and part[2, 2, 0] < 60


def test_what_part_it_is(monkeypatch):
    assert part_of((64, 80), 160) == ((0, 0, 64, 80), 1)
    assert part_of((640, 800), 160) == ((0, 0, 640, 800), 5)
    monkeypatch.setattr(planes, "LARGE", 10_000)
    assert part_of((640, 800), 160) == ((240, 320, 400, 480), 1)
    assert part_of((100, 800), 160) == ((0, 320, 100, 480), 1)


def test_slices_that_were_tried_are_drawn_with_outlines(done):
    for one in done.tried:
        picture = draw_tried(one, done.output, SIDE)
        assert picture.size == (160, 128)
        near_edges(tifffile.imread(done.output / "try" / one.labels), picture)
        small = draw_tried(one, done.output, 10)
        assert small.size == (10, 8)


def test_what_cannot_be_read_is_named(done, tmp_path):
    broken = done.item("broken")
    with pytest.raises(ImageError, match=r"broken\.tif"):
        draw_item(broken, done.output, done.recipe, SIDE)
    with pytest.raises(ImageError):
        draw_item(replace(broken, path=""), done.output, done.recipe, SIDE)
    with pytest.raises(ImageError, match=r"1\.png"):
        draw_tried(done.tried[0], tmp_path, SIDE)


@pytest.fixture
def pictures(pump):
    heard = []
    made = Pictures(pump.post, lambda item, picture: heard.append((item, picture)), 40)
    made.heard = heard
    yield made
    made.close()


def test_pictures_are_drawn_one_after_the_other(done, pump, pictures):
    names = ("plane", "broken", "deep/stack", "colour")
    items = [done.item(name) for name in names]
    for item in items:
        pictures.want(item, done.output, done.recipe)
    pump.until(lambda: len(pictures.heard) == 4)
    # The first was begun at once; of the others the last one comes first.
    assert [item for item, _ in pictures.heard] == [items[n] for n in (0, 3, 2, 1)]
    sizes = {item.name: picture and picture.size for item, picture in pictures.heard}
    assert sizes == {
        "plane": (40, 32),
        "broken": None,
        "deep/stack": (40, 32),
        "colour": (40, 32),
    }


def test_what_was_asked_for_twice_is_drawn_once(done, pump, pictures):
    one, other = done.item("plane"), done.item("colour")
    for item in (one, one, other, one, other):
        pictures.want(item, done.output, done.recipe)
    pump.until(lambda: len(pictures.heard) == 2)
    # It goes on where something is asked for later.
    pictures.want(one, done.output, done.recipe)
    pump.until(lambda: len(pictures.heard) == 3)
    assert [item for item, _ in pictures.heard] == [one, other, one]


def test_what_is_forgotten_is_not_drawn(done, pump, pictures):
    items = [done.item(name) for name in ("plane", "colour", "deep/stack")]
    for item in items[:2]:
        pictures.want(item, done.output, done.recipe)
    pictures.forget()
    pump.until(lambda: pictures.heard)
    pictures.want(items[2], done.output, done.recipe)
    pump.until(lambda: len(pictures.heard) == 2)
    assert [item for item, _ in pictures.heard] == [items[0], items[2]]


def test_a_place_without_a_run_is_no_trouble(done, tmp_path: Path):
    item = replace(done.item("plane"), state="waiting")
    assert draw_item(item, tmp_path / "nowhere", done.recipe, SIDE).size == (160, 128)
