from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_sam.images import open_image, planes
from napari_sam.records import labels as module
from napari_sam.records.labels import choose_flavour, label_dtype, write_labels

SIZES = {
    "T": (30.0, "second"),
    "Z": (2.0, "micrometer"),
    "Y": (0.25, "micrometer"),
    "X": (0.5, "micrometer"),
}


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        ("YX", (9, 7)),
        ("ZYX", (3, 9, 7)),
        ("TYX", (3, 9, 7)),
        ("TZYX", (2, 3, 9, 7)),
        ("ZTYX", (2, 3, 9, 7)),
        ("ZYX", (1, 9, 7)),
        ("TZYX", (2, 1, 9, 7)),
        ("TZYX", (2, 3, 9, 1)),
        ("YXZ", (9, 7, 3)),
    ],
)
def test_labels_come_back_with_shape_axes_and_pixel_size(
    tmp_path: Path, axes: str, shape: tuple[int, ...], dtype: type
) -> None:
    path = tmp_path / "labels.tif"
    labels = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    pages = iter(labels.reshape(-1, *shape[-2:]))
    write_labels(path, pages, axes=axes, shape=shape, dtype=dtype, pixel_size=SIZES)
    read = tifffile.imread(path)
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, labels)
    if 1 in shape[:-2] or not axes.endswith("YX"):
        with tifffile.TiffFile(path) as tiff:  # pixels per centimetre
            assert tiff.pages.first.resolution == pytest.approx((20_000, 40_000))
        return
    with open_image(path) as image:
        assert image.axes == axes
        assert image.pixel_size.keys() == set(axes)
        for axis, (size, unit) in image.pixel_size.items():
            assert (size, unit) == (pytest.approx(SIZES[axis][0]), SIZES[axis][1])


def test_each_flavour_gets_what_it_can_hold() -> None:
    assert choose_flavour("TZYX", (2, 3, 9, 7), np.uint16, 100) == "imagej"
    assert choose_flavour("TZYX", (2, 3, 9, 7), np.uint32, 100) == "ome"
    assert choose_flavour("TZYX", (2, 3, 9, 7), np.uint16, 2**32) == "ome"
    assert choose_flavour("ZTYX", (2, 3, 9, 7), np.uint16, 100) == "ome"
    assert choose_flavour("ZYX", (1, 9, 7), np.uint16, 100) == "shaped"


def test_large_pages_are_one_strip_each(tmp_path: Path) -> None:
    path = tmp_path / "labels.tif"
    page = np.arange(700 * 900, dtype=np.uint32).reshape(700, 900) % 60000
    write_labels(
        path,
        (page + i for i in range(3)),
        axes="ZYX",
        shape=(3, 700, 900),
        dtype=np.uint16,
        pixel_size={},
    )
    read = tifffile.imread(path)
    np.testing.assert_array_equal(read[2], page + 2)


def test_ids_above_65535_need_32_bits() -> None:
    assert label_dtype(0) == np.uint16
    assert label_dtype(65535) == np.uint16
    assert label_dtype(65536) == np.uint32


def test_large_planes_are_written_in_tiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planes, "LARGE", 10_000)
    monkeypatch.setattr(module, "_TILE", 64)
    labels = np.random.default_rng(0).integers(0, 9, (2, 150, 210), np.uint32)
    path = tmp_path / "labels.tif"
    write_labels(
        path,
        iter(labels),
        axes="ZYX",
        shape=labels.shape,
        dtype=np.uint16,
        pixel_size=SIZES,
    )
    with tifffile.TiffFile(path) as file:
        assert file.pages[1].chunks == (64, 64)
        assert np.array_equal(file.asarray(), labels)
    with open_image(path) as image:
        assert (image.axes, image.shape) == ("ZYX", labels.shape)
