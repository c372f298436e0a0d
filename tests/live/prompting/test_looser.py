"""Outlines that a person wants otherwise than the model draws them."""

import numpy as np
import pytest
from skimage.morphology import isotropic_dilation, isotropic_erosion

from napari_sam.live.prompting.looser import MOST, looser
from napari_sam.live.values import Mark
from napari_sam.types import Mask

SHAPE = (40, 50)


@pytest.fixture
def blob():
    y, x = np.ogrid[:40, :50]
    return Mask.from_array((y - 3) ** 2 + (x - 20) ** 2 < 81, score=0.7, stability=0.6)


@pytest.mark.parametrize("pixels", [1, 4, MOST])
def test_a_looser_outline_is_so_much_larger(blob, pixels):
    moved = looser(blob, pixels, SHAPE)
    wanted = isotropic_dilation(blob.full(SHAPE), pixels)
    assert np.array_equal(moved.full(SHAPE), wanted)
    assert (moved.score, moved.stability) == (0.7, 0.6)


def test_a_tighter_outline_stays_where_the_plane_ends(blob):
    moved = looser(blob, -2, SHAPE).full(SHAPE)
    whole = np.pad(blob.full(SHAPE), ((8, 0), (0, 0)), mode="edge")
    assert np.array_equal(moved, isotropic_erosion(whole, 2)[8:])
    assert moved[0].any()


def test_what_would_vanish_stays(blob):
    assert looser(blob, 0, SHAPE) is blob
    assert looser(blob, -MOST, SHAPE) is blob
    nothing = Mask.from_array(np.zeros(SHAPE, bool))
    assert looser(nothing, 3, SHAPE) is nothing


def test_suggestions_follow_the_wish_and_are_committed_so(
    pump, opened, draw, frames, answered
):
    opened.ask("a", (0,), draw.on(1))
    pump.until(answered(opened))
    plain = opened.suggestions["a"].candidates
    opened.set_outline(2)
    assert opened.suggestions["a"].waiting
    assert len(opened.history) == 1  # a setting is no step
    pump.until(answered(opened))
    shown = opened.suggestions["a"].candidates
    shape = frames.shape[1:]
    for before, after in zip(plain.masks, shown.masks, strict=True):
        wanted = isotropic_dilation(before.full(shape), 2)
        assert np.array_equal(after.full(shape), wanted)
    opened.commit()
    written = opened.store.labels[0] > 0
    assert any(np.array_equal(written, mask.full(shape)) for mask in shown.masks)


def test_a_correction_starts_from_what_the_model_has_drawn(
    pump, opened, draw, frames, answered
):
    """Else the outline would move at every click."""
    first, shape = draw.on(1), frames.shape[1:]

    def corrected():
        y0, _, y1, x1 = draw.around
        away = draw.click((y0 + y1) / 2, x1 - 3, positive=False)
        opened.ask("a", (0,), (*first, away))
        pump.until(answered(opened))
        return opened.suggestions["a"].mask.full(shape)

    opened.ask("a", (0,), first)
    pump.until(answered(opened))
    draw.around = opened.suggestions["a"].mask.box
    plain = corrected()
    opened.drop()
    opened.set_outline(3)
    opened.ask("a", (0,), first)
    pump.until(answered(opened))
    assert np.array_equal(corrected(), isotropic_dilation(plain, 3))


def test_a_wish_beyond_all_measure_is_cut(opened):
    opened.set_outline(99)
    assert opened.outline == MOST
    opened.set_outline(-99)
    assert opened.outline == -MOST


def test_who_draws_an_area_can_have_just_that(pump, opened, frames, answered):
    square = np.array([[25, 20], [25, 70], [60, 70], [60, 20]], np.float32)
    opened.set_outline(4)
    opened.ask("a", (0,), (Mark("polygon", square),))
    pump.until(answered(opened))
    masks = opened.suggestions["a"].candidates.masks
    (drawn,) = (mask for mask in masks if np.isnan(mask.score))
    assert drawn.box == (25, 20, 60, 70)  # neither the model nor the wish moves it
    assert drawn.data.all()
    assert opened.suggestions["a"].mask is not drawn or len(masks) == 1
    while not np.isnan(opened.suggestions["a"].mask.score):
        opened.cycle()
    opened.commit()
    assert (opened.store.labels[0] > 0).sum() == 35 * 50
