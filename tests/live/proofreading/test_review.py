import numpy as np
import pytest
import tifffile

from napari_sam import load_model
from napari_sam.data import FOLDER
from napari_sam.live.labels.scan import scan
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.proofreading.agreement import agreements
from napari_sam.live.proofreading.doubts import (
    BORDER,
    JUMP,
    LARGE,
    LOW,
    MODEL,
    SMALL,
    Criteria,
    Opinion,
    measure,
    rank,
)
from napari_sam.live.proofreading.review import Review
from napari_sam.live.values import ObjectRecord, Rule
from napari_sam.types import Mask

IMAGES = ("fluorescence", "phase_contrast")


def read(folder, name):
    return tifffile.imread(FOLDER / folder / f"{name}.tif")


def opened(labels, records=None):
    found = scan(labels)
    return LabelStore(
        labels,
        records=found.records if records is None else records,
        next_id=found.next_id,
        extents=found.extents,
    )


def begun(store, criteria=Criteria(), known=None):  # noqa: B008
    review = Review(store)
    snapshot = review.snapshot()
    sizes = measure(store.labels, snapshot)
    review.begin(rank(sizes, snapshot.records, criteria, known))
    return review


def walked(review):
    """Every doubtful object once, in the order in which a person meets them."""
    return [review.next() for _ in range(review.doubtful)]


@pytest.fixture
def labels():
    """Nuclei that a person outlined, in a stack of two planes."""
    truth = read("truth", "fluorescence").astype(np.uint32)
    return np.stack([truth, np.zeros_like(truth)])


@pytest.fixture
def inner(labels):
    """Ids of objects that do not touch the border, the largest first."""
    plane = labels[0]
    edge = np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]])
    ids, areas = np.unique(plane, return_counts=True)
    order = ids[np.argsort(-areas)]
    return [int(i) for i in order if i > 0 and i not in edge]


def stack_of(*radii):
    """Return an object that has these radii on one slice after the other."""
    rows, columns = np.ogrid[:60, :60]
    disks = [(rows - 30) ** 2 + (columns - 30) ** 2 <= r**2 for r in radii]
    return np.array(disks).astype(np.uint32)


def test_one_that_runs_into_its_neighbour_is_doubtful_where_it_does():
    labels = stack_of(3, 8, 10, 10, 10, 18, 18, 10)
    store = opened(labels, [ObjectRecord(1, source="propagation")])
    (doubt,) = walked(begun(store))
    assert doubt.reasons == (JUMP,)
    assert doubt.index in ((5,), (6,))
    y0, x0, y1, x1 = doubt.box
    assert (y1 - y0, x1 - x0) == (37, 37)
    # Put right, it is not any more.
    review = begun(store)
    for z in (5, 6):
        mask = Mask.from_array(labels[4] == 1)
        review.follow(store.add((z,), mask, Rule.KEEP, object_id=1))
    assert not review.doubtful


def test_one_that_loses_half_of_itself_is_doubtful_too():
    labels = stack_of(9, 9, 9, 9, 9)
    labels[3:, :30] = 0
    store = opened(labels, [ObjectRecord(1, source="propagation")])
    (doubt,) = walked(begun(store))
    assert doubt.text == JUMP
    assert doubt.index == (2,)


def test_true_nuclei_do_not_jump_and_only_followed_ones_are_doubted_for_it():
    truth = read("truth", "plant_nuclei_3d").astype(np.uint32)
    sizes = measure(truth, scan(truth))
    assert len(sizes) > 40
    assert not [
        n for n, s in sizes.items() if s.jump > Criteria().jump and not s.at_border
    ]
    labels = stack_of(10, 10, 18, 10)
    for source in ("detector", "import"):
        store = opened(labels, [ObjectRecord(1, source=source)])
        assert not walked(begun(store))


def test_jumps_are_looked_for_along_every_axis_and_not_over_gaps():
    film = np.zeros((2, 3, 60, 60), np.uint32)
    film[0, 0], film[1, 0], film[1, 2] = stack_of(8, 12, 8)
    (size,) = measure(film, scan(film)).values()
    small, large = (int((film[at, 0] > 0).sum()) for at in (0, 1))
    assert size.jump == large / small
    assert size.jump_at[0] == (1, 0)
    film[0, 0] = 0
    (size,) = measure(film, scan(film)).values()
    assert (size.jump, size.jump_at) == (1.0, None)


def test_low_confidence_comes_first_lowest_first(labels, inner):
    scores = {inner[3]: 0.5, inner[4]: 0.2, inner[5]: 0.69, inner[6]: 0.7}
    records = [ObjectRecord(n, source="detector", score=s) for n, s in scores.items()]
    criteria = Criteria(border=False, sizes=99)
    review = begun(opened(labels, records), criteria)
    doubts = walked(review)
    assert [doubt.id for doubt in doubts] == [inner[4], inner[3], inner[5]]
    assert doubts[0].text == f"{LOW} (0.20)"
    y0, x0, y1, x1 = doubts[0].box
    assert doubts[0].index == (0,)
    assert (labels[0][y0:y1, x0:x1] == inner[4]).any()


