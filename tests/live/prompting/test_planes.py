"""Which slices are prepared, in which order, and which are kept."""

import numpy as np
import pytest

from napari_sam.live.prompting.answers import arrange, first_choice, overlap
from napari_sam.live.prompting.planes import Planes
from napari_sam.live.prompting.reading import around
from napari_sam.live.source import Source
from napari_sam.models.catalog import load_model
from napari_sam.models.lane import acquire
from napari_sam.models.sizes import nbytes_of
from napari_sam.types import Candidates, Mask


@pytest.fixture(scope="module")
def model():
    return load_model("pocket", "cpu")


@pytest.fixture
def lane(pump):
    lane = acquire("cpu", owner="test", post=pump.post)
    yield lane
    lane.close()


@pytest.fixture
def long(frames):
    """The frames forth and back: eight slices."""
    planes = np.concatenate([frames, frames[::-1]])
    return Source(planes, "long", planes.shape, "T", False)


@pytest.fixture
def make(pump, lane, model, long):
    made = []

    def make(**options):
        ready, failed = [], []
        planes = Planes(
            pump.post, ready.append, lambda *what: failed.append(what), **options
        )
        made.append(planes)
        planes.ready, planes.failed = ready, failed
        planes.use(model, lane)
        planes.open(long)
        return planes

    yield make
    for planes in made:
        planes.close()


def idle(planes):
    return lambda: not any(planes.preparing((n,)) for n in range(8))


def test_the_slice_on_screen_comes_first_and_then_its_neighbours(pump, make):
    planes = make()
    planes.want((3,), ())
    pump.until(idle(planes))
    assert planes.ready == [(3,), (4,), (2,), (5,), (1,)]
    planes.want((2,), ())
    pump.until(idle(planes))
    assert planes.ready[5:] == [(0,)]
    assert not planes.failed


def test_slices_that_somebody_waits_for_come_first_of_all(pump, make):
    planes = make()
    planes.want((3,), [(7,)])
    pump.until(idle(planes))
    assert planes.ready[:2] == [(7,), (3,)]


def test_neighbours_that_are_left_behind_are_not_prepared(pump, make):
    planes = make()
    for n in (1, 2, 3, 4, 5, 6):
        planes.want((n,), ())
    pump.until(idle(planes))
    assert set(planes.ready) <= {(1,), *((n,) for n in (4, 5, 6, 7))}
    assert {(4,), (5,), (6,), (7,)} <= set(planes.ready)


def test_stopping(pump, make):
    planes = make()
    planes.want((3,), ())
    planes.stop()
    assert idle(planes)()
    planes.want((0,), ())
    pump.until(lambda: (0,) in planes.kept)
    assert (3,) not in planes.kept


def test_no_more_is_kept_than_there_is_room_for(pump, make):
    planes = make()
    planes.want((0,), ())
    pump.until(idle(planes))
    one = planes.get((0,)).nbytes
    assert one > 10_000
    small = make(budget=int(2.5 * one))
    for n in (0, 3, 6):
        small.want((n,), ())
        pump.until(idle(small))
        assert (n,) in small.kept
        assert small.nbytes <= 2.5 * one
    tiny = make(budget=0)
    tiny.want((3,), [(6,)])
    pump.until(idle(tiny))
    assert set(tiny.kept) == {(3,), (6,)}


def test_another_image_and_another_model_start_from_nothing(
    pump, make, long, model, lane
):
    planes = make()
    planes.want((0,), ())
    pump.until(lambda: planes.kept)
    planes.use(None, None)
    assert not planes.kept
    planes.use(model, lane)
    planes.want((0,), ())
    pump.until(lambda: planes.kept)
    planes.open(long)
    assert not planes.kept
    assert planes.get((0,)) is None


def test_what_is_prepared_is_what_the_model_makes_of_the_slice(pump, make, model, long):
    planes = make()
    planes.want((2,), ())
    pump.until(lambda: planes.kept)
    ours = model.features(planes.get((2,)).embedding)
    plane = long.plane((2,), long.normalization("stack"))
    theirs = model.features(model.encode(plane))
    assert np.allclose(ours.coarse.float(), theirs.coarse.float(), atol=1e-3)


@pytest.mark.parametrize(
    ("index", "last", "shape", "expected"),
    [
        (None, None, (5,), []),
        ((), None, (), []),
        ((0,), None, (1,), []),
        ((0,), None, (5,), [(1,), (2,)]),
        ((2,), (3,), (5,), [(1,), (3,), (0,), (4,)]),
        ((4, 1), (4, 0), (9, 3), [(4, 2), (4, 0)]),
        ((4, 1), (3, 1), (6, 3), [(5, 1), (3, 1), (2, 1)]),
        ((4, 0), None, (6, 1), [(5, 0), (3, 0), (2, 0)]),
    ],
)
def test_neighbours_follow_the_last_move(index, last, shape, expected):
    assert around(index, last, shape) == expected


def mask(score, y0, x0, y1, x1):
    return Mask((y0, x0, y1, x1), np.ones((y1 - y0, x1 - x0), np.bool_), score)


def test_candidates_that_look_the_same_are_shown_once():
    large, small = mask(0.5, 0, 0, 40, 40), mask(0.9, 0, 0, 10, 10)
    twin = mask(0.7, 0, 0, 40, 39)
    empty = mask(1.0, 0, 0, 0, 0)
    assert overlap(large, twin) == pytest.approx(39 / 40)
    assert overlap(small, mask(1, 50, 50, 60, 60)) == 0
    arranged = arrange(Candidates((empty, small, twin, large)))
    assert arranged.masks == (small, twin)
    assert first_choice(arranged, None) == 0
    assert [first_choice(arranged, scale) for scale in (0.0, 1.0)] == [0, 1]
    assert arrange(Candidates((empty,))) is None


def test_memory_is_counted_wherever_it_is(model, frames):
    import torch

    assert nbytes_of([torch.zeros(3, dtype=torch.float16), "text", 7, None]) == 6
    embedding = model.encode(frames[0])
    features = model.features(embedding)
    parts = features.coarse, features.fine, features.dense, features.pixels
    assert nbytes_of(embedding) == sum(part.nbytes for part in parts)


def test_a_plane_that_was_read_before_it_was_to_look_otherwise_is_read_again(
    pump, make, long, model
):
    planes = make()
    planes.want((3,), ())  # it is being read now
    planes.see(long.seen(ranges=[(0.0, 20_000.0)]))
    planes.want((3,), ())
    pump.until(idle(planes))
    dark, bright = (
        model.encode(long.plane((3,), contrast)).tiles[0].features.pixels
        for contrast in (
            long.contrast(),
            long.seen(ranges=[(0.0, 20_000.0)]).contrast(),
        )
    )
    assert not np.array_equal(dark, bright)
    seen = planes.get((3,)).embedding.tiles[0].features.pixels
    assert np.array_equal(seen, bright)
