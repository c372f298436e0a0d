from __future__ import annotations

import json

import numpy as np
import pytest

from napari_sam.images import Normalization, fit_normalization, make_plane
from napari_sam.types import ImageError

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(300, 4000, (40, 50))
KINDS = [np.uint8, np.uint16, np.int16, np.uint32, np.int64, np.float32, np.float64]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_picture_in_any_dtype_gives_nearly_the_same_pixels(kind):
    picture = GREY / 16 if kind == np.uint8 else GREY
    pixels = make_plane(picture.astype(kind)).pixels
    assert pixels.dtype == np.uint8
    assert pixels.shape == (40, 50, 3)
    reference = make_plane(GREY.astype(np.float64)).pixels
    assert np.abs(pixels.astype(int) - reference).max() <= 2
    assert pixels.min() == 0
    assert pixels.max() == 255


def test_a_32_bit_offset_does_not_swallow_the_contrast():
    offset = make_plane((GREY + 2**31).astype(np.uint32)).pixels
    assert np.array_equal(offset, make_plane(GREY.astype(np.uint32)).pixels)


def test_bool_becomes_black_and_white():
    mask = GREY > 1000
    assert np.array_equal(make_plane(mask).pixels[..., 0], mask * 255)


def test_nan_is_dark_and_infinity_bright_and_neither_moves_the_range():
    image = GREY.astype(np.float32)
    expected = make_plane(image)
    image[0, 0], image[0, 1], image[0, 2] = np.nan, np.inf, -np.inf
    pixels = make_plane(image).pixels[..., 0]
    assert pixels[0, :3].tolist() == [0, 255, 0]
    assert np.abs(pixels[1:].astype(int) - expected.pixels[1:, :, 0]).max() <= 1


@pytest.mark.parametrize("value", [0, 7, np.nan])
def test_a_plane_without_contrast_is_black(value):
    plane = make_plane(np.full((8, 8), value, np.float32))
    assert not plane.pixels.any()


def test_a_few_bright_pixels_still_get_a_range():
    image = np.zeros((100, 100), np.uint16)
    image[5, 5] = 900
    assert make_plane(image).pixels[5, 5].tolist() == [255, 255, 255]


def test_one_range_holds_for_the_whole_stack_and_plane_mode_for_none():
    stack = np.stack([GREY, GREY // 4]).astype(np.uint16)
    shared = fit_normalization(stack)
    planes = [make_plane(p, shared).pixels for p in stack]
    assert planes[1].max() < 100 < planes[0].max()
    own = fit_normalization(stack, mode="plane")
    assert own.ranges is None
    dim, bright = (make_plane(p, own).pixels.astype(int) for p in stack)
    assert np.abs(dim - bright).max() <= 2


def test_eight_bit_colour_is_left_alone_and_alpha_dropped():
    colour = RANDOM.integers(90, 200, (6, 7, 4)).astype(np.uint8)
    assert np.array_equal(make_plane(colour).pixels, colour[..., :3])


def test_sixteen_bit_colour_keeps_its_hue():
    colour = np.stack([GREY, GREY // 2, GREY // 4], -1).astype(np.uint16)
    pixels = make_plane(colour, rgb=True).pixels
    row, column = np.unravel_index(pixels[..., 2].argmax(), GREY.shape)
    red, green, blue = (int(v) for v in pixels[row, column])
    assert red > green > blue


def test_two_channels_become_red_and_green():
    two = np.stack([GREY, GREY[::-1]], -1).astype(np.uint16)
    pixels = make_plane(two).pixels
    assert np.array_equal(pixels[..., 0], pixels[::-1, :, 1])
    assert not pixels[..., 2].any()


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.zeros((4, 4), complex), "real numbers"),
        (np.zeros((0, 4)), "at most 4 channels"),
        (np.zeros((4, 4, 5)), "at most 4 channels"),
        (np.zeros(4), "at most 4 channels"),
    ],
)
def test_what_is_no_plane_is_refused(image, says):
    with pytest.raises(ImageError) as caught:
        make_plane(image)
    assert says in str(caught.value)


def test_ranges_must_fit_the_channels():
    with pytest.raises(ImageError, match="2 channels, the plane has 1"):
        make_plane(GREY, Normalization("stack", ((0, 1), (0, 1))))
    with pytest.raises(ImageError, match="no plane"):
        fit_normalization([])


def test_a_saved_normalization_makes_the_same_pixels():
    found = fit_normalization([GREY])
    again = Normalization.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again == found
    by_plane = Normalization("plane")
    assert Normalization.from_dict(by_plane.to_dict()) == by_plane
