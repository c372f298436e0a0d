"""Planes in tiles: encoded where they are asked about, answered as a whole plane."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from scipy import ndimage

import napari_sam as ns
from napari_sam.data import FOLDER
from napari_sam.images import LargePlane, make_plane
from napari_sam.models.lane import Cancelled
from napari_sam.models.tiles import Grid, LargeEmbedding, Tiling
from napari_sam.models.tiles import large as large_module
from napari_sam.models.tiles.large import Kept, reduced
from napari_sam.types import ModelError

TILES = Tiling(side=256, whole=256, small=16, large=64, most=2)
SHAPE = (512, 640)


@pytest.fixture(scope="module")
def plane():
    image = tifffile.imread(FOLDER / "images" / "fluorescence.tif")
    return make_plane(image[:512, :640])


@pytest.fixture(scope="module")
def nuclei():
    """Box and middle of nuclei that the edge does not cut."""
    labels = tifffile.imread(FOLDER / "truth" / "fluorescence.tif")[:512, :640]
    found = []
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        if place is None:
            continue
        rows, columns = place
        box = (rows.start, columns.start, rows.stop, columns.stop)
        depth = ndimage.distance_transform_edt(labels == number)
        y, x = np.unravel_index(depth.argmax(), depth.shape)
        if min(box[:2]) > 0 and box[2] < 512 and box[3] < 640 and depth.max() > 8:
            found.append((box, (y + 0.5, x + 0.5)))
    return found


@pytest.fixture(scope="module")
def whole(plane):
    model = ns.load_model("pocket", device="cpu")
    return model, model.encode(plane)


@pytest.fixture(scope="module")
def tiled(plane):
    model = ns.load_model("pocket", device="cpu")
    model.tiling = TILES
    return model, model.encode(plane)


def test_tiles_cover_a_plane_overlap_and_part_it():
    grid = Grid((1000, 2100), 256)
    seen, own = (np.zeros(grid.shape, int) for _ in range(2))
    for part, (y0, x0, y1, x1) in zip(grid.parts, grid.cores, strict=True):
        assert part.corner == (part.box[0] // 32 * 32, part.box[1] // 32 * 32)
        assert max(part.shape) < 256 + 32
        seen[part.box[0] : part.box[2], part.box[1] : part.box[3]] += 1
        own[y0:y1, x0:x1] += 1
    assert seen.min() == 1
    assert own.min() == own.max() == 1
    assert grid.overview.box == (0, 0, 1000, 2100)
    assert grid.overview.level == 3
    assert 256 * 2**3 + 32 * 2**3 > 2100


def test_the_finest_tile_with_room_around_is_the_best():
    grid = Grid((2048, 2048), 256)
    click = grid.best((190.0, 200.0, 190.0, 200.0))
    assert click.level == 0
    assert min(abs(190 - click.box[0]), abs(click.box[2] - 190)) >= 32
    levels = [grid.best((500, 500, 500 + n, 500 + n)).level for n in (40, 90, 300, 900)]
    assert levels == sorted(levels)
    assert levels[0] == 0
    assert grid.best((0, 0, 2048, 2000)) == grid.overview
    # At the plane's own edge there is nothing more to be seen.
    assert grid.best((0, 0, 30, 30)).level == 0


def test_prompts_get_the_answers_of_the_whole_plane(whole, tiled, nuclei):
    prompts = [ns.Prompt(box=box) for box, _ in nuclei]
    prompts += [ns.Prompt(points=[at]) for _, at in nuclei]
    (y, x), far = nuclei[0][1], nuclei[-1][1]
    prompts.append(ns.Prompt(points=[(y, x), far], labels=[1, 0]))
    drawn = np.zeros(SHAPE, np.bool_)
    y0, x0, y1, x1 = nuclei[1][0]
    drawn[y0:y1, x0:x1] = True
    prompts.append(ns.Prompt(mask=drawn))
    (model, embedding), (other, tiles) = whole, tiled
    assert isinstance(tiles, LargeEmbedding)
    assert not isinstance(embedding, LargeEmbedding)
    wanted, answers = model.decode(embedding, prompts), other.decode(tiles, prompts)
    assert len(answers) == len(prompts)
    for one, two in zip(wanted, answers, strict=True):
        assert len(one.masks) == len(two.masks)
        assert one.best.iou(two.best) > 0.9
    refining = [
        ns.Prompt(points=[at], labels=[1], previous=answer.best)
        for (_, at), answer in zip(nuclei, answers, strict=False)
    ]
    again = other.decode(tiles, refining)
    for one, two in zip(model.decode(embedding, refining), again, strict=True):
        assert one.best.iou(two.best) > 0.9


def test_only_the_tiles_that_are_asked_about_are_encoded(plane, nuclei):
    model = ns.load_model("pocket", device="cpu")
    model.tiling = TILES
    looked = []

    def paint(box):
        looked.append(box)
        y0, x0, y1, x1 = box
        return plane.pixels[y0:y1, x0:x1]

    lazy = LargePlane(paint, plane.shape, (), plane.normalization)
    embedding = model.encode(lazy)
    assert looked == []
    click = ns.Prompt(points=[nuclei[0][1]])
    model.decode(embedding, [click])
    model.decode(embedding, [click])
    assert looked == [embedding.grid.best((*nuclei[0][1], *nuclei[0][1])).box]
    assert model.decode(embedding, []) == []
    with pytest.raises(ModelError, match="encode the plane again"):
        model.decode(
            LargeEmbedding("other", SHAPE, (), plane=lazy, grid=embedding.grid), [click]
        )


def test_an_object_larger_than_a_tile_is_seen_on_a_coarser_one(tiled):
    model, _ = tiled
    y, x = np.mgrid[:1024, :1024]
    noise = np.random.default_rng(0).normal(0, 4, (1024, 1024))
    disc = (y - 500) ** 2 + (x - 520) ** 2 < 210**2
    embedding = model.encode(np.clip(40 + 120 * disc + noise, 0, 255).astype(np.uint8))
    answers = model.decode(
        embedding, [ns.Prompt(box=(290, 310, 710, 730)), ns.Prompt(points=[(500, 520)])]
    )
    iou = [
        np.count_nonzero(m & disc) / np.count_nonzero(m | disc)
        for m in (answer.best.full(disc.shape) for answer in answers)
    ]
    assert iou[0] > 0.9
    assert embedding.grid.best((290, 310, 710, 730)).level > 0


def test_the_diameter_sets_the_size_of_tiles_and_what_is_seen(plane):
    model = ns.load_model("pocket", device="cpu")
    assert model.tiling.scale(None) == model.tiling.scale(30) == 1
    assert model.tiling.scale(4) == 2
    assert model.tiling.scale(640) == 0.1
    small = make_plane(plane.pixels[:128, :128], diameter=8)
    large = make_plane(plane.pixels[:128, :128], diameter=256)
    zooms = [model.features(model.encode(each)).zoom for each in (small, large)]
    assert zooms == [2, 0.25]
    shape = (4000, 4000)
    sides = [Grid.of(shape, model.tiling, d).side for d in (8, None, 128)]
    assert sides == [512, 1024, 2048]
    assert Grid.of(shape, model.tiling, 300) is None


def test_reducing_takes_means_band_by_band(monkeypatch):
    pixels = np.random.default_rng(1).integers(0, 256, (70, 90, 3)).astype(np.uint8)
    plane = make_plane(pixels)
    monkeypatch.setattr("napari_sam.images.planes._ROWS", 90 * 16)
    assert len(list(plane.bands((0, 0, 70, 90), 8))) == 5
    small = reduced(plane, (0, 0, 70, 90), 8).pixels
    assert small.shape == (9, 12, 3)
    assert np.array_equal(small[2, 3], np.rint(pixels[16:24, 24:32].mean((0, 1))))
    assert np.array_equal(small[8, 11], np.rint(pixels[64:, 88:].mean((0, 1))))
    assert reduced(plane, (0, 0, 70, 90), 1) is plane


def test_tiles_that_were_used_longest_ago_are_forgotten():
    kept = Kept(budget=10)
    first, second, third = Grid((400, 400), 128).parts[:3]
    for part in (first, second):
        kept.put(part, part, 5)
    assert kept.get(first) is first
    kept.put(third, third, 5)
    assert kept.get(second) is None
    assert (kept.get(first), kept.get(third)) == (first, third)
    kept.put(second, second, 50)  # the last one stays, whatever it takes
    assert (len(kept), kept.get(second)) == (1, second)


def test_between_tiles_the_lane_may_stop_it(plane, monkeypatch):
    model = ns.load_model("pocket", device="cpu")
    model.tiling = TILES
    embedding = model.encode(plane)

    def stop():
        raise Cancelled

    monkeypatch.setattr("napari_sam.models.tiles.model.checkpoint", stop)
    with pytest.raises(Cancelled):
        model.decode(embedding, [ns.Prompt(points=[(50, 50)])])
    assert large_module.BUDGET == embedding.nbytes
