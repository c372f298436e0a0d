"""What we wrote, and what others write, read into labels again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import roifile
import tifffile
from PIL import Image

from napari_sam.records.deliver import export
from napari_sam.records.reading import can_read, read
from napari_sam.records.single import write_single
from napari_sam.types import NapariSamError

NAME = "zäh lüng"
Exporter = Callable[..., Path]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("omezarr", f"{NAME}.ome.zarr"),
        ("omezarr", f"{NAME}.ome.zarr/zarr.json"),
        ("coco", "annotations.json"),
        ("coco-polygons", "annotations.json"),
        ("geojson", f"{NAME}.geojson"),
        ("roi", f"{NAME}.zip"),
        ("tiff", f"../labels/{NAME}.tif"),
        ("tiff", ".."),
    ],
)
def test_stacks_come_back_with_their_ids(
    exported: Exporter, planes: np.ndarray, name: str, place: str
) -> None:
    path = (exported(name) / place).resolve()
    assert can_read(path) or path.suffix == ".tif"
    (found,) = read(path)
    assert found.axes == "ZYX"
    assert found.name == ("annotations" if place == "" else NAME)
    np.testing.assert_array_equal(found.labels, planes)
    if name in ("omezarr", "tiff"):
        assert found.pixel_size["X"] == (pytest.approx(0.25), "micrometer")


def test_masks_and_records_of_planes(exported: Exporter, planes: np.ndarray) -> None:
    folder = exported("cellpose")
    for z, plane in enumerate(planes):
        path = folder / f"{NAME}_z{z:04d}_masks.tif"
        assert can_read(path) and not can_read(folder / f"{NAME}_z{z:04d}.tif")
        np.testing.assert_array_equal(read(path)[0].labels, plane)


def same_objects(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two label images show the same objects under other numbers."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1).T
    return all(len(set(column)) == len(pairs) for column in pairs.T)


def test_records_of_sa1b(exported: Exporter, planes: np.ndarray) -> None:
    for z, plane in enumerate(planes):
        path = exported("sa1b", overwrite=True) / NAME / f"z{z:04d}.json"
        assert same_objects(read(path)[0].labels, plane)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_rows_of_yolo_get_the_size_of_their_image(
    exported: Exporter, planes: np.ndarray
) -> None:
    folder = exported("yolo-seg")
    first, empty, _ = read(folder)
    assert first.labels.shape == planes[0].shape and not empty.labels.any()
    for number in np.unique(planes[0])[1:]:
        mask = planes[0] == number
        best = max(iou(first.labels == n, mask) for n in np.unique(first.labels[mask]))
        # The one-pixel object's neighbours are its corners.
        assert best > 0.9, number
    (folder / "images" / f"{NAME}_z0000.png").unlink()
    path = folder / "labels" / f"{NAME}_z0000.txt"
    with pytest.raises(NapariSamError, match="whose size nobody knows"):
        read(path)
    assert read(path, (5, 200, 100))[0].labels.shape == (200, 100)


def test_boxes_of_yolo_are_filled(tmp_path: Path) -> None:
    Image.new("L", (100, 50)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("1 0.5 0.5 0.2 0.4\n")
    (tmp_path / "classes.txt").write_text("cell\nnucleus\n")
    (found,) = read(tmp_path / "a.txt")
    expected = np.zeros((50, 100), np.uint32)
    expected[15:35, 40:60] = 1
    np.testing.assert_array_equal(found.labels, expected)
    assert found.features == {"index": [1], "class_name": ["nucleus"]}


def test_regions_drawn_in_imagej(tmp_path: Path) -> None:
    """An oval and a polygon without our names, on slices of a stack."""
    box = roifile.ImagejRoi(
        roitype=roifile.ROI_TYPE.RECT, left=3, top=2, right=9, bottom=7, position=2
    )
    triangle = roifile.ImagejRoi.frompoints([[20, 0], [31, 0], [20, 11]])
    triangle.position = 1
    line = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.LINE, x1=1, y1=1, x2=5, y2=5)
    path = tmp_path / "RoiSet.zip"
    roifile.roiwrite(path, [box, triangle, line], name=["b", "t", "l"])
    (found,) = read(path)
    assert found.labels.shape == (2, 10, 30) and found.axes == "ZYX"
    assert (found.labels[1, 2:7, 3:9] > 0).all()
    assert np.count_nonzero(found.labels[1]) == 30
    assert "1 regions are no areas" in found.notes[0]
    (found,) = read(path, (4, 40, 50))
    assert found.labels.shape == (4, 40, 50)


def test_geojson_of_qupath(tmp_path: Path) -> None:
    ring = [[1.5, 1.5], [11.5, 1.5], [11.5, 9.5], [1.5, 9.5], [1.5, 1.5]]
    hole = [[4, 4], [6, 4], [6, 6], [4, 6], [4, 4]]
    features = [
        {
            "type": "Feature",
            "id": "PathDetectionObject",
            "geometry": {"type": "Polygon", "coordinates": [ring, hole]},
            "properties": {
                "isLocked": False,
                "classification": {"name": "Tumor", "colorRGB": -3670016},
            },
        },
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [1, 2]},
            "properties": {},
        },
    ]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(features))
    (found,) = read(path, (30, 40))
    assert found.labels.shape == (30, 40)
    assert np.count_nonzero(found.labels) == 80 - 4
    assert found.features["class_name"] == ["Tumor"]
    assert "1 features are no areas" in found.notes[0]


def test_overlapping_masks_lie_on_top_of_each_other(tmp_path: Path) -> None:
    coco = {
        "images": [{"id": 1, "width": 20, "height": 10, "file_name": "x/a.png"}],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "annotations": [
            {
                "image_id": 1,
                "category_id": c,
                "segmentation": [[0, 0, w, 0, w, w, 0, w]],
            }
            for c, w in ((1, 4), (2, 8))
        ],
    }
    path = tmp_path / "a.json"
    path.write_text(json.dumps(coco))
    (found,) = read(path)
    assert found.name == "a" and found.labels.shape == (10, 20)
    sizes = dict(zip(*np.unique(found.labels, return_counts=True), strict=True))
    assert sizes == {0: 136, 1: 48, 2: 16}
    assert found.features == {"index": [1, 2], "class_name": ["b", "a"]}
    assert "overlap on 16 pixels" in found.notes[0]


def test_sequences_of_the_cell_tracking_challenge(tmp_path: Path) -> None:
    labels = np.zeros((3, 20, 30), np.uint16)
    labels[:2, 4:9, 4:9] = 3
    labels[2, 4:6, 4:9] = 5
    labels[2, 7:9, 4:9] = 8
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, labels, imagej=True, metadata={"axes": "TYX"})
    export([path], tmp_path / "plain", ["coco"])
    table = (tmp_path / "plain" / "objects.csv").read_text()
    assert "parent" not in table.splitlines()[0]
    export([path], tmp_path / "out", ["ctc"])
    folder = tmp_path / "out" / "ctc" / "a" / "01_RES"
    assert can_read(folder)
    (found,) = read(folder)
    assert found.axes == "TYX" and same_objects(found.labels, labels)
    assert found.features["first"] == [0, 2, 2]
    (same,) = read(folder / "res_track.txt")
    np.testing.assert_array_equal(same.labels, found.labels)
    (folder / "mask001.tif").unlink()
    with pytest.raises(NapariSamError, match="frame 1 is missing"):
        read(folder)


BAD = {
    "a.json": b'{"images": [], "annotations": [{"image_id": "x"}]}',
    "b.json": b"\xff\x00 no text",
    "c.json": b'{"image": {"width": 5}, "annotations": []}',
    "d.geojson": b'{"type": "FeatureCollection", "features": [{"geometry": 3}]}',
    "e.geojson": b"",
    "f.zip": b"PK\x03\x04 nothing",
    "g.zip": b"not a zip",
    "h.roi": b"Iout",
    "i_masks.tif": b"II*\0 damaged",
    "j.txt": b"0 0.1 0.2 nan 0.3",
    "k.txt": b"\xff\xfe\x00",
    "l.geojson": b'{"features":[],"image":{"axes":"yx","shape":[99999999,99999999]}}',
    "m.json": json.dumps(
        {
            "images": [{"id": 1, "width": 9, "height": 9}],
            "annotations": [
                {"image_id": 1, "segmentation": {"size": [9, 9], "counts": "zz"}}
            ],
        }
    ).encode(),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(BAD[name])
    with pytest.raises(NapariSamError) as caught:
        read(path, (50, 60))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_damaged_zarr_is_refused(exported: Exporter) -> None:
    folder = exported("omezarr") / f"{NAME}.ome.zarr"
    shutil.rmtree(folder / "0")
    with pytest.raises(NapariSamError, match=str(folder)):
        read(folder)


@pytest.mark.parametrize("ending", [".tif", ".ome.zarr", ".geojson", ".zip", ".json"])
def test_labels_in_memory_as_one_file(
    tmp_path: Path, planes: np.ndarray, ending: str
) -> None:
    path = tmp_path / f"my labels{ending}"
    sizes = {"T": (30.0, "second"), "Y": (0.5, "micrometer"), "X": (0.5, "micrometer")}
    write_single(path, planes, axes="TYX", name="cells", pixel_size=sizes)
    (found,) = read(path)
    assert found.axes == "TYX"
    np.testing.assert_array_equal(found.labels, planes)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    if ending in (".tif", ".ome.zarr"):
        assert found.pixel_size["T"] == (30.0, "second")
