from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_sam.images import Normalization, open_image
from napari_sam.types import ImageError

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(0)
HYPERSTACK = RNG.integers(0, 60_000, (2, 4, 3, 32, 48), np.uint16)
PLAIN = HYPERSTACK.reshape(-1, 32, 48)
OME_ORDERS = ["TCZYX", "TZCYX", "CTZYX", "CZTYX", "ZTCYX", "ZCTYX"]

WAYS: dict[str, dict[str, Any]] = {
    "one block": {},
    "bare": {"metadata": None},
    "strips": {"rowsperstrip": 10},
    "deflate": {"compression": "zlib"},
    "lzw": {"compression": "lzw", "predictor": True},
    "zstd": {"compression": "zstd"},
    "tiled": {"tile": (16, 16)},
    "tiled and deflate": {"tile": (32, 32), "compression": "zlib"},
    "bigtiff": {"bigtiff": True},
    "big endian": {"byteorder": ">"},
    "imagej": {"imagej": True},
    "imagej, one page for all": {"imagej": True, "truncate": True},
    "ome": {"ome": True},
}


def planes_of(path: Path, **options: Any) -> np.ndarray:
    with open_image(path, **options) as stack:
        return np.stack([stack.read(index) for index in stack.indices()])


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_write_a_stack(tmp_path: Path, way: str) -> None:
    path = tmp_path / "a.tif"
    options = {"photometric": "minisblack", **WAYS[way]}
    tifffile.imwrite(path, PLAIN, **options)
    np.testing.assert_array_equal(planes_of(path, axes="ZYX"), PLAIN)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_cut_short(tmp_path: Path, way: str) -> None:
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, PLAIN, **{"photometric": "minisblack", **WAYS[way]})
    data = path.read_bytes()
    for part in (0.3, 0.7, 0.9):
        path.write_bytes(data[: int(len(data) * part)])
        with pytest.raises(ImageError, match=r"damaged or cut short.*again") as caught:
            open_image(path, axes="ZYX")
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("lost", [1, 100, 1000])
def test_a_cut_last_page(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "cut.tif"
    # The list of pages comes first, so only the pixels of the last page are cut.
    with tifffile.TiffWriter(path) as writer:
        for plane in PLAIN:
            writer.write(plane, contiguous=False, metadata=None, compression="zlib")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - lost])
    with pytest.raises(ImageError, match=r"ends beyond the end|breaks off"):
        open_image(path)


def test_damage_inside_a_page_is_found_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PLAIN, compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages[5].dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[start : start + 200] = bytes(200)
    path.write_bytes(data)
    with open_image(path) as stack:
        np.testing.assert_array_equal(stack.read((4,)), PLAIN[4])
        with pytest.raises(ImageError, match=r"Z=5 cannot be read") as caught:
            stack.read((5,))
        np.testing.assert_array_equal(stack.read((6,)), PLAIN[6])
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("order", OME_ORDERS)
def test_ome_orders(tmp_path: Path, order: str) -> None:
    path = tmp_path / "a.ome.tif"
    turned = HYPERSTACK.transpose(["TZCYX".index(axis) for axis in order])
    metadata = {
        "axes": order,
        "PhysicalSizeX": 250,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeZ": 2.0,
        "TimeIncrement": 2,
        "TimeIncrementUnit": "min",
        "Channel": {"Name": ["DAPI", "GFP", "Brightfield"]},
    }
    tifffile.imwrite(path, turned, metadata=metadata, photometric="minisblack")
    with open_image(path, channels=["gfp", 0]) as stack:
        index = tuple({"T": 1, "Z": 2}[axis] for axis in stack.stack_axes)
        expected = HYPERSTACK[1, 2, [1, 0]].transpose(1, 2, 0)
        np.testing.assert_array_equal(stack.read(index), expected)
        assert stack.axes == order
        assert stack.channel_names == ("DAPI", "GFP", "Brightfield")
        assert stack.pixel_size == {
            "T": (120.0, "second"),
            "Z": (2.0, "micrometer"),
            "X": (0.25, "micrometer"),
        }
        assert "channels 1 (GFP), 0 (DAPI) of 3" in stack.describe()
        assert "from OME" in stack.describe()


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("one_page", [False, True])
def test_imagej_hyperstacks(
    tmp_path: Path, compression: str | None, one_page: bool
) -> None:
    path = tmp_path / "a.tif"
    metadata = {"axes": "TZCYX", "unit": "micron", "spacing": 1.5, "finterval": 30.0}
    tifffile.imwrite(
        path,
        HYPERSTACK,
        imagej=True,
        metadata=metadata,
        resolution=(4.0, 2.0),
        compression=compression,
        truncate=one_page and compression is None,
    )
    with open_image(path, channels=[2]) as stack:
        assert stack.shape == HYPERSTACK.shape
        np.testing.assert_array_equal(stack.read((1, 3)), HYPERSTACK[1, 3, 2])
        assert stack.pixel_size == {
            "T": (30.0, "second"),
            "Z": (1.5, "micrometer"),
            "Y": (0.5, "micrometer"),
            "X": (0.25, "micrometer"),
        }
        assert "from ImageJ" in stack.describe()


