from dataclasses import asdict

import numpy as np
import pytest
import tifffile

from napari_sam.data import FOLDER
from napari_sam.live.labels.changes import Change, Patch, Refusal
from napari_sam.live.labels.scan import scan
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.values import Mark, ObjectRecord, PlaneMarks, Rule
from napari_sam.types import Mask, NapariSamError


def rectangle(y0, x0, y1, x1):
    return Mask((y0, x0, y1, x1), np.ones((y1 - y0, x1 - x0), bool), 0.9, 0.8)


def click(y, x):
    return (Mark("click", np.array([[y, x]], np.float32)),)


def added(store, index, box, **about):
    change = store.add(index, rectangle(*box), Rule.REPLACE, **about)
    return next(i for i in change.records_after if change.records_after[i])


def check(store):
    """Compare what was kept up with what a full look finds."""
    found = scan(store.labels)
    assert store.extents == found.extents
    assert store.records.keys() == found.extents.keys()
    assert all(number == record.id for number, record in store.records.items())
    assert store.next_id >= found.next_id


@pytest.fixture
def store():
    return LabelStore(np.zeros((3, 60, 70), np.uint16))


@pytest.fixture
def truth():
    """Labels of a time-lapse that somebody else made."""
    return tifffile.imread(FOLDER / "truth" / "nuclei_timelapse.tif")[:3]


@pytest.fixture
def proofread(truth):
    found = scan(truth)
    return LabelStore(
        truth, records=found.records, next_id=found.next_id, extents=found.extents
    )


def test_an_object_is_added_with_what_is_known_of_it(store):
    mask = Mask((5, 6, 20, 16), np.ones((15, 10), bool), 0.7, 0.6)
    prompts = (PlaneMarks((1,), click(10, 10)),)
    change = store.add((1,), mask, Rule.KEEP, score=0.7, model="p", prompts=prompts)
    assert change.what == "Add object 1"
    assert store.extents == {1: {(1,): (5, 6, 20, 16)}}
    assert np.count_nonzero(store.labels) == 150
    record = store.records[1]
    assert (record.score, record.model, record.prompts) == (0.7, "p", prompts)
    assert (change.records_before, change.records_after) == ({1: None}, {1: record})
    (patch,) = change.patches
    assert (patch.index, patch.box, change.indices) == ((1,), mask.box, {(1,)})
    assert not patch.before.any()
    assert (patch.after == 1).all()
    check(store)


def test_a_single_image_has_the_empty_index():
    store = LabelStore(np.zeros((30, 30), np.int32))
    store.add((), rectangle(2, 2, 9, 9), Rule.KEEP)
    assert (store.stack_shape, store.plane_shape) == ((), (30, 30))
    assert store.extents == {1: {(): (2, 2, 9, 9)}}
    assert store.at((), (8.9, 2)) == 1
    assert store.at((), (9, 2)) == 0


def test_what_is_where(store):
    added(store, (1,), (5, 6, 20, 16), score=0.25)
    mask = store.mask_of(1, (1,))
    assert (mask.box, mask.area, mask.score) == ((5, 6, 20, 16), 150, 0.25)
    assert store.mask_of(1, (0,)) is None
    assert store.mask_of(2, (1,)) is None
    assert store.at((1,), (5, 6)) == 1
    assert store.at((0,), (5, 6)) == 0
    for outside in ((-0.1, 5), (5, 70), (60, 5), (float("nan"), 5)):
        assert store.at((1,), outside) == 0


def test_what_lies_outside_the_plane_is_left_out(store):
    store.add((0,), rectangle(50, 60, 80, 90), Rule.KEEP)
    store.add((0,), rectangle(-5, -5, 5, 5), Rule.KEEP)
    assert store.extents[1] == {(0,): (50, 60, 60, 70)}
    assert store.extents[2] == {(0,): (0, 0, 5, 5)}
    for outside in (rectangle(70, 0, 80, 9), rectangle(-9, 3, 0, 9)):
        assert isinstance(store.add((0,), outside, Rule.KEEP), Refusal)
    empty = Mask.from_array(np.zeros((4, 4), bool))
    for rule in Rule:
        assert isinstance(store.add((0,), empty, rule), Refusal)
    check(store)


