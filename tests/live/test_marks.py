import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_sam import load_model
from napari_sam.live.marks import from_json, prompt_of, same, to_json
from napari_sam.live.values import Mark
from napari_sam.types import Mask, PromptError

SHAPE = (60, 80)


def mark(kind, *vertices, positive=True):
    return Mark(kind, np.array(vertices, np.float32).reshape(-1, 2), positive)


def rectangle(kind, y0, x0, y1, x1, positive=True):
    corners = (y0, x0), (y0, x1), (y1, x1), (y1, x0)
    return mark(kind, *corners, positive=positive)


def test_clicks_are_points():
    clicks = [mark("click", (3, 4)), mark("click", (50, 60), positive=False)]
    prompt = prompt_of(clicks, SHAPE)
    assert np.array_equal(prompt.points, [(3, 4), (50, 60)])
    assert prompt.labels.tolist() == [1, 0]
    assert prompt.box is None and prompt.mask is None


def test_of_several_boxes_the_last_counts():
    boxes = [rectangle("box", 1, 2, 30, 40), rectangle("box", 5, 6, 20, 25)]
    assert prompt_of(boxes, SHAPE).box == (5, 6, 20, 25)
    assert prompt_of([*boxes, mark("click", (9, 9))], SHAPE).box == (5, 6, 20, 25)


def test_a_box_may_be_drawn_from_any_corner():
    corners = [(20, 25), (20, 6), (5, 6), (5, 25)]
    assert prompt_of([mark("box", *corners)], SHAPE).box == (5, 6, 20, 25)


def test_an_outline_is_a_mask_with_its_box():
    polygon = mark("polygon", (10, 10), (10, 30), (25, 30), (25, 10))
    prompt = prompt_of([polygon], SHAPE)
    expected = np.zeros(SHAPE, bool)
    expected[10:25, 10:30] = True
    assert np.array_equal(prompt.mask, expected)
    assert prompt.mask.dtype == np.bool_
    assert prompt.box == (10, 10, 25, 30)


def test_several_outlines_belong_together():
    one, other = rectangle("polygon", 5, 5, 9, 9), rectangle("ellipse", 20, 20, 40, 50)
    prompt = prompt_of([one, other], SHAPE)
    assert prompt.mask[7, 7] and prompt.mask[30, 35] and not prompt.mask[21, 21]
    assert np.allclose(prompt.box, (5, 5, 40, 50))


def test_a_box_beside_an_outline_is_the_box():
    prompt = prompt_of(
        [rectangle("polygon", 5, 5, 9, 9), rectangle("box", 1, 1, 20, 20)], SHAPE
    )
    assert prompt.box == (1, 1, 20, 20)
    assert prompt.mask.sum() == 16


def test_a_scribble_is_points_along_it():
    prompt = prompt_of([mark("scribble", (10, 10), (10, 70))], SHAPE)
    assert len(prompt.points) == 8
    assert (prompt.points[:, 0] == 10).all() and (prompt.labels == 1).all()


@pytest.mark.parametrize("kind", ["box", "ellipse", "polygon"])
def test_an_area_that_does_not_belong_is_a_few_points_in_it(kind):
    around = rectangle(kind, 30, 40, 50, 70, positive=False)
    prompt = prompt_of([mark("click", (5, 5)), around], SHAPE)
    negative = prompt.points[prompt.labels == 0]
    assert prompt.box is None and prompt.mask is None
    assert 2 <= len(negative) <= 4
    assert ((negative > (31, 41)) & (negative < (49, 69))).all()


def test_what_reaches_beyond_the_plane_is_cut_off():
    prompt = prompt_of([rectangle("box", -10, 30, 20, 500)], SHAPE)
    assert prompt.box == (0, 30, 20, 80)
    prompt = prompt_of([rectangle("polygon", 50, -5, 90, 10)], SHAPE)
    assert prompt.box == (50, 0, 60, 10) and prompt.mask.sum() == 100


def test_what_lies_beside_the_plane_is_left_out():
    beside = [
        mark("click", (-1, 5)),
        mark("click", (60, 5), positive=False),
        mark("click", (5, 1e30)),
        rectangle("box", 70, 5, 90, 20),
        rectangle("ellipse", -20, 5, -10, 20),
        rectangle("polygon", 5, 100, 9, 120, positive=False),
        mark("scribble", (-5, 5), (-5, 60)),
    ]
    prompt = prompt_of([*beside, mark("click", (7, 8))], SHAPE)
    assert np.array_equal(prompt.points, [(7, 8)])
    assert prompt.box is None and prompt.mask is None
    with pytest.raises(PromptError, match="beside the image: click on an object"):
        prompt_of(beside, SHAPE)


@pytest.mark.parametrize(
    ("marks", "said"),
    [
        ([], "click on an object, or draw a box"),
        ([mark("click", (5, 5), positive=False)], "what does not belong"),
        ([rectangle("box", 5, 5, 5, 30)], "no area: drag it open"),
        ([rectangle("box", 5, 5, 5, 5), mark("click", (5, 5))], "no area"),
        ([mark("polygon", (5, 5), (9, 9))], "no pixel .*: draw it larger"),
        ([mark("polygon", (5.1, 5.1), (5.2, 5.4), (5.4, 5.2))], "draw it larger"),
        ([mark("click", (np.nan, 5))], "not a number: delete it"),
        ([mark("box", (1, 1), (1, 9), (9, 9), (np.inf, 1))], "not a number"),
        ([mark("box", (1, 1), (9, 9))], "a box cannot have 2 corners"),
        ([mark("scribble")], "draw it again"),
        ([Mark("click", np.zeros((1, 3), np.float32))], "draw it again"),
    ],
)
def test_what_cannot_be_understood_is_said_in_one_line(marks, said):
    with pytest.raises(PromptError, match=said) as error:
        prompt_of(marks, SHAPE)
    assert "\n" not in str(error.value)