def test_imagej_names_channels(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    metadata = {"axes": "CYX", "Labels": ["nuclei", "membrane", "phase"]}
    tifffile.imwrite(path, PLAIN[:3], imagej=True, metadata=metadata)
    with open_image(path, channels=["membrane"]) as stack:
        np.testing.assert_array_equal(stack.read(), PLAIN[1])


@pytest.mark.parametrize("unit", ["pixel", "", None])
def test_pixels_are_no_length(tmp_path: Path, unit: str | None) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, PLAIN, imagej=True, metadata={"unit": unit}, resolution=(4, 4)
    )
    with open_image(path) as stack:
        assert stack.pixel_size == {}


def test_imagej_writes_micrometers_as_an_escape(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    metadata = {"unit": "\\u00B5m"}
    tifffile.imwrite(path, PLAIN, imagej=True, metadata=metadata, resolution=(2, 2))
    with open_image(path) as stack:
        assert stack.pixel_size["X"] == (0.5, "micrometer")


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("samples", [3, 4])
def test_colour_pages(tmp_path: Path, planar: str, samples: int) -> None:
    path = tmp_path / "a.tif"
    colour = RNG.integers(0, 255, (5, 32, 48, samples), np.uint8)
    stored = colour if planar == "contig" else np.moveaxis(colour, -1, 1)
    tifffile.imwrite(
        path,
        stored,
        photometric="rgb",
        planarconfig=planar,
        extrasamples=["unassalpha"] * (samples - 3),
    )
    with open_image(path) as stack:
        assert stack.rgb
        np.testing.assert_array_equal(stack.read((3,)), colour[3, ..., :3])


@pytest.mark.parametrize("samples", [2, 3, 5])
def test_samples_that_are_no_colours_are_channels(tmp_path: Path, samples: int) -> None:
    path = tmp_path / "a.tif"
    image = RNG.integers(0, 60_000, (32, 48, samples), np.uint16)
    tifffile.imwrite(path, image, photometric="minisblack", planarconfig="contig")
    with open_image(path, channels=[1]) as stack:
        assert not stack.rgb
        np.testing.assert_array_equal(stack.read(), image[..., 1])


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int16", "uint32", "f2", "f4", "f8"]
)
def test_pixel_types(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "a.tif"
    image = (PLAIN[0] % 7 - 2.0 > 0 if dtype == "bool" else PLAIN[0] % 100).astype(
        dtype
    )
    tifffile.imwrite(path, image)
    with open_image(path) as stack:
        assert stack.dtype == dtype
        np.testing.assert_array_equal(stack.read(), image)


def test_packed_12_bits(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    image = PLAIN[0] % 4096
    with tifffile.TiffWriter(path) as writer:
        packed = _pack12(image)
        writer.write(
            iter([packed]),
            shape=image.shape,
            dtype="uint16",
            bitspersample=12,
            photometric="minisblack",
            rowsperstrip=image.shape[0],
        )
    with open_image(path) as stack:
        np.testing.assert_array_equal(stack.read(), image)


def _pack12(image: np.ndarray) -> bytes:
    bits = np.unpackbits(image.astype(">u2").view(np.uint8).reshape(-1, 2), axis=1)
    return np.packbits(bits[:, 4:]).tobytes()


def test_a_stack_from_pillow(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    first, *others = [Image.fromarray(plane) for plane in PLAIN]
    first.save(path, save_all=True, append_images=others)
    np.testing.assert_array_equal(planes_of(path), PLAIN)


def test_pyramids_are_read_at_full_resolution(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(PLAIN[0], subifds=1, tile=(16, 16))
        writer.write(PLAIN[0, ::2, ::2], subfiletype=1, tile=(16, 16))
    with open_image(path) as stack:
        np.testing.assert_array_equal(stack.read(), PLAIN[0])


@pytest.mark.parametrize("colour", [False, True])
def test_a_pyramid_gives_its_smaller_sizes(
    tmp_path: Path, colour: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_sam.images.planes.LARGE", 100)
    path, axes = tmp_path / "a.ome.tif", "ZYXS" if colour else "ZYX"
    shape = (3, 130, 96, 3) if colour else (3, 130, 96)
    whole = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    kind = "rgb" if colour else "minisblack"
    with tifffile.TiffWriter(path) as writer:
        options = {"tile": (16, 16), "photometric": kind, "compression": "zlib"}
        writer.write(whole, subifds=2, metadata={"axes": axes}, **options)
        writer.write(whole[:, ::2, ::2], subfiletype=1, **options)
        writer.write(whole[:, ::4, ::4], subfiletype=1, **options)
    with open_image(path) as stack:
        assert stack.axes == axes
        plane = stack.plane((1,), Normalization("stack", ((0.0, 255.0),)))
        found = dict(plane.coarser)
        assert list(found) == [2, 4]
        for factor, coarse in found.items():
            wanted = whole[1, ::factor, ::factor]
            wanted = wanted if colour else np.stack([wanted] * 3, axis=-1)
            np.testing.assert_array_equal(coarse.pixels, wanted)
            part = coarse.crop((3, 5, 17, 20)).pixels
            np.testing.assert_array_equal(part, wanted[3:17, 5:20])


def test_a_damaged_smaller_size_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_sam.images.planes.LARGE", 100)
    path = tmp_path / "a.ome.tif"
    noise = np.random.default_rng(0).integers(0, 255, (128, 96)).astype(np.uint8)
    with tifffile.TiffWriter(path) as writer:
        writer.write(noise, subifds=1, tile=(16, 16), compression="zlib")
        writer.write(noise[::2, ::2], subfiletype=1, tile=(16, 16), compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        start = tiff.series[0].levels[1].keyframe.dataoffsets[0]
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\0" * 20)
    with open_image(path) as stack:
        np.testing.assert_array_equal(stack.read(), noise)
        ((_, coarse),) = stack.plane((), stack.normalization()).coarser
        with pytest.raises(ImageError, match="the data is damaged"):
            coarse.crop((0, 0, 8, 8))


def test_pages_written_one_by_one_are_a_stack(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for plane in PLAIN:
            writer.write(plane)
    np.testing.assert_array_equal(planes_of(path), PLAIN)


def test_further_images_in_a_file_are_mentioned(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(PLAIN[:5])
        writer.write(PLAIN[:6, :16])
    with open_image(path) as stack:
        assert stack.shape == (5, 32, 48)
        assert "the first of 2 images" in stack.describe()


def test_an_ome_file_without_all_its_planes(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, PLAIN, metadata={"axes": "ZYX"}, ome=True)
    data = path.read_bytes()
    path.write_bytes(data.replace(b'SizeZ="24"', b'SizeZ="28"'))
    with pytest.raises(ImageError, match="4 of its 28 planes are missing"):
        open_image(path)


def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PLAIN[0].astype(np.complex64))
    with pytest.raises(ImageError, match=r"a\.tif: .*complex64.*real numbers"):
        open_image(path)


def test_a_tiff_without_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for content in (
        b"II*\0",
        b"II*\0\0\0\0\0",
        b"II*\0\x08\0\0\0",
        b"MM\0*" + b"x" * 99,
    ):
        path.write_bytes(content)
        with pytest.raises(ImageError, match="damaged or cut short"):
            open_image(path)


def test_axes_that_run_over_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PLAIN[:8])
    np.testing.assert_array_equal(
        planes_of(path, axes="YXZ"), np.moveaxis(PLAIN[:8], -1, 0)
    )


def test_tifffile_keeps_quiet(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PLAIN)
    path.write_bytes(path.read_bytes()[:30_000])
    with pytest.raises(ImageError):
        open_image(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("way", ["one block", "deflate", "imagej, one page for all"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, way: str) -> None:
    peaks = []
    for count in (20, 200):
        path = tmp_path / f"{count}.tif"
        image = np.zeros((count, 256, 256), np.uint16)
        tifffile.imwrite(path, image, photometric="minisblack", **WAYS[way])
        tracemalloc.start()
        with open_image(path) as stack:
            stack.normalization()
            for index in stack.indices():
                stack.read(index)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 1_000_000  # the files differ by 23 MB
