import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_sam import data
from napari_sam.segment import StackLinker
from napari_sam.types import NapariSamError


def bar(*spans, width=40):
    """One row of a plane: object k covers the k-th span."""
    plane = np.zeros((4, width), np.uint32)
    for number, (start, stop) in enumerate(spans, 1):
        plane[:, start:stop] = number
    return plane


def linked(planes, axes="Z", **options):
    linker = StackLinker(axes, **options)
    return [linker.add((i,), plane).ids[1:].tolist() for i, plane in enumerate(planes)]


def test_an_object_keeps_its_id():
    planes = [bar((0, 10), (20, 30)), bar((21, 31), (1, 11)), bar((2, 12), (22, 32))]
    assert linked(planes) == [[1, 2], [2, 1], [1, 2]]


def test_a_new_object_gets_the_next_id():
    planes = [bar((0, 10)), bar((0, 10), (20, 30)), bar((20, 30)), bar((33, 39))]
    assert linked(planes) == [[1], [1, 2], [2], [3]]


def test_a_gap_of_two_planes_is_bridged_and_one_of_three_is_not():
    there, gone = bar((0, 10)), bar()
    assert linked([there, gone, there]) == [[1], [], [1]]
    assert linked([there, gone, gone, there]) == [[1], [], [], [1]]
    assert linked([there, gone, gone, gone, there]) == [[1], [], [], [], [2]]


def test_the_neighbouring_plane_comes_before_the_gap():
    planes = [bar((0, 10)), bar((6, 16)), bar((0, 10), (8, 18))]
    first, second, third = linked(planes, min_iou=0.2)
    assert (first, second) == ([1], [1])
    assert third == [2, 1]


def test_an_id_is_taken_up_once_when_an_object_splits():
    assert linked([bar((0, 20)), bar((0, 12), (13, 20))]) == [[1], [1, 2]]


def test_the_best_assignment_beats_the_best_pair():
    # 1 overlaps the first object most, but then 2 and the second are left alone.
    planes = [bar((0, 10), (10, 22)), bar((3, 15), (0, 3))]
    assert linked(planes) == [[1, 2], [2, 1]]


def test_too_little_overlap_is_another_object():
    assert linked([bar((0, 10)), bar((9, 19))], min_iou=0.1) == [[1], [2]]


def test_a_plane_that_was_left_out_counts_as_empty():
    linker = StackLinker("Z")
    assert linker.add((0,), bar((0, 10))).ids.tolist() == [0, 1]
    assert linker.add((2,), bar((0, 10))).ids.tolist() == [0, 1]
    assert linker.add((5,), bar((0, 10))).ids.tolist() == [0, 1]
    assert linker.add((9,), bar((0, 10))).ids.tolist() == [0, 2]


def test_through_z_every_time_point_starts_anew():
    linker = StackLinker("TZ")
    plane = bar((0, 10), (20, 30))
    ids = {
        index: linker.add(index, plane).ids.tolist() for index in linker.order((2, 2))
    }
    assert linker.axis == "Z"
    assert ids == {
        (0, 0): [0, 1, 2],
        (0, 1): [0, 1, 2],
        (1, 0): [0, 3, 4],
        (1, 1): [0, 3, 4],
    }


def test_the_linked_axis_runs_fastest_wherever_it_is():
    linker = StackLinker("ZT")
    assert list(linker.order((2, 3))) == [
        (0, 0),
        (1, 0),
        (0, 1),
        (1, 1),
        (0, 2),
        (1, 2),
    ]
    assert list(StackLinker("ZT", "none").order((2, 2))) == list(np.ndindex(2, 2))
    assert list(StackLinker("").order(())) == [()]


@pytest.mark.parametrize(
    ("axes", "link", "axis", "words"),
    [
        ("Z", "stack", "Z", "one id through z"),
        ("T", "stack", "T", "one id through time"),
        ("TZ", "stack", "Z", "through z within each time point"),
        ("", "stack", None, "neither a Z nor a T axis"),
        ("TZ", "none", None, "not linked"),
    ],
)
def test_says_what_it_follows(axes, link, axis, words):
    linker = StackLinker(axes, link)
    assert linker.axis == axis
    assert words in linker.describe()