def test_existing_objects_keep_their_pixels(store):
    added(store, (0,), (0, 0, 20, 20))
    change = store.add((0,), rectangle(0, 10, 20, 40), Rule.KEEP)
    assert store.extents[2] == {(0,): (0, 20, 20, 40)}
    assert store.extents[1] == {(0,): (0, 0, 20, 20)}
    assert set(change.records_after) == {2}
    refused = store.add((0,), rectangle(1, 1, 9, 9), Rule.KEEP)
    assert "object 1" in refused.text
    assert store.next_id == 3


def test_a_new_object_takes_its_pixels_and_what_loses_all_loses_its_record(store):
    small = added(store, (0,), (5, 5, 9, 9))
    wide = added(store, (0,), (0, 20, 20, 60))
    also_elsewhere = added(store, (0,), (10, 5, 14, 9))
    added(store, (2,), (10, 5, 14, 9), object_id=also_elsewhere)
    record = store.records[small]
    change = store.add((0,), rectangle(0, 0, 20, 30), Rule.REPLACE)
    assert store.extents[wide] == {(0,): (0, 30, 20, 60)}
    assert store.extents[also_elsewhere] == {(2,): (10, 5, 14, 9)}
    assert store.records.keys() == {wide, also_elsewhere, 4}
    assert change.records_before == {small: record, 4: None}
    check(store)
    store.undo(change)
    assert store.records[small] is record
    check(store)
    assert added(store, (1,), (0, 0, 3, 3)) == 5


def test_only_background_refuses_what_lies_on_an_object(store):
    added(store, (0,), (0, 0, 20, 20))
    refused = store.add((0,), rectangle(0, 15, 20, 35), Rule.BACKGROUND)
    assert refused.text == "nothing was added: it lies on object 1"
    store.add((0,), rectangle(0, 19, 20, 39), Rule.BACKGROUND)
    assert store.extents[2] == {(0,): (0, 20, 20, 39)}
    check(store)


def test_refining_replaces_the_pixels_on_this_plane_only(store):
    first, second = PlaneMarks((0,), click(1, 1)), PlaneMarks((1,), click(2, 2))
    number = added(store, (0,), (5, 5, 25, 25), prompts=(first,), annotator="me")
    added(store, (1,), (5, 5, 25, 25), object_id=number, prompts=(second,))
    assert store.records[number].prompts == (first, second)
    again = PlaneMarks((0,), click(3, 3))
    change = store.add(
        (0,),
        rectangle(15, 15, 40, 40),
        Rule.BACKGROUND,
        object_id=number,
        prompts=(again,),
        score=0.5,
    )
    assert change.what == f"Change object {number}"
    assert store.extents[number] == {(0,): (15, 15, 40, 40), (1,): (5, 5, 25, 25)}
    record = store.records[number]
    assert (record.annotator, record.score) == ("me", 0.5)
    assert record.prompts == (second, again)
    check(store)
    store.undo(change)
    assert store.extents[number][(0,)] == (5, 5, 25, 25)


def test_a_handed_out_id_can_be_used_and_is_not_handed_out_again(store):
    number = store.free_id()
    assert added(store, (0,), (0, 0, 4, 4)) == number + 1
    assert added(store, (0,), (8, 8, 14, 14), object_id=number) == number
    assert added(store, (0,), (20, 20, 24, 24), object_id=40) == 40
    assert store.free_id() == 41
    check(store)


def test_ids_that_do_not_fit_are_refused():
    store = LabelStore(np.zeros((20, 20), np.uint8), next_id=255)
    assert added(store, (), (0, 0, 5, 12)) == 255
    refused = store.add((), rectangle(10, 10, 15, 15), Rule.KEEP)
    assert "255" in refused.text
    assert "new labels layer" in refused.text
    assert isinstance(store.split(255, ()), Refusal)
    assert store.next_id == 256
    check(store)