def test_what_is_far_larger_or_smaller_than_the_others_is_unusual(labels, inner):
    plane = labels[0]
    speck, giant = inner[4], inner[0]
    y, x = np.argwhere(plane == speck)[0]
    plane[plane == speck] = 0
    plane[y : y + 2, x : x + 2] = speck
    plane[(np.isin(plane, inner[1:4]))] = giant
    yy, xx = np.mgrid[: plane.shape[0], : plane.shape[1]]
    my, mx = np.argwhere(plane == giant).mean(0)
    around = np.hypot(yy - my, xx - mx) < 60
    plane[around & (plane == 0)] = giant
    found = {
        d.id: d.text for d in walked(begun(opened(labels), Criteria(border=False)))
    }
    assert found[speck] == SMALL
    assert found[giant] == LARGE
    assert len(found) < 6


def test_of_a_few_objects_no_size_is_unusual(labels, inner):
    labels[~np.isin(labels, [inner[0], inner[-1]])] = 0
    labels[labels == inner[-1]] = 0
    assert walked(begun(opened(labels), Criteria(border=False))) == []


def test_objects_of_other_classes_have_other_sizes():
    labels = np.zeros((120, 400), np.uint16)
    for i in range(10):
        labels[10:14, 10 + 30 * i : 14 + 30 * i] = i + 1
        labels[50:72, 10 + 30 * i : 32 + 30 * i] = i + 11
    labels[90:94, 10:14] = 21
    classes = {n: 1 + (n > 10) for n in range(1, 22)}
    records = [ObjectRecord(n, class_id=c, source="import") for n, c in classes.items()]
    assert [d.id for d in walked(begun(opened(labels, records)))] == [21]


def test_the_border_cuts_objects_and_explains_small_ones(labels):
    doubts = walked(begun(opened(labels)))
    cut = {doubt.id for doubt in doubts if BORDER in doubt.reasons}
    plane = labels[0]
    edge = np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]])
    assert cut == {int(i) for i in np.unique(edge) if i}
    assert not any(SMALL in d.reasons for d in doubts if d.id in cut)


