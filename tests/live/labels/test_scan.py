import numpy as np
import pytest
import tifffile

from napari_sam.data import FOLDER
from napari_sam.live.labels.scan import boxes_in, scan


@pytest.fixture
def truth():
    return tifffile.imread(FOLDER / "truth" / "nuclei_timelapse.tif")[:4, :96, :112]


def slow_boxes(plane):
    found = {}
    for number in np.unique(plane[plane > 0]):
        y, x = np.nonzero(plane == number)
        box = (y.min(), x.min(), y.max() + 1, x.max() + 1)
        found[int(number)] = tuple(map(int, box))
    return found


def test_every_object_is_found_on_every_plane(truth):
    found = scan(truth)
    ids = set(np.unique(truth).tolist()) - {0}
    assert found.extents.keys() == ids
    for t in range(len(truth)):
        here = {i: on[(t,)] for i, on in found.extents.items() if (t,) in on}
        assert here == slow_boxes(truth[t])
    assert found.next_id == max(ids) + 1
    assert [r.id for r in found.records] == sorted(ids)
    assert {r.source for r in found.records} == {"import"}


def test_planes_of_one_image_and_of_many_axes(truth):
    assert scan(truth[0]).extents[int(truth[0].max())].keys() == {()}
    stack = scan(truth.reshape(2, 2, 96, 112))
    indices = {index for on in stack.extents.values() for index in on}
    assert indices == {(0, 0), (0, 1), (1, 0), (1, 1)}


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"])
def test_all_integers_can_be_labels(truth, dtype):
    plane = (truth[0] % 100).astype(dtype)
    plane[0, :5] = np.iinfo(dtype).max
    assert boxes_in(plane) == slow_boxes(plane)


def test_high_ids_and_those_below_zero():
    plane = np.zeros((30, 40), np.int32)
    plane[2:5, 3:9] = -1
    plane[10:12, 20:30] = 2_000_000_000
    plane[11, 31] = 7
    expected = {2_000_000_000: (10, 20, 12, 30), 7: (11, 31, 12, 32)}
    assert boxes_in(plane) == expected
    assert boxes_in(plane[9:], (9, 0)) == expected
    assert scan(plane).next_id == 2_000_000_001


def test_nothing_in_it():
    found = scan(np.zeros((0, 5, 5), np.uint8))
    assert (found.extents, found.next_id, found.records) == ({}, 1, ())
    assert boxes_in(np.zeros((0, 0), np.uint8)) == {}


def test_it_ends_when_nobody_wants_it(truth):
    asked = []

    def still_wanted():
        asked.append(True)
        return len(asked) < 3

    assert scan(truth, still_wanted) is None
    assert len(asked) == 3
