from __future__ import annotations

import numpy as np
import pytest

from napari_sam.types import Mask, Prompt, PromptError, check_prompts


def test_a_single_click_is_foreground_unless_said_otherwise():
    prompt = Prompt(points=(3, 4))
    assert prompt.points.tolist() == [[3, 4]]
    assert prompt.labels.tolist() == [1]
    assert prompt.box is None


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({}, "needs a box, a mask or at least one foreground point"),
        ({"points": [(1, 2)], "labels": [0]}, "at least one foreground point"),
        ({"points": [(1, 2, 3)]}, "(N, 2)"),
        ({"points": [(1, 2)], "labels": [1, 0]}, "1 points need 1 labels, not 2"),
        ({"points": [(1, 2)], "labels": [2]}, "1 (foreground) or 0 (background)"),
        ({"points": [(np.nan, 2)]}, "finite"),
        ({"box": (5, 0, 5, 9)}, "y0 < y1"),
        ({"box": (0, 0, np.inf, 9)}, "y0 < y1"),
        ({"box": (0, 0, 9)}, "(y0, x0, y1, x1)"),
        ({"mask": np.zeros((4, 4), bool)}, "empty"),
        ({"mask": np.ones(4, bool)}, "(H, W)"),
        ({"previous": Mask.from_array(np.zeros((3, 3), bool))}, "nothing to refine"),
    ],
)
def test_a_contradictory_prompt_says_what_is_wrong(parts, says):
    with pytest.raises(PromptError) as caught:
        Prompt(**parts)
    assert says in str(caught.value)


def test_logits_are_a_mask_where_they_are_positive():
    logits = np.full((4, 4), -3.0)
    with pytest.raises(PromptError):
        Prompt(mask=logits)
    logits[1, 1] = 2.0
    assert Prompt(mask=logits).mask is logits


def test_a_mask_is_kept_in_its_box_and_comes_back_whole():
    plane = np.zeros((7, 9), bool)
    plane[2:5, 3:4] = True
    plane[4, 6] = True
    mask = Mask.from_array(plane)
    assert mask.box == (2, 3, 5, 7)
    assert mask.area == 4
    assert np.array_equal(mask.full((7, 9)), plane)
    part = Mask.from_array(plane[2:, 3:], (2, 3))
    assert np.array_equal(part.full((7, 9)), plane)


def test_an_empty_mask_has_an_empty_box():
    mask = Mask.from_array(np.zeros((3, 3), bool), (4, 4))
    assert mask.box == (0, 0, 0, 0)
    assert mask.area == 0
    assert not mask.full((3, 3)).any()


def test_a_previous_answer_is_something_to_start_from():
    answer = Mask.from_array(np.ones((2, 3), bool), (4, 5))
    assert Prompt(previous=answer).previous is answer
    more = Prompt(points=[(1, 2)], labels=[0], previous=answer)
    assert more.labels.tolist() == [0]
    assert Prompt(points=[(1, 2)]).previous is None


def test_a_mask_remembers_what_its_model_left_there():
    array = np.eye(3, dtype=bool)
    assert Mask.from_array(array).memory is None
    assert Mask.from_array(array, memory="logits").memory == "logits"
    assert Mask.from_array(array & False, memory="logits").memory == "logits"


def test_what_does_not_fit_the_plane_is_told_with_its_number():
    inside = Prompt(previous=Mask.from_array(np.ones((2, 3), bool), (4, 5)))
    whole = Prompt(mask=np.ones((6, 8), bool))
    check_prompts([inside, whole, Prompt(points=[(90, 90)])], (6, 8))
    with pytest.raises(PromptError, match=r"prompt 1: the mask is \(6, 8\)"):
        check_prompts([inside, whole], (6, 9))
    with pytest.raises(PromptError, match=r"prompt 0: the previous .* \(6, 8\)"):
        check_prompts([inside], (6, 7))