def test_the_largest_plane_of_an_object_is_shown(labels, inner):
    number = inner[2]
    labels[1][labels[0] == number] = number
    mask = np.argwhere(labels[0] == number)
    labels[0][tuple(mask[: len(mask) // 2].T)] = 0
    records = [ObjectRecord(number, source="detector", score=0.1)]
    doubt = begun(opened(labels, records), Criteria(border=False)).next()
    assert (doubt.id, doubt.index) == (number, (1,))


def test_next_and_previous_go_round(labels):
    review = begun(opened(labels))
    assert review.current is None
    first, second = review.next(), review.next()
    assert review.current == second != first
    assert review.previous() == first
    last = review.previous()
    assert review.next() == first and last != first
    assert Review(opened(np.zeros((9, 9), np.uint8))).next() is None


def test_accepting_changes_records_and_no_pixel(labels):
    before = labels.copy()
    store = opened(labels)
    review = begun(store)
    waiting, total = review.doubtful, len(store.records)
    assert review.text == f"0 of {total} reviewed"
    first, second = walked(review)[:2]
    review.next()
    assert review.current == first
    change = review.accept()
    assert store.records[first.id].reviewed and not change.patches
    assert review.current is None and review.doubtful == waiting - 1
    assert review.text == f"1 of {total} reviewed"
    assert review.next() == second
    assert np.array_equal(labels, before)
    store.undo(change)
    review.follow(change)
    assert review.doubtful == waiting and review.reviewed == 0
    store.redo(change)
    review.follow(change)
    assert review.doubtful == waiting - 1 and review.reviewed == 1


def test_deleting_touches_one_object_only(labels):
    before = labels.copy()
    store = opened(labels)
    review = begun(store)
    doubt = review.next()
    change = review.delete()
    others = before != doubt.id
    assert np.array_equal(labels[others], before[others])
    assert not labels[~others].any()
    assert review.doubt_about(doubt.id) is None and review.current is None
    store.undo(change)
    review.follow(change)
    assert np.array_equal(labels, before)
    assert review.current == doubt


def test_without_an_object_nothing_is_done(labels):
    review = begun(opened(labels))
    assert review.accept() is None and review.delete() is None
    assert review.accept(10**6) is None
    assert review.text.startswith("0 of")


def test_any_object_can_be_accepted_also_one_that_is_not_doubtful(labels, inner):
    review = begun(opened(labels), Criteria(border=False))
    calm = next(n for n in inner if review.doubt_about(n) is None)
    waiting = review.doubtful
    review.accept(calm)
    assert (review.reviewed, review.doubtful) == (1, waiting)


def test_an_object_that_a_person_outlined_counts_as_reviewed(labels, inner):
    store = opened(labels)
    review = begun(store)
    mask = Mask.from_array(np.ones((3, 3), bool), (0, 0), score=0.01)
    for rule in (Rule.REPLACE, Rule.KEEP):
        change = store.add((1,), mask, rule, source="detector", score=0.01)
        if rule is Rule.REPLACE:
            review.follow(change)
            number = next(iter(change.records_after))
            assert LOW in review.doubt_about(number).text
            change = store.add(
                (1,), mask, rule, object_id=number, source="person", score=0.01
            )
            review.follow(change)
            assert review.doubt_about(number) is None and review.reviewed == 1


def test_an_edit_that_takes_pixels_from_a_neighbour_is_followed(labels, inner):
    store = opened(labels)
    review = begun(store, Criteria(border=False))
    victim = next(n for n in inner if review.doubt_about(n) is None)
    changes = []
    for _ in range(6):  # never more than half of it, else all of it would go
        mask = store.mask_of(victim, (0,))
        rows, columns = (at[: mask.area * 2 // 5] for at in np.nonzero(mask.data))
        data = np.zeros_like(mask.data)
        data[rows, columns] = True
        changes.append(store.add((0,), Mask(mask.box, data, 1.0), Rule.REPLACE))
        review.follow(changes[-1])
    assert SMALL in review.doubt_about(victim).reasons
    for change in reversed(changes):
        store.undo(change)
        review.follow(change)
    assert review.doubt_about(victim) is None


def test_edits_while_it_is_measured_are_not_missed(labels):
    expected = begun(opened(labels.copy()))
    gone, accepted = (doubt.id for doubt in walked(expected)[:2])
    store = opened(labels)
    review = Review(store)
    assert not review.ready
    snapshot = review.snapshot()
    sizes = measure(store.labels, snapshot)
    review.follow(store.delete([gone]))
    review.follow(store.update([accepted], reviewed=True))
    review.begin(rank(sizes, snapshot.records))
    assert review.ready
    assert review.doubtful == expected.doubtful - 2
    assert {gone, accepted}.isdisjoint(doubt.id for doubt in walked(review))
    assert review.text == f"1 of {len(store.records)} reviewed"


def test_after_many_edits_the_queue_is_what_a_new_one_would_be(labels):
    store = opened(labels)
    review = begun(store)
    rng = np.random.default_rng(0)
    done = []
    for _ in range(60):
        ids = [int(i) for i in rng.choice(list(store.records), 2, replace=False)]
        what = rng.integers(5)
        if what == 0:
            change = store.delete(ids[:1])
        elif what == 1:
            change = store.merge(ids)
        elif what == 2:
            change = store.split(ids[0], (0,))
        elif what == 3:
            change = review.accept(ids[0])
        else:
            change = done.pop() if done else None
            if change is not None:
                store.undo(change)
                review.follow(change)
                continue
        if hasattr(change, "patches"):
            review.follow(change)
            done.append(change)
    fresh = Review(store)
    snapshot = fresh.snapshot()
    fresh.begin(rank(measure(store.labels, snapshot), snapshot.records))
    assert review.sizes == fresh.sizes
    assert review.text == fresh.text


def test_other_criteria_need_no_measuring(labels):
    store = opened(labels)
    review = begun(store)
    assert review.doubtful
    records = store.snapshot().records
    strict = Criteria(border=False, sizes=99)
    review.begin(rank(review.sizes, records, strict, review.opinions))
    assert review.doubtful == 0 and review.criteria == strict


def test_measuring_ends_when_it_is_not_wanted(labels):
    store = opened(labels)
    assert measure(labels, store.snapshot(), lambda: False) is None


def test_iou_of_masks():
    one = Mask.from_array(np.ones((4, 4), bool), (0, 0))
    other = Mask.from_array(np.ones((4, 4), bool), (2, 0))
    far = Mask.from_array(np.ones((4, 4), bool), (4, 0))
    nothing = Mask.from_array(np.zeros((4, 4), bool))
    assert one.iou(one) == 1 and one.iou(far) == 0
    assert one.iou(other) == pytest.approx(8 / 24)
    assert nothing.iou(nothing) == one.iou(nothing) == 0


@pytest.mark.parametrize("name", IMAGES)
def test_the_model_disagrees_with_what_is_no_outline(name):
    image, truth = read("images", name), read("truth", name)
    store = opened(truth.astype(np.uint32))
    whole = {n: store.mask_of(n, ()) for n in store.records}
    whole = {n: m for n, m in whole.items() if m.area > 60}
    model = load_model("pocket", device="cpu")
    embedding = model.encode(image)
    right = agreements(model, embedding, list(whole.values()))
    # The same boxes with a thin cross in them are no objects.
    crosses = []
    for mask in whole.values():
        data = np.zeros_like(mask.data)
        data[data.shape[0] // 2], data[:, data.shape[1] // 2] = True, True
        crosses.append(Mask(mask.box, data, 1.0))
    wrong = agreements(model, embedding, crosses)
    assert np.median(right) > 0.65 > 0.5 > np.median(wrong)
    review = begun(store, Criteria(border=False, sizes=99))
    assert review.doubtful == 0
    review.asked(dict(zip(whole, map(Opinion, wrong), strict=True)))
    assert review.doubtful > 0.8 * len(whole)
    assert all(MODEL in doubt.reasons for doubt in walked(review))
    assert agreements(model, embedding, []) == []