def test_deleting_leaves_a_gap(store):
    ids = [added(store, (0,), (y, y, y + 5, y + 5)) for y in (0, 10, 20)]
    added(store, (1,), (0, 0, 5, 5), object_id=ids[0])
    assert store.delete([ids[0]], index=(0,)).what == "Delete object 1"
    assert store.extents[ids[0]] == {(1,): (0, 0, 5, 5)}
    change = store.delete([ids[0], ids[2], 99, ids[2]])
    assert change.what == "Delete 2 objects"
    assert store.records.keys() == {ids[1]}
    assert store.delete([ids[0], 99]) is None
    assert store.delete([ids[1]], index=(2,)) is None
    assert store.delete([]) is None
    assert added(store, (0,), (0, 0, 4, 4)) == 4
    check(store)


def test_merging_keeps_the_first_clicked_and_the_marks_of_all(store):
    marks = [PlaneMarks((0,), click(y, y)) for y in (1, 12, 22)]
    elsewhere = PlaneMarks((2,), click(5, 5))
    a = added(store, (0,), (0, 0, 5, 5), prompts=(marks[0],), class_id=1)
    b = added(store, (0,), (10, 10, 15, 15), prompts=(marks[1],), class_id=2)
    c = added(store, (0,), (20, 20, 25, 25), prompts=(elsewhere, marks[2]))
    change = store.merge([b, a, c, 99])
    assert change.what == "Merge 3 objects"
    assert store.records.keys() == {b}
    assert store.extents[b] == {(0,): (0, 0, 25, 25)}
    together = {p.index: p.marks for p in store.records[b].prompts}
    expected = marks[1].marks + marks[0].marks + marks[2].marks
    assert together == {(0,): expected, (2,): elsewhere.marks}
    assert store.records[b].class_id == 2
    check(store)
    assert store.merge([b]) is None
    assert store.merge([b, b, 99]) is None
    store.undo(change)
    assert store.records.keys() == {a, b, c}
    check(store)


def test_splitting_gives_pieces_ids_of_their_own(store):
    number = added(store, (0,), (5, 5, 20, 20), class_id=3, score=0.5, reviewed=True)
    before = store.labels.copy()
    store.labels[0, 5:20, 10:12] = 0
    store.painted([((0,), (0, 0, 60, 70), before[0])])
    change = store.split(number, (0,))
    assert store.extents[number] == {(0,): (5, 12, 20, 20)}
    assert store.extents[number + 1] == {(0,): (5, 5, 20, 10)}
    part = store.records[number + 1]
    assert (part.class_id, part.reviewed, part.prompts) == (3, False, ())
    assert np.isnan(part.score)
    assert store.records[number].score == 0.5
    check(store)
    halves = store.split(number, (0,))
    assert len(halves.records_after) == 1
    store.undo(halves)
    store.undo(change)
    assert store.next_id == number + 3
    check(store)
    assert "not on this slice" in store.split(number, (2,)).text
    tiny = added(store, (2,), (5, 5, 6, 6))
    assert "too small" in store.split(tiny, (2,)).text


def test_filling_and_smoothing_change_nobody_else(store):
    ring = np.ones((20, 20), bool)
    ring[5:15, 5:15] = False
    store.add((0,), Mask((10, 10, 30, 30), ring, 1), Rule.KEEP)
    inner = added(store, (0,), (18, 18, 22, 22))
    change = store.fill(1, (0,))
    assert change.what == "Fill holes of object 1"
    assert np.count_nonzero(store.labels[0] == 1) == 400 - 16
    assert np.count_nonzero(store.labels[0] == inner) == 16
    assert store.fill(1, (0,)) is None
    assert store.fill(1, (1,)) is None
    beside = added(store, (0,), (10, 30, 30, 40))
    assert store.smooth(1, (0,)).what == "Smooth object 1"
    assert np.count_nonzero(store.labels[0] == beside) == 200
    assert np.count_nonzero(store.labels[0] == inner) == 16
    assert store.labels[0, 10, 10] == 0
    check(store)


