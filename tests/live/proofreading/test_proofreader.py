"""Proofreading with a real session, on labels that people made, and damaged ones."""

import numpy as np

from napari_sam.live.disk.loading import load
from napari_sam.live.disk.saving import ImageText, save
from napari_sam.live.disk.snapshot import Snapshot
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.proofreading.doubts import LARGE, SMALL
from napari_sam.live.proofreading.proofreader import HERE, NO_OBJECTS, NOTHING_SHOWN
from napari_sam.live.values import Mark, ObjectRecord


def whole(plane):
    """Return the ids of the objects that the border does not cut, largest first."""
    edge = np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]])
    ids, areas = np.unique(plane, return_counts=True)
    order = ids[np.argsort(-areas)]
    return [int(i) for i in order if i and i not in edge]


def damaged(truth):
    """Put specks on the background, and make one object of several neighbours."""
    labels = truth.copy()
    specks = {}
    free = np.argwhere(truth == 0)
    rng = np.random.default_rng(4)
    for number in range(truth.max() + 1, truth.max() + 7):
        y, x = free[rng.integers(len(free))]
        spot = labels[y : y + 2, x : x + 2]
        if spot.shape == (2, 2) and not spot.any():
            spot[...] = number
            specks[number] = (y, x)
    first, *others = whole(truth)[:12]
    labels[np.isin(labels, others)] = first
    return labels, set(specks), first


def test_it_goes_to_the_most_doubtful_one_first(field):
    review = field.look()
    assert review.doubtful > 3
    waiting = []
    for _ in range(review.doubtful):
        waiting.append(field.current)
        field.proofreader.next()
    assert [d.weight for d in waiting] == sorted(d.weight for d in waiting)[::-1]
    assert field.current == waiting[0]
    assert field.screen.places[0] == (waiting[0].index, waiting[0].box)
    field.proofreader.previous()
    assert field.current == waiting[-1]
    assert field.screen.places[-1] == (waiting[-1].index, waiting[-1].box)


def test_next_looks_for_them_first(field):
    field.proofreader.next()
    field.proofreader.next()
    field.pump.until(lambda: field.current is not None)
    assert len(field.screen.places) == 1


def test_without_objects_there_is_nothing_to_look_for(reader, frames):
    one = reader(frames, np.zeros(frames.shape, np.uint8))
    one.proofreader.start()
    assert one.proofreader.state.phase == "nothing"
    assert one.screen.notices == [NO_OBJECTS]
    one.proofreader.accept()
    assert one.screen.notices[1:] == [NOTHING_SHOWN]


def test_accepting_all_changes_no_pixel(field):
    before = field.labels.copy()
    review = field.look()
    doubtful = review.doubtful
    while field.current is not None:
        field.proofreader.accept()
    assert np.array_equal(field.labels, before)
    assert (review.doubtful, review.reviewed) == (0, doubtful)
    assert sum(r.reviewed for r in review.store.records.values()) == doubtful
    assert len(field.session.history) == doubtful


def test_a_damaged_segmentation_is_mended_and_the_rest_stays_as_it_was(field):
    truth = field.labels.copy()
    labels, specks, giant = damaged(truth)
    field.labels[...] = labels
    field.session.attach(field.store())
    review = field.look()
    store, deleted, cut = review.store, set(), set()
    for _ in range(review.doubtful):
        at = field.current
        if SMALL in at.reasons and at.id in specks:
            deleted.add(at.id)
            field.proofreader.delete()
        elif at.id == giant:
            assert LARGE in at.reasons
            ids = set(store.records)
            field.session.edit(store.split(giant, ()))
            cut = set(store.records) - ids
            field.proofreader.next()
        else:
            field.proofreader.accept()
    assert deleted == specks
    assert len(cut) == 11
    untouched = ~np.isin(labels, [giant, *specks])
    assert np.array_equal(field.labels[untouched], labels[untouched])
    assert not field.labels[np.isin(labels, list(specks))].any()
    # What was merged are the outlines of before again, with other numbers.
    merged = field.labels[labels == giant]
    pairs = np.unique(np.stack([merged, truth[labels == giant]]), axis=1)
    assert pairs.shape[1] == len(np.unique(pairs[0])) == len(np.unique(pairs[1]))
    while field.session.undo():
        continue
    assert np.array_equal(field.labels, labels)
    assert review.reviewed == 0


def test_who_takes_something_back_sees_that_object_again(field):
    review = field.look()
    first = field.current
    field.proofreader.accept()
    second = field.current
    field.proofreader.delete()
    assert field.current not in (first, second)
    field.session.undo()
    assert field.current == second
    assert field.screen.places[-1] == (second.index, second.box)
    field.session.undo()
    assert field.current == first
    assert review.reviewed == 0
    field.session.redo()
    assert review.reviewed == 1
    assert review.last == first.id
    assert field.current is None


