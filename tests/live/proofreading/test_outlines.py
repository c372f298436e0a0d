"""All outlines of a slice looser or tighter, with a real session."""

import numpy as np
import pytest
from skimage.segmentation import expand_labels

from napari_sam.live.proofreading.outlines import NOTHING, Outlines


@pytest.fixture
def outlines(film):
    said = []
    made = Outlines(film.session, film.pump.post, said.append)
    made.said = said
    yield made
    made.close()


def test_steps_follow_each_other_and_are_undone_one_by_one(film, outlines):
    truth = film.labels.copy()
    film.session.look_at((2,))
    outlines.move(1)
    outlines.move(2)  # before the first is done
    film.pump.until(lambda: len(film.session.history) == 2)
    assert film.session.history.undo_text == "All outlines looser"
    once = expand_labels(truth[2], 1)
    assert np.array_equal(film.labels[2], expand_labels(once, 2))
    assert film.session.undo()
    assert np.array_equal(film.labels[2], once)
    assert film.session.undo()
    assert np.array_equal(film.labels, truth)


def test_it_begins_again_where_somebody_was_faster(film, outlines):
    store = film.session.store
    outlines.move(1)
    number = next(n for n, on in store.extents.items() if (0,) in on)
    film.session.edit(store.delete([number]))
    without = film.labels[0].copy()
    film.pump.until(lambda: len(film.session.history) == 2)
    assert np.array_equal(film.labels[0], expand_labels(without, 1))


def test_it_says_where_there_is_nothing_to_move(film, outlines):
    film.session.edit(film.session.store.delete(list(film.session.store.records)))
    outlines.move(-1)
    film.pump.until(lambda: outlines.said)
    assert outlines.said == [NOTHING]
    assert len(film.session.history) == 1


def test_labels_that_were_left_are_not_touched(film, outlines):
    truth = film.labels.copy()
    outlines.move(1)
    film.session.leave()
    film.pump.until(lambda: not outlines._wanted)
    assert np.array_equal(film.labels, truth)