def test_an_answer_can_be_refined_with_little_or_nothing_said():
    previous = Mask((5, 5, 9, 9), np.ones((4, 4), bool), 0.5)
    no = mark("click", (7, 7), positive=False)
    assert prompt_of([no], SHAPE, previous=previous).previous is previous
    assert prompt_of([], SHAPE, previous=previous).previous is previous


def test_a_plane_of_one_pixel():
    prompt = prompt_of([mark("click", (0.5, 0.5))], (1, 1))
    assert np.array_equal(prompt.points, [(0.5, 0.5)])
    prompt = prompt_of([rectangle("polygon", -1, -1, 2, 2)], (1, 1))
    assert prompt.mask.tolist() == [[True]] and prompt.box == (0, 0, 1, 1)


kinds = st.sampled_from(["click", "box", "ellipse", "polygon", "scribble"])


@st.composite
def anything(draw):
    kind = draw(kinds)
    most = {"click": 1, "box": 4, "ellipse": 4}.get(kind)
    count = most or draw(st.integers(1, 6))
    values = st.floats(-200, 200, width=32)
    vertices = draw(arrays.arrays(np.float32, (count, 2), elements=values))
    return Mark(kind, vertices, draw(st.booleans()))


@given(st.lists(anything(), max_size=4))
def test_any_drawing_gives_a_prompt_on_the_plane_or_an_error_of_ours(marks):
    try:
        prompt = prompt_of(marks, SHAPE)
    except PromptError:
        return
    assert ((prompt.points >= 0) & (prompt.points <= SHAPE)).all()
    if prompt.box is not None:
        y0, x0, y1, x1 = prompt.box
        assert 0 <= y0 < y1 <= SHAPE[0] and 0 <= x0 < x1 <= SHAPE[1]
    if prompt.mask is not None:
        assert prompt.mask.shape == SHAPE and prompt.mask.any()


@given(st.lists(anything(), max_size=4))
def test_saved_marks_are_read_back_to_the_bit(marks):
    text = json.dumps(to_json(marks), allow_nan=False)
    assert same(from_json(json.loads(text)), marks)


def test_positions_are_saved_as_they_read():
    assert to_json([mark("click", (12.3, 4))]) == [
        {"kind": "click", "vertices": [[12.3, 4.0]], "positive": True}
    ]


def test_equal_marks_are_told_from_others():
    click = mark("click", (3, 4))
    assert same([click], (mark("click", (3, 4)),)) and same([], ())
    assert not same([click], [])
    assert not same([click], [mark("click", (3, 4), positive=False)])
    assert not same([click], [mark("scribble", (3, 4))])
    assert not same([click], [mark("click", (3, 5))])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"kind": "click"}, "list"),
        ([{"kind": "star", "vertices": [[1, 2]]}], "0.kind"),
        ([{"kind": "click", "vertices": [[1]]}], r"0\.vertices\.0"),
        ([{"kind": "click", "vertices": [[1, float("nan")]]}], "finite"),
        ([{"kind": "click", "vertices": [[1, 1e300]]}], "less than"),
        ([{"kind": "click", "vertices": [[1, 2]], "color": 3}], r"0\.color"),
        ([{"kind": "box", "vertices": [[1, 2]]}], "a box with 1 position"),
        ([{"kind": "polygon", "vertices": []}], "a polygon with 0 position"),
        (None, "list"),
    ],
)
def test_a_damaged_file_is_named_as_such(rows, said):
    with pytest.raises(PromptError, match=said) as error:
        from_json(rows)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def nucleus(frames):
    """The built-in model on a frame, and where one bright nucleus is."""
    from scipy import ndimage

    blurred = ndimage.gaussian_filter(frames[0].astype(float), 4)
    blurred[:20], blurred[-20:] = 0, 0
    blurred[:, :20], blurred[:, -20:] = 0, 0
    y, x = np.unravel_index(blurred.argmax(), blurred.shape)
    model = load_model("pocket", device="cpu")
    return model, model.encode(frames[0]), (y + 0.5, x + 0.5)


def test_every_way_to_mark_a_nucleus_finds_it(nucleus):
    model, embedding, (y, x) = nucleus
    click = mark("click", (y, x))
    answer = model.decode(embedding, [prompt_of([click], embedding.shape)])[0].best
    y0, x0, y1, x1 = answer.box
    ways = [
        [rectangle("box", y0, x0, y1, x1)],
        [rectangle("ellipse", y0, x0, y1, x1)],
        [mark("scribble", (y - 2, x), (y + 2, x))],
        [rectangle("box", y0, x0, y1, x1), click],
    ]
    prompts = [prompt_of(marks, embedding.shape) for marks in ways]
    first = answer.full(embedding.shape)
    for candidates in model.decode(embedding, prompts):
        found = candidates.best.full(embedding.shape)
        assert (found & first).sum() / (found | first).sum() > 0.5