def test_records_alone_are_changed(store):
    ids = [added(store, (0,), (y, y, y + 5, y + 5)) for y in (0, 10)]
    change = store.update([*ids, 99], reviewed=True, class_id=4)
    assert change.patches == ()
    assert all(record.reviewed for record in store.records.values())
    store.undo(change)
    assert not any(record.reviewed for record in store.records.values())
    store.redo(change)
    assert {record.class_id for record in store.records.values()} == {4}
    assert store.update([99], reviewed=True) is None


def test_what_a_person_painted_becomes_objects(store):
    number = added(store, (0,), (5, 5, 15, 15))
    before = store.labels.copy()
    store.labels[0, 5:10] = 0  # erased, the upper half
    store.labels[0, 30:40, 30:40] = 7  # new
    store.labels[1, 2:4, 2:4] = number
    boxes = [((0,), (0, 0, 60, 70)), ((1,), (0, 0, 10, 10))]
    change = store.painted(
        [(i, box, before[i][box[0] : box[2], box[1] : box[3]]) for i, box in boxes],
        annotator="me",
    )
    assert store.extents[number] == {(0,): (10, 5, 15, 15), (1,): (2, 2, 4, 4)}
    assert (store.records[7].source, store.records[7].annotator) == ("person", "me")
    assert store.records[number].annotator == ""
    assert store.next_id == 8
    check(store)
    after = store.labels.copy()
    store.undo(change)
    assert np.array_equal(store.labels, before)
    check(store)
    store.redo(change)
    assert np.array_equal(store.labels, after)
    check(store)
    assert store.painted([((0,), (0, 0, 60, 70), store.labels[0].copy())]) is None
    assert store.next_id == 8


def test_strokes_over_one_place_are_taken_back_together(store):
    """Each box has the pixels as they were in front of its own stroke."""
    before = []
    for number, x in ((3, 10), (4, 15), (3, 12)):
        box = (10, x, 20, x + 10)
        before.append(((0,), box, store.labels[0, 10:20, x : x + 10].copy()))
        store.labels[0, 10:20, x : x + 10] = number
    after = store.labels.copy()
    change = store.painted(before)
    check(store)
    store.undo(change)
    assert not store.labels.any()
    check(store)
    store.redo(change)
    assert np.array_equal(store.labels, after)
    check(store)


def test_erasing_everything_takes_the_record_and_undo_brings_it_back(store):
    number = added(store, (0,), (5, 5, 15, 15))
    record = store.records[number]
    before = store.labels[0].copy()
    store.labels[0] = 0
    change = store.painted([((0,), (0, 0, 60, 70), before)])
    assert not store.records
    store.undo(change)
    assert store.records == {number: record}


def test_undo_leaves_pixels_that_somebody_else_changed(store):
    """Another plugin may have written into the layer and told nobody."""
    mask = rectangle(5, 5, 25, 25)
    mask.data[8:12, 8:12] = False
    change = store.add((0,), mask, Rule.KEEP)
    store.labels[0, 14:16, 14:16] = 9
    store.undo(change)
    assert (store.labels[0, 14:16, 14:16] == 9).all()
    assert np.count_nonzero(store.labels) == 4


def test_untouched_objects_stay_as_they_were(proofread, truth):
    before = truth.copy()
    records = dict(proofread.records)
    first, second, *rest = proofread.extents
    proofread.delete([first])
    proofread.update([second], reviewed=True)
    proofread.smooth(second, next(iter(proofread.extents[second])))
    for number in rest:
        assert np.array_equal(truth == number, before == number)
        assert proofread.records[number] is records[number]
    check(proofread)


def test_adopted_objects_get_records_and_the_counter_goes_on(truth):
    found = scan(truth)
    known = ObjectRecord(int(truth.max()), annotator="me")
    gone = ObjectRecord(5000)
    store = LabelStore(truth, records=[known, gone], extents=found.extents)
    assert store.records[known.id] is known
    assert store.records.keys() == found.extents.keys()
    assert {r.source for i, r in store.records.items() if i != known.id} == {"import"}
    # 5000 had been an object once.
    assert store.next_id == 5001
    assert LabelStore(truth, extents=found.extents, next_id=900).next_id == 900


