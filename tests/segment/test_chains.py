import numpy as np
import pytest
from skimage.draw import disk

from napari_sam.segment import StackLinker
from napari_sam.segment.chains import tidy

SHAPE = (48, 48)


def plane(*discs):
    """Disc k is (y, x, radius)."""
    labels = np.zeros(SHAPE, np.uint32)
    for number, (y, x, radius) in enumerate(discs, 1):
        labels[disk((y, x), radius, shape=SHAPE)] = number
    return labels


def tidied(planes, **options):
    linker = StackLinker("Z")
    linked = {(z,): linker.add((z,), labels) for z, labels in enumerate(planes)}
    ends = frozenset({(0,), (len(planes) - 1,)})
    done = tidy(linked, linker.next_id, ends=ends, **options)
    return [done.linked[z,].ids[1:].tolist() for z in range(len(planes))], done


def test_two_nuclei_above_each_other_are_cut_apart():
    upper, lower = (20, 20, 10), (27, 27, 10)
    empty = plane()
    ids, done = tidied([empty, *[plane(upper)] * 6, *[plane(lower)] * 6, empty])
    assert ids == [[], *[[1]] * 6, *[[2]] * 6, []]
    assert (done.cut, done.left_out, done.next_id) == (1, 0, 3)
    assert done.linked[7,].flags[1] == "cut"
    assert np.isnan(done.linked[7,].iou[1])


def test_the_cap_of_a_nucleus_stays_with_it():
    # The last outline shares little with the one before, but it is no object.
    radii = [3, 9, 10, 10, 10, 10, 10, 9, 3]
    ids, done = tidied([plane(), *[plane((20, 20, r)) for r in radii], plane()])
    assert ids == [[], *[[1]] * 9, []]
    assert done.cut == 0


def test_a_speck_is_left_out_and_what_reaches_the_end_is_not():
    nucleus, speck, cut_off = (14, 14, 9), (36, 36, 4), (36, 12, 4)
    planes = [plane(nucleus)] * 12
    planes[5] = plane(nucleus, speck)
    planes[11] = plane(nucleus, cut_off)
    ids, done = tidied(planes)
    assert (done.usual, done.least, done.left_out) == (12, 3, 1)
    assert ids[5] == [1, 0]
    assert ids[11] == [1, 3]
    kept, done = tidied(planes, min_planes=1)
    assert kept[5] == [1, 2]
    assert done.left_out == 0


def test_a_number_of_planes_that_is_given_counts():
    planes = [plane(), *[plane((20, 20, 8))] * 4, plane()]
    assert tidied(planes, min_planes=5)[0] == [[]] * 1 + [[0]] * 4 + [[]]
    assert tidied(planes, min_planes=4)[0] == [[], *[[1]] * 4, []]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_nothing_happens_where_all_objects_are_short(count):
    # The planes lie far apart: nobody can tell a speck from an object.
    planes = [
        plane(),
        *[plane((20, 20, 8))] * count,
        plane(),
        plane((9, 40, 5)),
        plane(),
    ]
    _, done = tidied(planes)
    assert (done.least, done.left_out, done.cut) == (1, 0, 0)


def test_no_objects_at_all():
    ids, done = tidied([plane(), plane()])
    assert ids == [[], []]
    assert (done.usual, done.next_id) == (0, 1)


def test_what_was_linked_before_stays_as_it_was():
    linker = StackLinker("Z")
    planes = [plane(), *[plane((20, 20, 10))] * 4, *[plane((27, 27, 10))] * 4, plane()]
    linked = {(z,): linker.add((z,), labels) for z, labels in enumerate(planes)}
    before = [one.ids.copy() for one in linked.values()]
    assert tidy(linked, linker.next_id, ends=frozenset()).cut == 1
    for old, one in zip(before, linked.values(), strict=True):
        np.testing.assert_array_equal(old, one.ids)
        assert not one.flags[0]
        assert "cut" not in one.flags.tolist()
