from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from napari_sam.images import open_image
from napari_sam.types import ImageError

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = np.random.default_rng(0).integers(0, 60_000, (2, 3, 4, 16, 20), np.uint16)


def ome(version: str, **more: Any) -> dict[str, Any]:
    units = {"t": "minute", "z": "micrometer", "y": "nanometer", "x": "nanometer"}
    kinds = {"t": "time", "c": "channel"}
    axes = [
        {"name": a, "type": kinds.get(a, "space")}
        | ({"unit": units[a]} if a in units else {})
        for a in "tczyx"
    ]
    levels = [
        {
            "path": str(i),
            "coordinateTransformations": [{"type": "scale", "scale": scale}],
        }
        for i, scale in enumerate([[1, 1, 2, 250, 250], [1, 1, 2, 500, 500]])
    ]
    image = {
        "axes": axes,
        "datasets": levels,
        "version": version,
        "coordinateTransformations": [{"type": "scale", "scale": [5, 1, 1, 1, 1]}],
    }
    channels = [{"label": name} for name in ("DAPI", "GFP", "phase")]
    return {"multiscales": [image], "omero": {"channels": channels}, **more}


def write(path: Path, version: str = "0.5") -> Path:
    group = zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)
    for name, level in {"0": IMAGE, "1": IMAGE[..., ::2, ::2]}.items():
        group.create_array(name, data=level, chunks=(1, 1, 1, 16, 20))
    meta = ome(version)
    group.attrs.update({"ome": meta} if version == "0.5" else meta)
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr(tmp_path: Path, version: str) -> None:
    with open_image(write(tmp_path / "a.zarr", version), channels=["GFP"]) as stack:
        assert stack.axes == "TCZYX"
        np.testing.assert_array_equal(stack.read((1, 2)), IMAGE[1, 1, 2])
        assert stack.pixel_size == {
            "T": (300.0, "second"),
            "Z": (2.0, "micrometer"),
            "Y": (0.25, "micrometer"),
            "X": (0.25, "micrometer"),
        }
        assert "channel 1 (GFP) of 3" in stack.describe()


def test_old_ome_zarr_without_axes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zarr", "0.4")
    group = zarr.open_group(path)
    group.attrs["multiscales"] = [{"datasets": [{"path": "0"}], "version": "0.1"}]
    with open_image(path) as stack:
        assert stack.axes == "TCZYX"
        assert stack.pixel_size == {}


def test_one_level_of_an_ome_zarr(tmp_path: Path) -> None:
    with open_image(write(tmp_path / "a.zarr") / "1") as stack:
        assert stack.plane_shape == (8, 10)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_plain_arrays(tmp_path: Path, zarr_format: Any) -> None:
    path = tmp_path / "a.zarr"
    array = zarr.create_array(
        path, data=IMAGE[0, 0], chunks=(3, 7, 9), zarr_format=zarr_format
    )
    for source in (path, str(path), array):
        stack = open_image(source)
        assert stack.axes == "ZYX"
        np.testing.assert_array_equal(stack.read((3,)), IMAGE[0, 0, 3])


def test_names_of_dimensions(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=IMAGE[0], dimension_names=["z", "channel", "y", "x"])
    with open_image(path) as stack:
        assert stack.axes == "ZCYX"
    old = tmp_path / "old.zarr"
    array = zarr.create_array(old, data=IMAGE[0], zarr_format=2)
    array.attrs["_ARRAY_DIMENSIONS"] = ["time", "z", "y", "x"]
    with open_image(old) as stack:
        assert stack.axes == "TZYX"


def test_a_group_with_one_array(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    zarr.open_group(path, mode="w").create_array("raw", data=IMAGE[0])
    with open_image(path) as stack:
        assert stack.shape == IMAGE[0].shape


def test_bioformats2raw_folders(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    zarr.open_group(path, mode="w").attrs["ome"] = {"bioformats2raw.layout": 3}
    write(path / "0")
    with open_image(path) as stack:
        assert stack.shape == IMAGE.shape
    write(path / "1")
    with pytest.raises(
        ImageError, match=r"2 images in it: give one, for example .*a\.zarr/0"
    ):
        open_image(path)


def no_array(path: Path) -> None:
    zarr.open_group(path, mode="w")


def no_metadata(path: Path) -> None:
    path.mkdir()


def broken_metadata(path: Path) -> None:
    path.mkdir()
    (path / "zarr.json").write_text("{")


def two_arrays(path: Path) -> None:
    group = zarr.open_group(path, mode="w")
    group.create_array("a", data=IMAGE)
    group.create_array("b", data=IMAGE)


def plate(path: Path) -> None:
    zarr.open_group(path, mode="w").attrs["ome"] = {"plate": {"wells": []}}


def level_missing(path: Path) -> None:
    write(path)
    zarr.open_group(path).attrs["ome"] = {
        "multiscales": [
            {"axes": ome("0.5")["multiscales"][0]["axes"], "datasets": [{"path": "9"}]}
        ]
    }


def no_levels(path: Path) -> None:
    zarr.open_group(path, mode="w").attrs["ome"] = {"multiscales": [{"axes": []}]}


def complex_numbers(path: Path) -> None:
    zarr.create_array(path, data=np.zeros((4, 4), complex))


def zero_size(path: Path) -> None:
    zarr.create_array(path, shape=(0, 4, 4), dtype="u1", chunks=(1, 4, 4))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (no_array, "no array in this Zarr group"),
        (no_metadata, "metadata is missing or damaged"),
        (broken_metadata, "metadata is missing or damaged"),
        (two_arrays, r"several arrays in it \(a, b\): give one"),
        (plate, "plate or well"),
        (level_missing, "not valid"),
        (no_levels, "not valid"),
        (complex_numbers, "complex128"),
        (zero_size, "empty"),
    ],
)
def test_zarrs_that_are_no_images(tmp_path: Path, make: Any, message: str) -> None:
    path = tmp_path / "a.zarr"
    make(path)
    with pytest.raises(ImageError, match=message) as caught:
        open_image(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_chunk(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zarr")
    (path / "0" / "c" / "0" / "0" / "1" / "0" / "0").write_bytes(b"rubbish")
    with open_image(path) as stack:
        np.testing.assert_array_equal(stack.read((0, 0)), IMAGE[0, 0, 0])
        with pytest.raises(ImageError, match="T=0, Z=1 cannot be read"):
            stack.read((0, 1))
