"""What was written is read again with the programs that others read it with."""

import contextlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import roifile
import tifffile
import zarr
from ome_zarr_models.v05 import ImageLabel
from pyarrow import parquet
from pycocotools.coco import COCO
from skimage.measure import grid_points_in_poly

from napari_sam.records.deliver import export

NAME = "zäh lüng"
Exporter = Callable[..., Path]


def drawn(rings: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose centres lie inside rings (x, y), by the even-odd rule."""
    inside = np.zeros(shape, bool)
    for ring in rings:
        inside ^= grid_points_in_poly(shape, np.asarray(ring, float)[:, ::-1] - 0.5)
    return inside


def coco_labels(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
    planes = []
    for image in coco.loadImgs(sorted(coco.getImgIds())):
        plane = np.zeros(shape, np.uint32)
        for one in coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]])):
            mask = coco.annToMask(one) > 0
            assert one["area"] == mask.sum()
            plane[mask] = one["object_id"]
        planes.append(plane)
    return np.stack(planes)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("name", ["coco", "coco-polygons"])
def test_coco_with_pycocotools(
    exported: Exporter, planes: np.ndarray, name: str
) -> None:
    path = exported(name) / "annotations.json"
    np.testing.assert_array_equal(coco_labels(path, (70, 90)), planes)
    kinds = {
        type(one["segmentation"])
        for one in json.loads(path.read_text("utf-8"))["annotations"]
    }
    assert kinds == ({dict} if name == "coco" else {dict, list})


def test_regions_of_imagej_with_roifile(exported: Exporter, planes: np.ndarray) -> None:
    path = exported("roi") / f"{NAME}.zip"
    read = np.zeros((3, 70, 90), np.uint32)
    for region in roifile.roiread(path):
        rings = region.coordinates(multi=True)
        z = region.z_position - 1
        assert region.position == z + 1
        mask = drawn(rings, (70, 90))
        read[z][mask] = int(region.name[2:7])
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert (region.top, region.left) == (rows[0], columns[0])
        assert (region.bottom, region.right) == (rows[-1] + 1, columns[-1] + 1)
    np.testing.assert_array_equal(read, planes)


def test_geojson_has_rings_that_are_valid(
    exported: Exporter, planes: np.ndarray
) -> None:
    path = exported("geojson") / f"{NAME}.geojson"
    collection = json.loads(path.read_text("utf-8"))
    assert collection["type"] == "FeatureCollection"
    read = np.zeros((3, 70, 90), np.uint32)
    ids = set()
    for feature in collection["features"]:
        geometry, about = feature["geometry"], feature["properties"]
        polygons = geometry["coordinates"]
        if geometry["type"] == "Polygon":
            polygons = [polygons]
        for polygon in polygons:
            for ring in polygon:
                assert ring[0] == ring[-1]
                corners = [tuple(point) for point in ring[:-1]]
                assert len(set(corners)) == len(corners) >= 4
        rings = [np.array(ring[:-1]) for polygon in polygons for ring in polygon]
        z = geometry["plane"]["z"]
        assert geometry["plane"] == {"c": -1, "z": z, "t": 0}
        read[z][drawn(rings, (70, 90))] = int(about["name"])
        assert about["objectType"] == "detection"
        ids.add(feature["id"])
    assert len(ids) == len(collection["features"])
    np.testing.assert_array_equal(read, planes)


def test_ome_zarr_has_a_pyramid_and_physical_sizes(
    exported: Exporter, planes: np.ndarray
) -> None:
    folder = exported("omezarr") / f"{NAME}.ome.zarr"
    group = zarr.open_group(folder, mode="r")
    np.testing.assert_array_equal(group["0"][:], planes)
    about = group.attrs["ome"]
    (image,) = about["multiscales"]
    assert [axis["name"] for axis in image["axes"]] == ["z", "y", "x"]
    assert {axis["unit"] for axis in image["axes"]} == {"micrometer"}
    assert image["datasets"][0]["coordinateTransformations"] == [
        {"type": "scale", "scale": [2.0, 0.5, 0.25]}
    ]
    assert "image-label" in about


def test_ome_zarr_is_what_the_standard_says(tmp_path: Path) -> None:
    labels = np.zeros((2, 2, 600, 1100), np.uint32)
    labels[1, 1, 300:, 900:] = 70_000
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, labels, ome=True, metadata={"axes": "TZYX"})
    export([path], tmp_path / "out", ["omezarr"])
    folder = tmp_path / "out" / "omezarr" / "a.ome.zarr"
    image = ImageLabel.from_zarr(zarr.open_group(folder, mode="r"))
    levels = image.ome_attributes.multiscales[0].datasets
    read = zarr.open_group(folder, mode="r")
    assert [read[level.path].shape[-1] for level in levels] == [1100, 550, 275, 138]
    np.testing.assert_array_equal(read["0"][:], labels)
    np.testing.assert_array_equal(read["2"][:], labels[..., ::4, ::4])


@pytest.mark.parametrize(
    ("name", "image", "mask"),
    [
        ("cellpose", "{}.tif", "{}_masks.tif"),
        ("stardist", "images/{}.tif", "masks/{}.tif"),
    ],
)
def test_masks_lie_beside_their_images(
    exported: Exporter,
    planes: np.ndarray,
    tmp_path: Path,
    name: str,
    image: str,
    mask: str,
) -> None:
    folder = exported(name)
    pixels = tifffile.imread(tmp_path / "images" / f"{NAME}.tif")
    for z, plane in enumerate(planes):
        stem = f"{NAME}_z{z:04d}"
        masks = tifffile.imread(folder / mask.format(stem))
        np.testing.assert_array_equal(masks, plane)
        there = tifffile.imread(folder / image.format(stem))
        np.testing.assert_array_equal(there, pixels[z])
        assert there.dtype == np.uint16
    assert len([p for p in folder.rglob("*") if p.is_file()]) == 6


def test_a_table_with_types(exported: Exporter, planes: np.ndarray) -> None:
    table = parquet.read_table(exported("parquet") / "objects.parquet")
    found = table.to_pylist()
    assert len(found) == 16
    for row in found:
        mask = planes[row["z"]] == row["id"]
        assert row["area"] == mask.sum()
        assert row["area_um2"] == pytest.approx(mask.sum() * 0.125, rel=1e-5)
        assert row["score"] is None and row["truncated"] is False
        assert row["class_name"] == "object"


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(
    "name", ["tiff", "omezarr", "coco", "geojson", "roi", "parquet", "yolo-detect"]
)
def test_seventy_thousand_objects(tmp_path: Path, name: str) -> None:
    side = 265
    ids = np.arange(1, side * side + 1, dtype=np.uint32).reshape(side, side)
    labels = np.zeros((side * 4, side * 4), np.uint32)
    for dy in range(3):
        for dx in range(3):
            labels[dy::4, dx::4] = ids
    assert ids.max() > 70_000
    path = tmp_path / "many.tif"
    tifffile.imwrite(path, labels)
    tifffile.imwrite(tmp_path / "image.tif", (labels > 0).astype(np.uint8))
    output = tmp_path / "out"
    report = export([path], output, [name], images=tmp_path / "image.tif")
    assert report.ok and report.inputs[0].objects == side * side
    folder = output / name
    if name == "tiff":
        read = tifffile.imread(output / "labels" / "many.tif")
    elif name == "omezarr":
        read = zarr.open_group(folder / "many.ome.zarr", mode="r")["0"][:]
    elif name == "coco":
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(str(folder / "annotations.json"))
        assert len(coco.anns) == side * side
        for one in coco.loadAnns(range(1, side * side + 1, 997)):
            mask = coco.annToMask(one) > 0
            np.testing.assert_array_equal(mask, labels == one["object_id"])
        return
    elif name == "geojson":
        read = np.zeros_like(labels)
        for one in json.loads((folder / "many.geojson").read_text())["features"]:
            (ring,) = one["geometry"]["coordinates"]
            (x0, y0), (x1, y1) = np.min(ring, 0), np.max(ring, 0)
            read[y0:y1, x0:x1] = int(one["properties"]["name"])
    elif name == "roi":
        with zipfile.ZipFile(folder / "many.zip") as pack:
            assert len(pack.namelist()) == side * side
        return
    elif name == "parquet":
        table = parquet.read_table(folder / "objects.parquet")
        assert table.column("id").to_pylist() == list(range(1, side * side + 1))
        return
    else:
        text = (folder / "labels" / "many.txt").read_text()
        assert text.count("\n") == side * side
        return
    np.testing.assert_array_equal(read, labels)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_images_without_objects_have_results_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "empty.tif"
    tifffile.imwrite(path, np.zeros((40, 50), np.uint16))
    output = tmp_path / "out"
    names = ["yolo", "yolo-seg", "yolo-detect", "coco", "coco-polygons", "sa1b"]
    names += ["omezarr", "cellpose", "stardist", "roi", "geojson", "parquet"]
    report = export([path], output, names, images=path)
    assert report.ok
    assert not coco_labels(output / "coco" / "annotations.json", (40, 50)).any()
    geojson = json.loads((output / "geojson" / "empty.geojson").read_text())
    assert geojson["type"] == "FeatureCollection" and geojson["features"] == []
    assert zipfile.ZipFile(output / "roi" / "empty.zip").namelist() == []
    assert parquet.read_table(output / "parquet" / "objects.parquet").num_rows == 0
    assert (output / "yolo-seg" / "labels" / "empty.txt").read_text() == ""
    assert (output / "yolo-seg" / "train.txt").read_text() == "./images/empty.png\n"
    assert not tifffile.imread(output / "cellpose" / "empty_masks.tif").any()


def test_a_very_long_name_keeps_its_beginning(tmp_path: Path, hard: np.ndarray) -> None:
    name = "ü" * 120
    path = tmp_path / f"{name}.tif"
    tifffile.imwrite(path, hard)
    output = tmp_path / "out"
    report = export([path], output, ["cellpose", "coco", "omezarr"], images=path)
    assert report.ok, report.inputs
    (mask,) = (output / "cellpose").glob("*_masks.tif")
    assert mask.name.startswith("ü" * 40)
    np.testing.assert_array_equal(tifffile.imread(mask), hard)
