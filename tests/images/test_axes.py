from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam.images import open_image
from napari_sam.images.axes import letter_of, understand
from napari_sam.types import ImageError

ORDERS = ["".join(order) for order in permutations("TCZYX")]
SIZES = {"T": 2, "C": 3, "Z": 4, "Y": 5, "X": 6}


def reference() -> np.ndarray:
    return np.arange(2 * 3 * 4 * 5 * 6, dtype=np.uint16).reshape(2, 3, 4, 5, 6)


def in_order(order: str) -> np.ndarray:
    return reference().transpose(["TCZYX".index(axis) for axis in order])


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_gives_the_same_plane(order: str) -> None:
    stack = open_image(in_order(order), axes=order, channels=[2, 0])
    index = tuple({"T": 1, "Z": 2}[axis] for axis in stack.stack_axes)
    expected = reference()[1, [2, 0], 2].transpose(1, 2, 0)
    np.testing.assert_array_equal(stack.read(index), expected)
    assert stack.plane_shape == (5, 6)
    assert stack.label_axes == order.replace("C", "")


@pytest.mark.parametrize("order", ORDERS)
def test_labels_go_where_their_plane_came_from(order: str) -> None:
    stack = open_image(in_order(order), axes=order)
    labels = np.zeros(stack.label_shape, np.uint16)
    for index in stack.indices():
        plane = stack.read(index)
        turned = stack.label_axes.index("X") < stack.label_axes.index("Y")
        labels[stack.label_key(index)] = plane.T if turned else plane
    expected = in_order(order).take(0, axis=order.index("C"))
    np.testing.assert_array_equal(labels, expected)


@given(st.permutations("TCZYXS"), st.integers(0, 1), st.integers(0, 2))
def test_colour_in_any_order(order: list[str], t: int, z: int) -> None:
    sizes = {"T": 2, "C": 2, "Z": 3, "Y": 4, "X": 5, "S": 3}
    image = np.arange(720, dtype=np.uint8).reshape(2, 2, 3, 4, 5, 3)
    turned = image.transpose(["TCZYXS".index(axis) for axis in order])
    assert turned.shape == tuple(sizes[axis] for axis in order)
    stack = open_image(turned, axes="".join(order), channels=[1])
    index = tuple({"T": t, "Z": z}[axis] for axis in stack.stack_axes)
    np.testing.assert_array_equal(stack.read(index), image[t, 1, z])
    assert stack.rgb


@pytest.mark.parametrize(
    ("shape", "dtype", "letters"),
    [
        ((8, 9), "uint16", "YX"),
        ((7, 8, 9), "uint8", "ZYX"),
        ((8, 9, 3), "uint8", "YXS"),
        ((8, 9, 4), "uint8", "YXS"),
        ((8, 9, 3), "uint16", "ZYX"),
        ((5, 8, 9, 3), "uint8", "ZYXS"),
        ((6, 7, 8, 9), "float32", "TZYX"),
        ((2, 3, 4, 8, 9), "uint8", "TCZYX"),
    ],
)
def test_arrays_without_names(shape: tuple[int, ...], dtype: str, letters: str) -> None:
    seen = understand(shape, dtype, where="a")
    assert seen.letters == letters
    assert ("assumed" in seen.origin) == (len(shape) > 2)


@pytest.mark.parametrize(
    ("shape", "found", "letters", "note"),
    [
        ((9, 5, 6), "IYX", "ZYX", "taken as Z"),
        ((9, 5, 6), "QYX", "ZYX", "taken as Z"),
        ((9, 8, 5, 6), "QQYX", "TZYX", "taken as T, Z"),
        ((9, 8, 5, 6), "ZIYX", "ZTYX", "taken as T"),
        ((1, 5, 6, 1), "QYXS", "_YX_", ""),
        ((1, 5, 6), "TYX", "TYX", ""),
        ((5, 6, 2), "YXS", "YXC", ""),
        ((4, 5, 6), "EYX", "CYX", ""),
        ((4, 5, 6), "?YX", "ZYX", "taken as Z"),
    ],
)
def test_names_that_files_use(
    shape: tuple[int, ...], found: str, letters: str, note: str
) -> None:
    seen = understand(shape, "uint16", where="a", found=found)
    assert seen.letters == letters
    assert note in "".join(seen.notes)


@pytest.mark.parametrize(
    ("shape", "axes", "message"),
    [
        ((4, 5, 6), "YX", "name 2 axes, the image has 3"),
        ((4, 5, 6), "TZYX", "name 4 axes, the image has 3"),
        ((4, 5, 6), "ZZX", "name Z twice"),
        ((4, 5, 6), "TZX", "lack Y or X"),
        ((4, 5, 6), "QYX", "contain 'Q'"),
        ((4, 5, 6), "", "lack Y or X"),
        ((4, 5, 6), "YXS", "6 colour samples"),
    ],
)
def test_contradictory_axes(shape: tuple[int, ...], axes: str, message: str) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        open_image(np.zeros(shape), axes=axes, name="cells.tif")
    assert "cells.tif" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((1,) * 5 + (8, 8)), "7 axes"),
        (np.zeros((2,) * 6), "say it with --axes"),
        (np.zeros(8), "at least two axes"),
        (np.zeros(()), "at least two axes"),
        (np.zeros((0, 8, 8)), "empty"),
        (np.zeros((8, 0)), "empty"),
        (np.zeros((8, 8), complex), "complex128"),
        (np.zeros((8, 8), "datetime64[s]"), "datetime64"),
        (np.zeros((8, 8), object), "object"),
        ([[1, 2], [3]], "no image"),
        ("abc" * 3, "no such file"),
    ],
)
def test_arrays_that_are_no_images(array: object, message: str) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        open_image(array)
    assert "\n" not in str(caught.value)


def test_axes_of_length_one_may_go_unnamed() -> None:
    stack = open_image(np.zeros((1, 4, 5, 6)), axes="tyx")
    assert stack.axes == "TYX"
    assert stack.label_shape == (4, 5, 6)


@pytest.mark.parametrize(
    ("name", "letter"),
    [("z", "Z"), ("Time", "T"), ("channel", "C"), (" row ", "Y"), ("angle", "?")],
)
def test_names_of_axes(name: str, letter: str) -> None:
    assert letter_of(name) == letter