def test_labels_that_hold_no_objects_are_refused():
    with pytest.raises(NapariSamError, match="whole numbers"):
        LabelStore(np.zeros((5, 5)))
    with pytest.raises(NapariSamError, match="whole numbers"):
        LabelStore(np.zeros((5, 5), bool))
    with pytest.raises(NapariSamError, match="two axes"):
        LabelStore(np.zeros(5, int))
    fixed = np.zeros((5, 5), int)
    fixed.flags.writeable = False
    with pytest.raises(NapariSamError, match="only be read"):
        LabelStore(fixed)


@pytest.mark.parametrize("index", [(), (3,), (-1,), (0, 0)])
def test_planes_that_there_are_not_are_refused(store, index):
    with pytest.raises(NapariSamError, match="no plane"):
        store.add(index, rectangle(0, 0, 5, 5), Rule.KEEP)
    assert not store.labels.any()


def test_values_below_zero_belong_to_nobody_and_are_kept():
    labels = np.zeros((20, 20), np.int32)
    labels[:, 10:] = -1
    store = LabelStore(labels, extents=scan(labels).extents)
    store.add((), rectangle(5, 5, 15, 15), Rule.KEEP)
    assert store.extents == {1: {(): (5, 5, 15, 10)}}
    assert (labels[:, 10:] == -1).all()
    assert store.at((), (5, 15)) == 0


def test_views_cannot_be_written_and_a_snapshot_stays(store):
    number = added(store, (0,), (0, 0, 5, 5))
    with pytest.raises(TypeError):
        store.records[3] = store.records[number]
    with pytest.raises(TypeError):
        store.extents[3] = {}
    taken = store.snapshot()
    added(store, (1,), (0, 0, 5, 5), object_id=number)
    store.delete([number])
    assert taken.extents == {number: {(0,): (0, 0, 5, 5)}}
    assert [record.id for record in taken.records] == [number]
    assert taken.next_id == 2


def test_a_change_can_be_turned_round(store):
    a = added(store, (0,), (0, 0, 9, 9))
    change = store.add((0,), rectangle(5, 5, 15, 15), Rule.REPLACE)
    back = change.reverse()
    assert back.what == "Undo: Add object 2"
    store.redo(back)
    assert store.records.keys() == {a}
    assert store.extents[a] == {(0,): (0, 0, 9, 9)}
    store.undo(back)
    assert store.extents[2] == {(0,): (5, 5, 15, 15)}
    check(store)


def test_patches_keep_copies_that_cannot_be_written():
    before = np.zeros((200, 300), np.uint32)
    after = before.copy()
    after[50:100] = 70_000
    patch = Patch((4, 2), (10, 20, 210, 320), before, after)
    expected = after.copy()
    after[:] = 1
    assert np.array_equal(patch.after, expected)
    assert patch.after.dtype == np.uint32
    assert np.array_equal(patch.reverse().before, expected)
    assert patch.nbytes < 0.05 * 2 * before.nbytes
    with pytest.raises(ValueError, match="read-only"):
        patch.after[0, 0] = 1
    noise = np.random.default_rng(0).integers(0, 9, (5, 6), np.uint8)
    small = Patch((), (0, 0, 5, 6), noise, noise.T.copy().reshape(5, 6))
    assert np.array_equal(small.before, noise)
    with pytest.raises(ValueError, match="shape"):
        Patch((), (0, 0, 5, 6), noise[:4], noise[:4])


def test_a_change_knows_about_how_much_it_keeps():
    vertices = np.zeros((1000, 2), np.float32)
    record = ObjectRecord(1, prompts=(PlaneMarks((), (Mark("polygon", vertices),)),))
    pixels = np.random.default_rng(0).integers(0, 255, (60, 60), np.uint8)
    patch = Patch((), (0, 0, 60, 60), pixels, pixels)
    change = Change((patch,), {1: None}, {1: record}, "Add object 1")
    assert 2 * 3600 + 8000 < change.nbytes < 2 * 3600 + 8000 + 2000
    assert asdict(Refusal("no")) == {"text": "no"}
