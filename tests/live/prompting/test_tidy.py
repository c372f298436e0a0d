"""Suggestions lose specks and pinholes, but nothing that a person has clicked on."""

import numpy as np

from napari_sam.live.prompting.tidy import tidy
from napari_sam.types import Mask, Prompt


def spotted():
    """Return a disc with a pinhole, a ring of its own and a speck beside it."""
    y, x = np.ogrid[:60, :70]
    plane = (y - 30) ** 2 + (x - 30) ** 2 <= 15**2
    plane[28, 26] = False  # a pinhole
    plane[25:32, 35:42] = False  # a hole, 7 % of it
    plane[5:8, 60:63] = True  # a speck
    return plane


def test_specks_and_pinholes_go_and_holes_stay():
    plane = spotted()
    mask = Mask.from_array(plane, score=0.8, stability=0.7, memory="logits")
    tidied = tidy(mask, Prompt([[30.5, 20.5]], [1]))
    wanted = plane.copy()
    wanted[28, 26] = True
    wanted[5:8, 60:63] = False
    np.testing.assert_array_equal(tidied.full(plane.shape), wanted)
    assert tidied.box == (15, 15, 46, 46)
    assert (tidied.score, tidied.stability, tidied.memory) == (0.8, 0.7, "logits")


def test_what_was_clicked_on_stays_as_it_is():
    plane = spotted()
    clicks = [[30.5, 20.5], [5.0, 60.0], [28.9, 26.9]]  # corners of the pixels, too
    tidied = tidy(Mask.from_array(plane), Prompt(clicks, [1, 1, 0]))
    np.testing.assert_array_equal(tidied.full(plane.shape), plane)


def test_clicks_beside_the_mask_and_a_tidy_mask_are_no_matter():
    mask = Mask((10, 10, 20, 20), np.ones((10, 10), bool), 0.9)
    prompt = Prompt([[15, 15], [1, 1], [59, 69]], [1, 0, 1])
    assert tidy(mask, prompt) is mask
    assert tidy(mask, Prompt(box=(10, 10, 20, 20))) is mask


def test_pieces_of_like_size_stay():
    plane = np.zeros((30, 30), bool)
    plane[2:10, 2:10] = plane[20:26, 20:26] = True
    mask = Mask.from_array(plane)
    assert tidy(mask, Prompt([[5, 5]], [1])) is mask
