"""What the built-in model makes of objects, asked slice by slice."""

import numpy as np
import pytest

from napari_sam.live.proofreading.doubts import MODEL
from napari_sam.models.pocket.model import PocketModel


def crossed(labels):
    """Return the objects as thin crosses in their boxes, which no model outlines."""
    from scipy import ndimage

    crosses = np.zeros_like(labels)
    for number, where in enumerate(ndimage.find_objects(labels), 1):
        if where is not None:
            part = crosses[where]
            part[part.shape[0] // 2] = part[:, part.shape[1] // 2] = number
    return crosses


@pytest.fixture
def bad(reader, frames, film):
    """Return who proofreads four frames on which all objects are crosses."""
    labels = np.stack([crossed(plane) for plane in film.labels])
    return reader(frames, labels)


def asked(one):
    one.proofreader.ask_too(True)
    one.pump.until(lambda: not one.proofreader.asking.state.busy)
    return one.proofreader.asking.state


def test_the_model_disagrees_with_what_is_no_outline(film, bad):
    found = {}
    for one in (film, bad):
        review = one.look()
        assert not any(MODEL in review.doubt_about(n).reasons for n in doubted(review))
        state = asked(one)
        assert (state.phase, state.done) == ("done", state.total)
        assert state.total == len(one.session.store.records)
        found[one] = review.opinions
    assert found[film].keys() == set(film.session.store.records)
    assert np.median([o.agreement for o in found[film].values()]) > 0.65
    assert np.median([o.agreement for o in found[bad].values()]) < 0.5
    review = bad.proofreader.review
    accused = [n for n in doubted(review) if MODEL in review.doubt_about(n).reasons]
    assert len(accused) > 0.7 * len(found[bad])


def doubted(review):
    return [n for n in review.sizes if review.doubt_about(n) is not None]


def test_it_says_how_far_it_is(film):
    film.look()
    asked(film)
    counts = [s.done for s in film.screen.states if s.phase == "asking"]
    assert counts == sorted(counts)
    assert len(set(counts)) > 2


def test_it_is_asked_after_looking_where_that_was_wanted_before(film):
    film.proofreader.ask_too(True)
    assert film.proofreader.asking.state.phase == "nothing"
    film.look()
    film.pump.until(lambda: film.proofreader.asking.state.phase == "done")
    assert film.proofreader.review.opinions


def test_a_slice_that_is_prepared_is_not_prepared_again(field, monkeypatch):
    field.look()
    field.pump.until(lambda: field.session.prepared(()) is not None)

    def never(*_, **__):
        raise AssertionError

    monkeypatch.setattr(PocketModel, "encode", never)
    assert asked(field).phase == "done"


def test_cancel_stops_it(film):
    film.look()
    film.proofreader.ask_too(True)
    film.pump.until(lambda: film.proofreader.asking.state.done)
    film.proofreader.cancel()
    state = film.proofreader.asking.state
    assert state.phase == "stopped"
    known = film.proofreader.review.opinions
    film.pump.until(lambda: film.proofreader.asking._lane.idle)
    assert film.proofreader.review.opinions == known
    assert film.proofreader.asking.state == state
    assert asked(film).phase == "done"


def test_cancelling_the_session_stops_it_too(film):
    film.look()
    film.proofreader.ask_too(True)
    film.session.cancel()
    assert film.proofreader.asking.state.phase == "stopped"
    assert asked(film).phase == "done"


def test_what_is_edited_meanwhile_is_left_out(field):
    review = field.look()
    lane_waits = []
    field.pump.until(lambda: field.session.prepared(()) is not None)
    field.proofreader.ask_too(True)
    # Once the first values are there others are being asked about.
    field.pump.until(lambda: field.proofreader.asking.state.phase == "asking")
    ids = sorted(review.sizes)
    store = field.session.store
    for number in ids[::2]:
        change = store.smooth(number, ())
        if change is not None:
            lane_waits.append(number)
            field.session.edit(change)
    field.pump.until(lambda: not field.proofreader.asking.state.busy)
    known = review.opinions
    assert lane_waits
    assert known.keys().isdisjoint(lane_waits)
    assert known.keys() >= set(ids[1::2])


def test_reviewed_objects_are_not_asked_about(film):
    review = film.look()
    film.proofreader.accept()
    film.proofreader.accept()
    assert asked(film).total == len(review.sizes) - 2


def test_another_model_begins_again(film):
    film.look()
    film.proofreader.ask_too(True)
    film.pump.until(lambda: film.proofreader.asking.state.phase == "asking")
    first = film.session.model
    film.session.use_model("pocket", "auto")
    assert film.proofreader.asking.state.phase == "loading"
    film.pump.until(lambda: not film.proofreader.asking.state.busy)
    assert film.session.model is not first
    assert film.proofreader.asking.state.phase == "done"
    assert film.proofreader.asking.state.done == film.proofreader.asking.state.total


def test_a_model_that_cannot_be_loaded_is_said(film, tmp_path):
    path = tmp_path / "none.pth"
    path.write_bytes(b"none")
    film.look()
    film.session.use_model(str(path), "cpu")
    film.proofreader.ask_too(True)
    film.pump.until(lambda: not film.proofreader.asking.state.busy)
    state = film.proofreader.asking.state
    assert state.phase == "failed"
    assert "none.pth" in state.error


def test_slices_without_a_picture_are_passed_over(reader, frames, film):
    blank = frames.copy()
    blank[1:] = 7
    one = reader(blank, film.labels.copy())
    review = one.look()
    state = asked(one)
    assert (state.phase, state.done) == ("done", state.total)
    on = {review.sizes[n].index for n in review.opinions}
    assert on == {(0,)}


def test_other_work_ends_it(film):
    film.look()
    film.proofreader.ask_too(True)
    film.proofreader.drop()
    assert film.proofreader.asking.state.phase == "nothing"
    film.pump.until(lambda: film.session.prepared((0,)) is not None)
    assert film.proofreader.review is None
