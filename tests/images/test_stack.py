from __future__ import annotations

import re

import dask.array as da
import numpy as np
import pytest
import zarr

from napari_sam.images import open_image
from napari_sam.types import ImageError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "dtype",
    [
        "bool", "uint8", "int8", "uint16", ">u2", "int16", "uint32", "int32",
        "uint64", "int64", "float16", "float32", ">f4", "float64",
    ],
)  # fmt: skip
def test_any_real_dtype(dtype: str) -> None:
    values = RNG.random((3, 20, 30))
    image = np.where(values > 0.3, values * 100, 0).astype(dtype)
    stack = open_image(image)
    plane = stack.read((1,))
    assert plane.dtype.isnative
    np.testing.assert_array_equal(plane, image[1])
    seen = stack.plane((1,), stack.normalization())
    assert seen.pixels.shape == (20, 30, 3)
    assert seen.index == (1,)
    assert np.ptp(seen.pixels) == 255


def test_dask_computes_only_the_plane_asked_for() -> None:
    blocks = []

    def block(block_info: dict[object, dict[str, tuple[int, ...]]]) -> np.ndarray:
        where = block_info[None]["chunk-location"]
        blocks.append(where[0])
        return np.full((1, 8, 9), where[0], np.uint16)

    lazy = da.map_blocks(
        block, chunks=((1,) * 50, (8,), (9,)), dtype=np.uint16, meta=np.empty((0, 0, 0))
    )
    stack = open_image(lazy)
    assert blocks == []
    assert (stack.read((31,)) == 31).all()
    assert blocks == [31]


def test_a_failing_computation_is_one_clear_line() -> None:
    def fail(block: np.ndarray) -> np.ndarray:
        raise ValueError("disk\non fire")

    lazy = da.zeros((2, 8, 9), chunks=1).map_blocks(fail, dtype=float)
    with pytest.raises(ImageError, match=r"Z=1 cannot be read.*disk on fire"):
        open_image(lazy).read((1,))


def test_zarr_arrays_in_memory() -> None:
    array = zarr.array(np.arange(24).reshape(2, 3, 4))
    np.testing.assert_array_equal(open_image(array).read((1,)), array[1])


def test_one_channel_is_the_default_and_said() -> None:
    stack = open_image(np.zeros((3, 8, 9)), axes="CYX")
    assert stack.channels == (0,)
    assert stack.read().shape == (8, 9)
    assert "channel 0 of 3, choose with --channels" in stack.describe()
    chosen = open_image(np.zeros((3, 8, 9)), axes="CYX", channels=["2", 1])
    assert chosen.channels == (2, 1)
    assert chosen.read().shape == (8, 9, 2)
    assert "channels 2, 1 of 3" in chosen.describe()
    assert "--channels" not in chosen.describe()


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ([3], "no channel 3"),
        ([-1], "no channel -1"),
        (["DAPI"], "no channel 'DAPI'"),
        ([0, 0], "chosen twice"),
        ([], "1 to 3 channels, not 0"),
        ([0, 1, 2, 3], "1 to 3 channels"),
    ],
)
def test_channels_that_are_not_there(channels: list[int | str], message: str) -> None:
    count = 4 if len(channels) == 4 else 3
    with pytest.raises(ImageError, match=re.escape(message)):
        open_image(np.zeros((count, 8, 9)), axes="CYX", channels=channels)


def test_the_only_channel_can_be_named() -> None:
    assert open_image(np.zeros((8, 9)), channels=[0]).read().shape == (8, 9)
    with pytest.raises(ImageError, match="only channel 0"):
        open_image(np.zeros((8, 9)), channels=[1])


def test_colour_loses_its_alpha() -> None:
    image = RNG.integers(0, 255, (8, 9, 4), np.uint8)
    stack = open_image(image)
    assert stack.rgb
    np.testing.assert_array_equal(stack.read(), image[..., :3])
    np.testing.assert_array_equal(
        stack.plane((), stack.normalization()).pixels, image[..., :3]
    )


def test_one_colour_of_a_colour_image() -> None:
    image = RNG.integers(0, 255, (8, 9, 3), np.uint8)
    stack = open_image(image, channels=["green"])
    assert not stack.rgb
    np.testing.assert_array_equal(stack.read(), image[..., 1])
    assert "channel 1 (green) of 3" in stack.describe()


def test_channels_of_colour_images_are_looked_at_one_by_one() -> None:
    image = np.zeros((2, 8, 9, 3), np.uint8)
    with pytest.raises(ImageError, match="choose one"):
        open_image(image, axes="CYXS", channels=[0, 1])
    assert "channel 0 of 2" in open_image(image, axes="CYXS").describe()


@pytest.mark.parametrize("index", [(), (0,), (0, 4), (0, -1), (0, 0, 0)])
def test_planes_that_are_not_there(index: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match="no plane"):
        open_image(np.zeros((2, 4, 8, 9))).read(index)


def test_planes_are_counted() -> None:
    stack = open_image(np.zeros((2, 3, 4, 8, 9)), axes="TCZYX")
    assert len(stack) == 8
    assert (stack.stack_axes, stack.stack_shape) == ("TZ", (2, 4))
    assert list(stack.indices())[:5] == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]
    single = open_image(np.zeros((8, 9)))
    assert (len(single), list(single.indices())) == (1, [()])


def test_contrast_comes_from_few_planes_of_the_whole_stack() -> None:
    asked = []

    def block(block_info: dict[object, dict[str, tuple[int, ...]]]) -> np.ndarray:
        z = block_info[None]["chunk-location"][0]
        asked.append(z)
        return np.full((1, 8, 9), z)

    lazy = da.map_blocks(
        block, chunks=((1,) * 300, (8,), (9,)), dtype=int, meta=np.empty((0, 0, 0), int)
    )
    normalization = open_image(lazy).normalization()
    assert len(asked) == 16
    assert {0, 299} <= set(asked)
    assert normalization.ranges is not None
    assert normalization.ranges[0][1] == pytest.approx(299)


@pytest.mark.parametrize("value", [0, np.nan, np.inf])
def test_planes_without_contrast_are_legitimate(value: float) -> None:
    stack = open_image(np.full((2, 8, 9), value))
    assert stack.plane((0,), stack.normalization()).pixels.shape == (8, 9, 3)


def test_a_stack_is_returned_as_it_is() -> None:
    stack = open_image(np.zeros((8, 9)), name="mine")
    assert open_image(stack) is stack
    assert stack.describe() == "mine: 1 plane of 8 × 9; float64; axes YX (2-D)"
