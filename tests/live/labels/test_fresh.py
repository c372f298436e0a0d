"""Many new objects taken back and done again at once, on nuclei that people outlined.

It must be as if they were taken one at a time: `one_by_one` is that.
"""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from napari_sam.data import FOLDER
from napari_sam.live.labels.changes import joined
from napari_sam.live.labels.fresh import put_fresh
from napari_sam.live.labels.scan import scan
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.values import Rule
from napari_sam.types import Mask


@pytest.fixture(scope="module")
def truth():
    return tifffile.imread(FOLDER / "truth" / "fluorescence.tif")


@pytest.fixture(scope="module")
def nuclei(truth):
    found = []
    for number, where in enumerate(ndimage.find_objects(truth), 1):
        if where is not None:
            rows, columns = where
            box = (rows.start, columns.start, rows.stop, columns.stop)
            found.append(Mask(box, truth[where] == number, 0.9))
    assert len(found) > 10
    return found


@pytest.fixture
def store(truth):
    return LabelStore(np.zeros((2, *truth.shape), np.int32))


def add(store, index, masks, rule=Rule.KEEP):
    change, _ = store.add_all(index, [(mask, {"class_id": 2}) for mask in masks], rule)
    return change


def added(store, nuclei):
    """Return several edits, as they come while objects are searched for."""
    return [
        add(store, (0,), nuclei[:4]),
        add(store, (0,), nuclei[4:9]),
        add(store, (1,), nuclei[2:6]),
        add(store, (0,), nuclei[9:10]),
        add(store, (0,), nuclei[10:]),
    ]


def reverse_of(changes):
    return [change.reverse() for change in reversed(changes)]


def copied(store):
    return LabelStore(
        store.labels.copy(),
        records=store.records.values(),
        next_id=store.next_id,
        extents=store.extents,
    )


def one_by_one(store, changes):
    for change in changes:
        store.redo(replace(change, fresh=None))


def both_ways(store, changes):
    """Do edits at once, and one at a time on a copy; they must not differ."""
    other = copied(store)
    store.redo_all(changes)
    one_by_one(other, changes)
    assert_same(store, other)


def assert_same(store, other):
    assert np.array_equal(store.labels, other.labels)
    assert dict(store.records) == dict(other.records)
    assert dict(store.extents) == dict(other.extents)
    assert store.next_id == other.next_id
    assert dict(store.extents) == dict(scan(store.labels).extents)
    assert store.records.keys() == store.extents.keys()


def test_all_at_once_is_the_same_as_one_at_a_time(store, nuclei):
    changes = added(store, nuclei)
    assert sum(change.fresh is not None for change in changes) == 4
    full, next_id = store.labels.copy(), store.next_id
    both_ways(store, reverse_of(changes))
    assert not store.labels.any()
    both_ways(store, changes)
    assert np.array_equal(store.labels, full)
    assert store.next_id == next_id
    assert {record.class_id for record in store.records.values()} == {2}


def test_it_is_really_done_at_once_unless_somebody_painted(store, nuclei):
    change = add(store, (0,), nuclei)

    def at_once(change):
        step = change.fresh, change.records_after
        return put_fresh(store.labels, store._extents, store._records, [step])

    for _ in range(2):
        assert at_once(change.reverse())
        assert not store.labels.any()
        assert not store.extents
        assert not store.records
        assert at_once(change)
        assert dict(store.extents) == dict(scan(store.labels).extents)
    y, x = np.argwhere(store.labels[0] == 3)[0]
    painted(store, y, x, 900)
    full = store.labels.copy()
    assert not at_once(change.reverse())
    assert np.array_equal(store.labels, full)


def test_objects_that_took_pixels_of_others_are_not_fresh(store, nuclei):
    before = add(store, (0,), nuclei[:3])
    moved = [replace(mask, box=tuple(n + 2 for n in mask.box)) for mask in nuclei[:3]]
    over = add(store, (0,), moved, Rule.REPLACE)
    assert before.fresh is not None
    assert over.fresh is None
    both_ways(store, reverse_of([before, over]))
    assert not store.labels.any()
    both_ways(store, [before, over])


def painted(store, y, x, number):
    """Paint one pixel of the first plane as a brush does."""
    box = (y, x, y + 1, x + 1)
    old = store.labels[0, y : y + 1, x : x + 1].copy()
    store.labels[0, y, x] = number
    assert store.painted([((0,), box, old)])


def test_a_pixel_that_another_object_got_in_between_stays_its(store, nuclei):
    changes = added(store, nuclei)
    ys, xs = np.nonzero(store.labels[0] == 3)
    middle = len(ys) // 2
    painted(store, ys[middle], xs[middle], 900)
    both_ways(store, reverse_of(changes))


def test_a_pixel_that_an_object_got_outside_its_box_stays(store, nuclei):
    changes = added(store, nuclei)
    y, x = np.argwhere(store.labels[0] == 0)[0]
    painted(store, y, x, 5)
    both_ways(store, reverse_of(changes))
    assert store.labels[0, y, x] == 5


def test_a_pixel_that_an_object_got_inside_its_box_stays(store, nuclei):
    changes = added(store, nuclei)
    number, (y, x) = next(
        (n, corner)
        for n, on in store.extents.items()
        if (0,) in on and store.labels[0][corner := on[0,][:2]] == 0
    )
    painted(store, y, x, number)
    both_ways(store, reverse_of(changes))
    assert store.labels[0, y, x] == number


def test_what_was_painted_where_they_were_stays_when_they_come_back(store, nuclei):
    changes = added(store, nuclei)
    y, x = np.argwhere(store.labels[0] == 3)[0]
    store.redo_all(reverse_of(changes))
    painted(store, y, x, 900)
    both_ways(store, changes)


def test_edits_as_one_tell_the_same_planes_boxes_and_records(store, nuclei):
    changes = added(store, nuclei)
    whole = joined(changes)
    assert whole.indices == {(0,), (1,)}
    assert whole.records_after == dict(store.records)
    full = store.labels.copy()
    one_by_one(store, reverse_of(changes))
    one_by_one(store, [whole])
    assert np.array_equal(store.labels, full)
    one_by_one(store, [whole.reverse()])
    assert not store.labels.any()
    again = whole.reverse().reverse()
    assert [patch.box for patch in again.patches] == [p.box for p in whole.patches]
    assert again.patches[0].box == whole.patches[0].box
    assert len(again.patches) == len(whole.patches)
    boxes = {index: sorted(of) for index, of in whole.reverse().boxes.items()}
    assert boxes == {index: sorted(of) for index, of in whole.boxes.items()}