def test_without_linking_ids_are_unique_and_in_order():
    planes = [bar((0, 10), (20, 30)), bar((0, 10)), bar(), bar((0, 10))]
    assert linked(planes, link="none") == [[1, 2], [3], [], [4]]
    assert linked(planes, axes="Q") == [[1, 2], [3], [], [4]]


def test_planes_out_of_order_are_refused():
    linker = StackLinker("Z")
    linker.add((1,), bar((0, 10)))
    with pytest.raises(NapariSamError, match="order"):
        linker.add((1,), bar((0, 10)))
    with pytest.raises(NapariSamError, match="does not fit the stack axes"):
        linker.add((0, 1), bar((0, 10)))


def test_planes_of_different_sizes_are_refused():
    linker = StackLinker("T")
    linker.add((0,), bar((0, 10)))
    with pytest.raises(NapariSamError, match="one size"):
        linker.add((1,), bar((0, 10), width=41))


stacks = arrays(np.uint8, (4, 5, 6), elements=st.integers(0, 3))


def dense(plane):
    """Make the ids of a plane 1..n."""
    ids, labels = np.unique(plane, return_inverse=True)
    return (labels + (ids[0] != 0)).reshape(plane.shape).astype(np.uint32)


@settings(deadline=None)
@given(stacks, st.sampled_from(["none", "stack"]))
def test_ids_are_unique_on_a_plane_and_counted_without_gaps(stack, link):
    linker = StackLinker("Z", link)
    used: set[int] = set()
    for z, plane in enumerate(stack):
        ids = linker.add((z,), dense(plane)).ids.tolist()
        assert ids[0] == 0
        assert len(set(ids)) == len(ids)
        new = sorted(set(ids[1:]) - used)
        assert new == list(range(len(used) + 1, len(used) + 1 + len(new)))
        used |= set(new)
    assert linker.next_id == len(used) + 1


def test_the_order_of_plane_ids_does_not_change_who_is_whom():
    truth = tifffile.imread(data.FOLDER / "truth" / "plant_nuclei_3d.tif")
    rng = np.random.default_rng(0)
    plain, shuffled = StackLinker("Z"), StackLinker("Z")
    pairs: dict[int, int] = {}
    for z, plane in enumerate(truth):
        labels = dense(plane)
        one = plain.add((z,), labels).ids
        order = np.append(0, rng.permutation(labels.max()) + 1)
        other = shuffled.add((z,), order[labels].astype(np.uint32)).ids[order]
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            assert pairs.setdefault(a, b) == b
    assert len(set(pairs.values())) == len(pairs)


def test_real_nuclei_stay_whole_through_z():
    truth = tifffile.imread(data.FOLDER / "truth" / "plant_nuclei_3d.tif")
    linker = StackLinker("Z")
    stack = np.stack(
        [linker.add((z,), dense(p)).ids[dense(p)] for z, p in enumerate(truth)]
    )
    ids = [np.unique(stack[truth == i]) for i in np.unique(truth[truth > 0])]
    assert np.mean([len(found) == 1 for found in ids]) > 0.7


def flags(planes):
    linker = StackLinker("Z")
    linked = [linker.add((i,), plane) for i, plane in enumerate(planes)]
    return [one.flags[1:].tolist() for one in linked]


def test_splits_merges_and_gaps_are_flagged():
    one, two = bar((0, 20)), bar((0, 9), (11, 20))
    assert flags([one, two]) == [[""], ["split", "split"]]
    assert flags([two, one]) == [["", ""], ["merge"]]
    assert flags([one, bar(), one]) == [[""], [], ["gap"]]
    assert flags([one, one, bar((12, 32))]) == [[""], [""], [""]]
    assert flags([bar((0, 10), (10, 20)), bar((0, 10), (10, 20))])[1] == ["", ""]


def test_objects_that_are_not_linked_have_no_flags():
    linked = StackLinker("Z", "none").add((0,), bar((0, 10)))
    assert linked.flags is None


@pytest.mark.parametrize(
    ("axes", "axis", "words"),
    [("T", None, "through time, and divide"), ("TZ", "Z", "through z, then")],
)
def test_through_time_z_comes_first(axes, axis, words):
    linker = StackLinker(axes, "time")
    assert linker.axis == axis
    assert words in linker.describe()
