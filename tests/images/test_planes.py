"""Large planes are read where they are looked at, and nowhere else."""

import numpy as np
import pytest
import tifffile
import zarr

from napari_sam.images import LargePlane, Normalization, make_plane, open_image
from napari_sam.images import planes as planes_module
from napari_sam.images import tiff as tiff_module
from napari_sam.images.planes import sample_boxes
from napari_sam.types import ImageError

BOX = (10, 20, 150, 203)


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch):
    monkeypatch.setattr(planes_module, "LARGE", 10_000)
    monkeypatch.setattr(tiff_module, "_LARGE_PAGE", 10_000)


@pytest.fixture(scope="module")
def stack():
    random = np.random.default_rng(0)
    return random.integers(100, 40_000, (3, 300, 260), dtype=np.uint16)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"imagej": True},
        {"tile": (64, 64), "compression": "zlib"},
        {"rowsperstrip": 16, "compression": "zlib"},
        {"rowsperstrip": 300, "compression": "zlib"},
    ],
    ids=["plain", "big-endian", "imagej", "tiles", "strips", "one-strip"],
)
def test_parts_of_tiff_pages_are_those_of_the_whole(tmp_path, stack, options):
    path = tmp_path / "stack.tif"
    options = {"photometric": "minisblack", **options}
    tifffile.imwrite(path, stack, metadata={"axes": "ZYX"}, **options)
    with open_image(path) as image:
        y0, x0, y1, x1 = BOX
        for z in (0, 2):
            part = image.read((z,), BOX)
            assert part.dtype == np.uint16
            assert np.array_equal(part, stack[z, y0:y1, x0:x1])
        plane = image.plane((1,))
        assert isinstance(plane, LargePlane)
        assert plane.shape == (300, 260)
        assert np.array_equal(plane.crop(BOX).pixels, plane.pixels[y0:y1, x0:x1])


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_parts_of_colour_pages(tmp_path, planar):
    colours = np.random.default_rng(1).integers(0, 256, (200, 220, 3), np.uint8)
    pages = colours if planar == "contig" else colours.transpose(2, 0, 1).copy()
    path = tmp_path / "colour.tif"
    tifffile.imwrite(path, pages, photometric="rgb", planarconfig=planar)
    with open_image(path) as image:
        plane = image.plane()
        assert np.array_equal(plane.crop((5, 6, 99, 80)).pixels, colours[5:99, 6:80])
        assert np.array_equal(plane.pixels, colours)


def test_only_the_pieces_that_a_part_lies_on_are_decoded(tmp_path, monkeypatch):
    path = tmp_path / "tiles.tif"
    pixels = np.random.default_rng(2).integers(0, 256, (640, 640), np.uint8)
    tifffile.imwrite(path, pixels, tile=(64, 64), compression="zlib")
    monkeypatch.setattr(tifffile.TiffPage, "asarray", None)
    with open_image(path) as image:
        assert np.array_equal(image.read((), (0, 0, 64, 64)), pixels[:64, :64])
        (number, pieces) = image._reader._pieces
        assert (number, pieces.chunks) == (0, (64, 64))


def test_a_large_plane_is_what_it_would_be_in_memory(stack, monkeypatch):
    contrast = Normalization(ranges=((100.0, 30_000.0),))
    lazy = open_image(stack, axes="ZYX").plane((2,), contrast, diameter=12.0)
    assert (lazy.index, lazy.diameter, lazy.shape) == ((2,), 12.0, (300, 260))
    array = make_plane(stack[2], contrast)
    assert isinstance(array, LargePlane)
    monkeypatch.setattr(planes_module, "LARGE", 10**9)
    small = make_plane(stack[2], contrast)
    assert not isinstance(small, LargePlane)
    for large in (lazy, array):
        assert np.array_equal(large.pixels, small.pixels)
        assert np.array_equal(large.crop(BOX).pixels, small.crop(BOX).pixels)
    assert lazy.crop(BOX).diameter == 12.0


def test_contrast_comes_from_fixed_blocks(tmp_path):
    values = np.arange(4000 * 3000, dtype=np.float32).reshape(4000, 3000)
    store = zarr.create_array(
        tmp_path / "a.zarr", shape=values.shape, chunks=(128, 128), dtype="f4"
    )
    store[:] = values
    image = open_image(tmp_path / "a.zarr", axes="YX")
    ((low, high),) = image.normalization().ranges
    boxes = list(sample_boxes(values.shape))
    assert len(set(boxes)) == 64
    blocks = np.concatenate([values[a:c, b:d].ravel() for a, b, c, d in boxes])
    assert (low, high) == pytest.approx(np.percentile(blocks, (0.5, 99.8)))
    own = image.plane((), Normalization("plane"))
    assert own.normalization.ranges == image.normalization().ranges


def test_one_colour_is_told_from_many_without_reading_on():
    looked = []

    def plane(colours):
        def paint(box):
            looked.append(box)
            y0, x0, y1, x1 = box
            return colours[y0:y1, x0:x1]

        return LargePlane(paint, colours.shape[:2], (), Normalization())

    grey = np.full((5000, 3000, 3), 7, np.uint8)
    assert plane(grey).is_flat()
    assert len(looked) == 4
    looked.clear()
    grey[3, 4] = 8
    assert not plane(grey).is_flat()
    assert len(looked) == 1
    assert not make_plane(np.arange(12).reshape(3, 4)).is_flat()


def test_a_length_in_a_plane(tmp_path):
    path = tmp_path / "sized.tif"
    metadata = {"axes": "YX", "unit": "um"}
    pixels = np.zeros((9, 9), np.uint8)
    tifffile.imwrite(path, pixels, imagej=True, resolution=(2, 2), metadata=metadata)
    with open_image(path) as image:
        assert image.pixels_of("8 um") == pytest.approx(16)
        assert image.pixels_of(12) == 12
        assert image.pixels_of(None) is None
    with pytest.raises(ImageError, match="give the diameter in pixels"):
        open_image(pixels).pixels_of("8 um")