def test_nothing_is_done_to_what_is_not_seen(film):
    review = film.look()
    elsewhere = next(
        d
        for d in map(review.doubt_about, review.sizes)
        if d is not None and len(review.store.extents[d.id]) < 4
    )
    review.go_to(elsewhere.id)
    away = next(i for i in np.ndindex(4) if i not in review.store.extents[elsewhere.id])
    film.session.look_at(away)
    before = film.labels.copy()
    for action in ("accept", "delete", "refine"):
        getattr(film.proofreader, action)()
        assert film.screen.notices[-1] == HERE
        assert film.session.index == elsewhere.index
        assert film.current == elsewhere
        film.session.look_at(away)
    assert not film.session.suggestions
    assert not film.session.history.can_undo
    assert np.array_equal(film.labels, before)
    film.session.look_at(elsewhere.index)
    film.screen.in_view = False  # the camera was moved
    film.proofreader.accept()
    assert film.screen.notices[-1] == HERE
    assert review.reviewed == 0


def test_an_object_that_was_opened_and_kept_as_it_was_is_reviewed(field):
    before = field.labels.copy()
    review = field.look()
    at = field.current
    field.proofreader.refine()
    (key,) = field.screen.opened_keys
    assert field.session.suggestions[key].object_id == at.id
    field.session.commit()
    assert np.array_equal(field.labels, before)
    assert review.reviewed == 1
    assert (field.current, review.last) == (None, at.id)
    record = review.store.records[at.id]
    assert (record.reviewed, record.source) == (True, "import")
    field.session.undo()
    assert review.reviewed == 0


def test_an_object_that_was_refined_is_reviewed_also_by_accept(field):
    labels = field.labels
    whole_one = whole(labels)[3]
    ys, xs = np.nonzero(labels == whole_one)
    cut = ys < np.median(ys)
    labels[ys[cut], xs[cut]] = 0
    records = [ObjectRecord(whole_one, source="detector", score=0.1)]
    field.session.attach(field.store(records))
    review = field.look()
    assert field.current.id == whole_one
    before = labels.copy()
    field.proofreader.refine()
    (key,) = field.screen.opened_keys
    click = np.array([[ys[cut].mean(), xs[cut].mean()]], np.float32)
    field.session.ask(key, (), [Mark("click", click)])
    field.proofreader.accept()  # also while the answer is coming
    field.pump.until(lambda: not field.session.suggestions)
    assert review.reviewed == 1
    record = review.store.records[whole_one]
    assert (record.source, record.reviewed) == ("person", True)
    assert (labels == whole_one).sum() > (before == whole_one).sum()
    others = (before != whole_one) & (labels != whole_one)
    assert np.array_equal(labels[others], before[others])


def test_deleting_an_object_closes_what_was_opened(field):
    field.look()
    at = field.current
    field.proofreader.refine()
    field.proofreader.delete()
    assert not field.session.suggestions
    assert not (field.labels == at.id).any()
    assert field.current is not None


def test_objects_that_are_edited_while_it_looks_are_not_missed(field):
    review = field.look()
    gone, accepted = field.current.id, review.next().id
    field.proofreader.start()
    store = field.session.store
    field.session.edit(store.delete([gone]))
    field.session.edit(store.update([accepted], reviewed=True))
    field.pump.until(lambda: field.proofreader.review is not None)
    review = field.proofreader.review
    assert review.doubt_about(gone) is None
    assert review.doubt_about(accepted) is None
    assert review.reviewed == 1


def test_looking_is_cancelled(field):
    field.proofreader.start()
    field.proofreader.cancel()
    assert field.proofreader.state.phase == "stopped"
    posted = []
    field.proofreader._threads.run("proofread", lambda: 1, posted.append, print)
    field.pump.until(lambda: posted)
    assert field.proofreader.review is None
    assert field.look().doubtful


def test_other_labels_end_it(field):
    field.look()
    field.session.attach(field.store())
    field.proofreader.drop()
    assert field.current is None
    assert field.proofreader.state.phase == "nothing"
    field.proofreader.delete()
    assert field.screen.notices == [NOTHING_SHOWN]


def test_what_was_reviewed_is_known_after_saving_and_opening(field, tmp_path):
    review = field.look()
    done = []
    for _ in range(3):
        done.append(field.current.id)
        field.proofreader.accept()
    image = ImageText(name="cells", shape=field.labels.shape, stack_axes="")
    waiting = review.doubtful
    save(tmp_path, Snapshot.of(review.store), image)
    loaded = load(tmp_path, shape=field.labels.shape)
    assert np.array_equal(loaded.labels, field.labels)
    again = LabelStore(
        loaded.labels,
        records=loaded.records,
        next_id=loaded.next_id,
        extents=loaded.extents,
    )
    field.session.attach(again)
    field.proofreader.drop()
    review = field.look()
    assert (review.reviewed, review.doubtful) == (3, waiting)
    assert {n for n, r in again.records.items() if r.reviewed} == set(done)
