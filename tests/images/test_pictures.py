from __future__ import annotations

from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from napari_sam.images import open_image
from napari_sam.types import ImageError

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("mode", "axes", "dtype"),
    [
        ("1", "YX", "bool"),
        ("L", "YX", "uint8"),
        ("LA", "YX", "uint8"),
        ("I;16", "YX", "uint16"),
        ("RGB", "YXS", "uint8"),
        ("RGBA", "YXS", "uint8"),
        ("P", "YXS", "uint8"),
    ],
)
def test_png_of_every_mode(tmp_path: Path, mode: str, axes: str, dtype: str) -> None:
    path = tmp_path / "a.png"
    picture = Image.new(mode, (9, 8))
    picture.putpixel((2, 5), 1)
    picture.save(path)
    stack = open_image(path)
    assert (stack.axes, stack.dtype, stack.plane_shape) == (axes, dtype, (8, 9))
    plane = stack.read()
    assert plane.dtype == dtype
    assert plane.shape == ((8, 9, 3) if stack.rgb else (8, 9))
    if axes == "YX":
        assert plane[5, 2] == 1


def test_palette_with_transparency(tmp_path: Path) -> None:
    colours = RNG.integers(0, 255, (8, 9, 3), np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(colours).quantize(100).save(path, transparency=bytes(range(100)))
    np.testing.assert_array_equal(open_image(path).read(), colours)


@pytest.mark.parametrize("samples", [3, 4])
def test_colour_of_16_bits_is_kept(tmp_path: Path, samples: int) -> None:
    image = RNG.integers(0, 65535, (8, 9, samples), np.uint16)
    path = tmp_path / "a.png"
    path.write_bytes(imagecodecs.png_encode(image))
    stack = open_image(path)
    assert stack.dtype == np.uint16
    np.testing.assert_array_equal(stack.read(), image[..., :3])


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "YCbCr"])
def test_jpeg(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.jpg"
    Image.new(mode, (90, 80)).save(path)
    stack = open_image(path)
    assert stack.rgb == (mode != "L")
    assert stack.read().shape[:2] == (80, 90)


def test_the_content_counts_and_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "really_a_png.tif"
    Image.new("L", (9, 8)).save(path, "PNG")
    assert open_image(path).plane_shape == (8, 9)


def test_large_pictures_are_no_bombs(tmp_path: Path) -> None:
    path = tmp_path / "slide.png"
    Image.new("1", (20_000, 10_000)).save(path)
    assert open_image(path).plane_shape == (10_000, 20_000)
    assert not open_image(path).read().any()


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("part", [0.05, 0.5, 0.9])
def test_cut_pictures(tmp_path: Path, suffix: str, part: float) -> None:
    path = tmp_path / f"cut{suffix}"
    Image.fromarray(RNG.integers(0, 255, (80, 90), np.uint8)).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ImageError, match=r"damaged.*again") as caught:
        open_image(path).read()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_header_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\nrubbish rubbish rubbish")
    with pytest.raises(ImageError, match="damaged"):
        open_image(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"cell,area\n1,20\n", "neither TIFF, PNG, JPEG nor Zarr"),
        (b"GIF89a........", "neither TIFF"),
    ],
)
def test_files_that_are_no_images(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=message) as caught:
        open_image(path)
    assert str(path) in str(caught.value)


def test_folders_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="this is a folder"):
        open_image(tmp_path)
    with pytest.raises(ImageError, match="no such file"):
        open_image(tmp_path / "nothing.tif")
