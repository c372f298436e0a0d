import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_sam.segment import Recipe, compose
from napari_sam.types import Mask

SHAPE = (40, 48)


def rectangle(y0, x0, y1, x1, score=0.9):
    return Mask((y0, x0, y1, x1), np.ones((y1 - y0, x1 - x0), bool), score)


def test_a_shared_pixel_goes_to_the_higher_score():
    left, right = rectangle(5, 5, 15, 20), rectangle(5, 15, 15, 30)
    labels, objects, sources = compose([left, right], [0.6, 0.8], SHAPE)
    assert sources.tolist() == [1, 0]
    assert (labels[5:15, 15:30] == 1).all()
    assert (labels[5:15, 5:15] == 2).all()
    assert [mask.area for mask in objects] == [150, 100]
    assert objects[1].box == (5, 5, 15, 15)


def test_a_duplicate_is_dropped_and_its_pixels_are_left_to_the_next():
    best, copy = rectangle(5, 5, 25, 25), rectangle(6, 6, 25, 30)
    below = rectangle(12, 25, 25, 40)
    labels, _, sources = compose([best, copy, below], [0.9, 0.8, 0.7], SHAPE)
    assert sources.tolist() == [0, 2]
    assert (labels[12:25, 25:40] == 2).all()


def test_what_a_better_mask_cuts_in_two_ends_as_one_piece():
    bar, across = rectangle(10, 2, 20, 40), rectangle(2, 14, 38, 18)
    labels, objects, _ = compose([bar, across], [0.5, 0.9], SHAPE)
    assert ndimage.label(labels == 2)[1] == 1
    assert objects[1].area == 22 * 10
    kept, _, _ = compose([bar, across], [0.5, 0.9], SHAPE, Recipe(min_fragment=0.3))
    assert ndimage.label(kept == 2)[1] == 2


def test_an_object_inside_another_keeps_its_pixels():
    outer, inner = rectangle(0, 0, 20, 20), rectangle(8, 8, 12, 12)
    labels, _, _ = compose([outer, inner], [0.5, 0.9], SHAPE)
    assert (labels[8:12, 8:12] == 1).all()
    assert (labels == 2).sum() == 400 - 16


def test_specks_and_empty_masks_are_left_out():
    empty = Mask.from_array(np.zeros((4, 4), bool))
    labels, objects, sources = compose(
        [empty, rectangle(0, 0, 2, 3), rectangle(5, 5, 9, 9)], [1, 1, 0.1], SHAPE
    )
    assert sources.tolist() == [2]
    assert len(objects) == labels.max() == 1
    all_kept = compose([rectangle(0, 0, 2, 3)], [1], SHAPE, Recipe(min_area=0))
    assert len(all_kept[1]) == 1


def test_nothing_gives_an_empty_plane():
    labels, objects, sources = compose([], [], SHAPE)
    assert labels.shape == SHAPE
    assert labels.dtype == np.uint32
    assert not labels.any()
    assert objects == []
    assert sources.size == 0


@st.composite
def scored_masks(draw):
    masks, scores = [], []
    for _ in range(draw(st.integers(0, 8))):
        y, x = draw(st.integers(0, 30)), draw(st.integers(0, 38))
        height, width = draw(st.integers(1, 10)), draw(st.integers(1, 10))
        bits = draw(st.lists(st.booleans(), min_size=height, max_size=height))
        data = np.ones((height, width), bool)
        data[np.flatnonzero(bits), : width // 2] = False
        masks.append(Mask.from_array(data, (y, x)))
        scores.append(draw(st.sampled_from([0.2, 0.5, 0.9])))
    return masks, scores


@settings(deadline=None)
@given(scored_masks(), st.randoms(use_true_random=False))
def test_the_order_of_the_masks_does_not_matter(given_masks, random):
    masks, scores = given_masks
    labels, _, _ = compose(masks, scores, SHAPE)
    order = list(range(len(masks)))
    random.shuffle(order)
    again, _, _ = compose([masks[i] for i in order], [scores[i] for i in order], SHAPE)
    assert np.array_equal(labels, again)


@settings(deadline=None)
@given(scored_masks())
def test_objects_are_what_is_painted_and_of_one_piece(given_masks):
    labels, objects, sources = compose(*given_masks, SHAPE)
    assert len(objects) == len(sources) == labels.max(initial=0)
    for number, mask in enumerate(objects, 1):
        assert np.array_equal(mask.full(SHAPE), labels == number)
        assert ndimage.label(labels == number)[1] == 1
        assert mask.area >= Recipe().min_area
