"""Objects of a plane in tiles are those of the plane: at every offset of the tiles."""

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from napari_sam import data
from napari_sam.images import make_plane
from napari_sam.models.catalog import load_detector, load_model
from napari_sam.models.tiles import Grid, Tiling
from napari_sam.segment import compare_labels, make_recipe, propose_plane, settle
from napari_sam.segment.proposals import Proposals
from napari_sam.segment.seams import merge, on_plane
from napari_sam.types import Mask

SIDE = 128


@pytest.fixture(scope="module")
def truth():
    return tifffile.imread(data.FOLDER / "truth" / "fluorescence.tif")


@pytest.fixture(scope="module")
def nuclei():
    return tifffile.imread(data.FOLDER / "images" / "fluorescence.tif")


def seen(labels, part):
    """What somebody finds who makes no mistakes, and sees one tile only."""
    y0, x0, y1, x1 = part.box
    here = labels[y0:y1, x0:x1]
    masks = [
        Mask.from_array(here[place] == number, (place[0].start, place[1].start))
        for number, place in enumerate(ndimage.find_objects(here), start=1)
        if place is not None
    ]
    count = len(masks)
    return Proposals(
        (),
        here.shape,
        tuple(masks),
        np.ones(count, np.float32),
        np.zeros(count, np.int64),
        ("nucleus",),
    )


def objects(masks):
    return sorted((mask.box, mask.data.tobytes()) for mask in masks)


@pytest.mark.parametrize("step", [(1, 1), (0, 1), (1, 0)])
def test_known_objects_are_the_same_wherever_the_tiles_lie(truth, step):
    # Every tile begins at a multiple of 32 and the next one 96 further on.
    for offset in range(96):
        y, x = offset * step[0], offset * step[1]
        labels = truth[y : y + 320, x : x + 352]
        grid = Grid(labels.shape, SIDE)
        assert len(grid.parts) == 12
        found = [
            (number, on_plane(part, seen(labels, part)))
            for number, part in enumerate(grid.parts)
        ]
        merged = merge(grid, found)
        assert merged.shape == labels.shape
        ids = np.unique(labels[labels > 0])
        whole = [Mask.from_array(labels == number) for number in ids]
        assert objects(merged.masks) == objects(whole), (y, x)


def test_an_object_larger_than_a_tile_is_put_together():
    labels = np.zeros((400, 400), np.uint16)
    y, x = np.mgrid[:400, :400]
    labels[(y - 200) ** 2 + (x - 190) ** 2 < 110**2] = 1
    grid = Grid(labels.shape, SIDE)
    found = [
        (number, on_plane(part, seen(labels, part)))
        for number, part in enumerate(grid.parts)
    ]
    merged = merge(grid, found)
    assert [mask.area for mask in merged.masks] == [np.count_nonzero(labels)]


def test_two_views_of_an_object_are_one_and_the_nearer_one_counts():
    grid = Grid((128, 224), SIDE)  # the second tile begins at 96, they meet at 112
    left = Mask((50, 98, 70, 114), np.ones((20, 16), np.bool_), 0.5)
    right = Mask((50, 98, 70, 116), np.ones((20, 18), np.bool_), 0.9)
    one = np.ones(1, np.float32), np.zeros(1, np.int64), ("nucleus",)
    found = [
        (0, Proposals((), grid.shape, (left,), *one)),
        (1, Proposals((), grid.shape, (right,), *one, truncated=True)),
    ]
    merged = merge(grid, found)
    assert merged.masks == (left,)
    assert merged.truncated
    assert merged.parts == 2


@pytest.mark.parametrize(
    ("detector", "offset", "least"),
    # The threshold parts what touches by the shapes that it sees, cut ones too.
    [("nuclei", (13, 29), 1.0), ("threshold", (0, 0), 0.95)],
)
def test_what_is_found_in_tiles_is_what_is_found_at_once(
    nuclei, detector, offset, least
):
    model = load_model("pocket", device="cpu")
    finder = load_detector(detector, model=model, device="cpu")
    plane = make_plane(nuclei[offset[0] : offset[0] + 420, offset[1] : offset[1] + 420])
    at_once = propose_plane(plane, model, finder)
    model.tiling = Tiling(side=256, whole=256, small=16, large=64, most=2)
    told = []
    in_tiles = propose_plane(plane, model, finder, told=told.append)
    assert (at_once.parts, in_tiles.parts) == (1, 4)
    assert told == [0, 0.25, 0.5, 0.75]
    recipe = make_recipe()
    one, other = (settle(each, recipe) for each in (at_once, in_tiles))
    assert len(one.objects["id"]) > 15
    agreement = compare_labels(one.labels, other.labels)
    assert agreement.f1_at(0.5) >= least
    assert agreement.f1_at(0.9) > 0.9
