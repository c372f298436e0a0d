"""`napari-sam export` of files that other programs wrote."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roifile
import tifffile
import zarr
from PIL import Image
from typer.testing import CliRunner

from napari_sam import cli
from napari_sam.records.deliver import export
from napari_sam.records.reading import read
from napari_sam.types import OutputError

NAME = "zäh lüng"
Exporter = Callable[..., Path]


def square(x: int, y: int, size: int) -> list[int]:
    return [x, y, x + size, y, x + size, y + size, x, y + size]


def coco_file(path: Path, **more: Any) -> Path:
    """Two images with classes; two objects of the first overlap."""
    objects = [
        (1, 7, square(2, 2, 10), {"score": 0.75}),
        (1, 9, square(8, 8, 16), {}),
        (2, 9, square(20, 4, 6), {}),
    ]
    file = {
        "images": [
            {"id": 1, "width": 40, "height": 30, "file_name": "day1/a.png"},
            {"id": 2, "width": 50, "height": 20, "file_name": "day2/a.png"},
        ],
        "categories": [
            {"id": 3, "name": "debris"},
            {"id": 7, "name": "nucleus"},
            {"id": 9, "name": "cell"},
        ],
        "annotations": [
            {"image_id": i, "category_id": c, "segmentation": [ring], **extra}
            for i, c, ring, extra in objects
        ],
        **more,
    }
    path.write_text(json.dumps(file))
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """The images of `coco_file`."""
    folder = tmp_path / "pictures"
    for name, size in (("day1", (40, 30)), ("day2", (50, 20))):
        (folder / name).mkdir(parents=True)
        Image.new("L", size, 9).save(folder / name / "a.png")
    return folder


def table(output: Path) -> list[dict[str, str]]:
    head, *lines = (output / "objects.csv").read_text("utf-8").splitlines()
    return [dict(zip(head.split(","), one.split(","), strict=True)) for one in lines]


def test_coco_becomes_a_folder_to_train_with(tmp_path: Path, pictures: Path) -> None:
    path, output = coco_file(tmp_path / "set.json"), tmp_path / "out"
    report = export([path], output, ["cellpose", "coco"], images=pictures)
    assert report.ok and [one.image for one in report.inputs] == ["day1/a", "day2/a"]
    first = tifffile.imread(output / "cellpose" / "day1__a_masks.tif")
    expected = np.zeros((30, 40), np.uint16)
    expected[8:24, 8:24] = 1
    expected[2:12, 2:12] = 2
    np.testing.assert_array_equal(first, expected)
    assert (tifffile.imread(output / "cellpose" / "day2__a.tif") == 9).all()
    (line,) = report.inputs[0].warnings
    assert "overlap on 16 pixels" in line
    rows = table(output)
    assert [row["class_name"] for row in rows] == ["cell", "nucleus", "cell"]
    assert [row["score"] for row in rows] == ["nan", "0.7500", "nan"]
    assert {row["image"] for row in rows} == {"day1/a.png", "day2/a.png"}
    file = json.loads((output / "coco" / "annotations.json").read_text())
    # In the order of the file, with the one that no object has.
    assert [c["name"] for c in file["categories"]] == ["debris", "nucleus", "cell"]
    assert [a["category_id"] for a in file["annotations"]] == [3, 2, 3]


def test_more_images_than_are_opened_at_once(tmp_path: Path) -> None:
    images = [
        {"id": n, "width": 9, "height": 8, "file_name": f"{n:03d}.png"}
        for n in range(1, 41)
    ]
    path = coco_file(tmp_path / "set.json", images=images, annotations=[])
    report = export([path], tmp_path / "out", ["tiff"])
    assert report.ok and len(list((tmp_path / "out" / "labels").iterdir())) == 40


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ("../../up.png", "up"),
        ("/data/one/abs.png", "abs"),
        ("C:\\data\\win.tif", "win"),
        ("https://host/a/web.jpg", "web"),
        ("a\\b.ome.tif", "a/b"),
    ],
)
def test_names_in_a_file_lead_nowhere_else(
    tmp_path: Path, said: str, place: str
) -> None:
    images = [{"id": 1, "width": 40, "height": 30, "file_name": said}]
    path = coco_file(tmp_path / "set.json", images=images)
    assert export([path], tmp_path / "in" / "out", ["tiff"]).ok
    written = [one.relative_to(tmp_path) for one in tmp_path.rglob("*.tif")]
    assert written == [Path("in", "out", "labels", f"{place}.tif")]


def test_of_a_crowd_nothing_is_learned(tmp_path: Path, pictures: Path) -> None:
    crowd = {
        "image_id": 1,
        "category_id": 7,
        "iscrowd": 1,
        "segmentation": {"size": [30, 40], "counts": [0, 1200]},
    }
    path, output = coco_file(tmp_path / "a.json", annotations=[crowd]), tmp_path / "out"
    report = export([path], output, ["cellpose"], images=pictures)
    assert report.ok and "0 of 1 slices are complete" in report.inputs[0].warnings[0]
    masks = sorted(one.name for one in (output / "cellpose").glob("*_masks.tif"))
    assert masks == ["day2__a_masks.tif"]
    whole = tmp_path / "whole"
    assert export([path], whole, ["cellpose"], images=pictures, complete=True).ok
    assert (whole / "cellpose" / "day1__a_masks.tif").is_file()


def test_planes_that_coco_leaves_out_are_not_known(
    exported: Exporter, planes: np.ndarray, tmp_path: Path
) -> None:
    path = exported("coco") / "annotations.json"
    file = json.loads(path.read_text())
    file["images"] = file["images"][:2]  # the last one is missing
    path.write_text(json.dumps(file))
    output = tmp_path / "again"
    report = export([path], output, ["tiff", "cellpose"], images=tmp_path / "images")
    assert report.ok and "2 of 3 slices are complete" in report.inputs[0].warnings[0]
    labels = tifffile.imread(output / "labels" / f"{NAME}.tif")
    np.testing.assert_array_equal(labels[:2], planes[:2])
    assert labels.shape == planes.shape and not labels[2].any()
    assert len(list((output / "cellpose").glob("*_masks.tif"))) == 2


@pytest.mark.parametrize("name", ["omezarr", "coco", "geojson", "roi"])
def test_stacks_come_through_another_format(
    exported: Exporter, planes: np.ndarray, tmp_path: Path, name: str
) -> None:
    folder = exported(name)
    output = tmp_path / "again"
    # With the image, whose axes and pixel sizes are taken, and without.
    for number, images in enumerate((tmp_path / "images", None)):
        output = tmp_path / f"again {number}"
        assert export([folder], output, ["tiff", "omezarr"], images=images).ok
        path = output / "labels" / f"{NAME}.tif"
        np.testing.assert_array_equal(tifffile.imread(path), planes)
        group = zarr.open_group(output / "omezarr" / f"{NAME}.ome.zarr", mode="r")
        np.testing.assert_array_equal(group["0"][:], planes)


def regions(path: Path, *positions: int) -> Path:
    """Rectangles as a person draws them in ImageJ; the file says no size."""
    drawn = [
        roifile.ImagejRoi(
            roitype=roifile.ROI_TYPE.RECT, left=3, top=2, right=9, bottom=7, position=p
        )
        for p in positions
    ]
    roifile.roiwrite(path, drawn, name=[f"r{p}" for p in positions])
    return path


def test_the_size_comes_from_the_image(tmp_path: Path) -> None:
    path = regions(tmp_path / "RoiSet.zip", 1, 3)
    image = tmp_path / "film.tif"
    pixels = np.zeros((4, 20, 30), np.uint8)
    tifffile.imwrite(image, pixels, imagej=True, metadata={"axes": "TYX"})
    output = tmp_path / "out"
    assert export([path], output, ["omezarr", "tiff"], images=image).ok
    group = zarr.open_group(output / "omezarr" / "RoiSet.ome.zarr", mode="r")
    expected = np.zeros((4, 20, 30), np.uint16)
    expected[0, 2:7, 3:9], expected[2, 2:7, 3:9] = 1, 2
    np.testing.assert_array_equal(group["0"][:], expected)
    with tifffile.TiffFile(output / "labels" / "RoiSet.tif") as file:
        assert file.series[0].axes == "TYX"


def test_a_file_of_qupath_belongs_to_the_image_that_it_is_named_after(
    tmp_path: Path,
) -> None:
    ring = [[1, 1], [11, 1], [11, 9], [1, 9], [1, 1]]
    shape = {"type": "Polygon", "coordinates": [ring]}
    features = [
        {"type": "Feature", "geometry": shape, "properties": properties}
        for properties in ({"classification": {"name": "Tumor"}},)
    ]
    folder, images = tmp_path / "qupath", tmp_path / "images"
    folder.mkdir()
    images.mkdir()
    for name in ("a.tif", "b.tif"):
        text = {"type": "FeatureCollection", "features": features}
        (folder / f"{name}.geojson").write_text(json.dumps(text))
        Image.new("RGB", (40, 30)).save(images / name)
    output = tmp_path / "out"
    assert export([folder], output, ["stardist", "yolo-seg"], images=images).ok
    masks = tifffile.imread(output / "stardist" / "masks" / "b.tif")
    assert masks.shape == (30, 40) and np.count_nonzero(masks) == 80
    assert "0: Tumor" in (output / "yolo-seg" / "data.yaml").read_text()


def call(*words: object) -> Any:
    return CliRunner().invoke(cli.app, ["export", *map(str, words)])


def test_a_size_that_nobody_knows_is_asked_for(tmp_path: Path) -> None:
    path, output = regions(tmp_path / "a.zip", 0), tmp_path / "out"
    rows = tmp_path / "b.txt"
    rows.write_text("0 0.5 0.5 0.2 0.4\n")
    done = call(path, rows, "--output", output, "--format", "tiff")
    assert done.exit_code == 2
    first, second = done.stderr.splitlines()
    assert str(path) in first and "say where the image is with --images" in first
    assert str(rows) in second and "--images" in second
    assert not list(output.iterdir())
    # So that the same command does it, once the images are named.
    images = tmp_path / "images"
    images.mkdir()
    for name in ("a", "b"):
        Image.new("L", (30, 20)).save(images / f"{name}.png")
    done = call(path, rows, "--output", output, "--format", "tiff", "--images", images)
    assert done.exit_code == 0, done.stderr
    assert tifffile.imread(output / "labels" / "b.tif").shape == (20, 30)


def test_objects_beside_their_image_are_refused(tmp_path: Path) -> None:
    path = regions(tmp_path / "a.zip", 0)
    image = tmp_path / "a.png"
    Image.new("L", (8, 20)).save(image)
    (report,) = export([path], tmp_path / "out", ["tiff"], images=image).inputs
    assert report.status == "failed" and "they must be the same" in report.message
    assert str(path) in report.message and str(image) in report.message


def test_a_set_of_yolo_with_its_classes(exported: Exporter, tmp_path: Path) -> None:
    folder = exported("yolo-seg")
    data = folder / "data.yaml"
    data.write_text(data.read_text().replace("0: object", "0: cell\n  1: nucleus"))
    rows = folder / "labels" / f"{NAME}_z0000.txt"
    first, *others = rows.read_text().splitlines()
    rows.write_text("\n".join([f"1{first[1:]}", *others]))
    output = tmp_path / "again"
    assert export([folder], output, ["coco"]).ok
    assert {row["class_name"] for row in table(output)} == {"cell", "nucleus"}
    file = json.loads((output / "coco" / "annotations.json").read_text())
    assert [c["name"] for c in file["categories"]] == ["cell", "nucleus"]
    assert len(file["images"]) == 3


def test_masks_beside_their_images(exported: Exporter, planes: np.ndarray) -> None:
    folder = exported("cellpose")
    output = folder.parent.parent / "again"
    report = export([folder], output, ["stardist"], images=folder)
    assert report.ok and len(report.inputs) == 3
    for z, plane in enumerate(planes):
        masks = output / "stardist" / "masks" / f"{NAME}_z{z:04d}.tif"
        np.testing.assert_array_equal(tifffile.imread(masks), plane)


def test_records_of_sa1b_and_patterns(
    exported: Exporter, planes: np.ndarray, tmp_path: Path
) -> None:
    folder = exported("sa1b") / NAME
    report = export([folder / "*.json", folder], tmp_path / "again", ["tiff"])
    assert report.ok and len(report.inputs) == 3  # each once
    found = tifffile.imread(tmp_path / "again" / "labels" / "z0000.tif")
    assert ((found > 0) == (planes[0] > 0)).all()


def test_tracks_keep_their_parents(tmp_path: Path) -> None:
    labels = np.zeros((3, 20, 30), np.uint16)
    labels[:2, 4:9, 4:9] = 3
    labels[2, 4:6, 4:9] = 5
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, labels, imagej=True, metadata={"axes": "TYX"})
    assert export([path], tmp_path / "first", ["ctc"]).ok
    folder = tmp_path / "first" / "ctc" / "a" / "01_RES"
    tracks = folder / "res_track.txt"
    lines = [line.split() for line in tracks.read_text().splitlines()]
    lines[1][3] = lines[0][0]
    tracks.write_text("".join(f"{' '.join(line)}\n" for line in lines))
    output = tmp_path / "again"
    assert export([tracks], output, ["ctc", "geojson"]).ok
    assert table(output)[-1]["parent"] == lines[0][0]
    (again,) = read(output / "ctc" / "01_RES" / "01_RES")
    assert again.features["parent"] == [0, int(lines[0][0])]


def test_classes_of_several_files_are_one_list(tmp_path: Path) -> None:
    path = coco_file(tmp_path / "a.json")
    square = [[1, 1], [5, 1], [5, 5], [1, 5], [1, 1]]
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [square]},
            "properties": about,
        }
        for about in ({"classification": {"name": "cell"}}, {})
    ]
    about = {"axes": "yx", "shape": [20, 20]}
    more = tmp_path / "b.geojson"
    more.write_text(json.dumps({"features": features[:1], "image": about}))
    last = tmp_path / "c.geojson"
    last.write_text(json.dumps({"features": features[1:], "image": about}))
    output = tmp_path / "out"
    assert export([path, more, last], output, ["yolo"]).ok
    names = (output / "yolo" / "classes.yaml").read_text()
    assert [line.split()[-1] for line in names.splitlines() if line[0] == " "] == [
        *("debris", "nucleus", "cell", "object")
    ]
    assert [row["class_id"] for row in table(output)] == ["2", "1", "2", "2", "3"]


def test_one_bad_file_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    coco_file(folder / "good.json")
    (folder / "sub" / "bad.json").write_text('{"images": 3}')
    output = tmp_path / "out"
    done = call(folder, "--output", output, "--format", "geojson")
    assert done.exit_code == 2 and "2 of 3 label images" in done.stdout
    lines = [line for line in done.stderr.splitlines() if "bad.json" in line]
    assert len(lines) == 1 and "no COCO file" in lines[0]


def test_images_of_one_name_are_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    images = [
        {"id": 1, "width": 40, "height": 30, "file_name": "/one/a.png"},
        {"id": 2, "width": 50, "height": 20, "file_name": "/two/a.tif"},
    ]
    path = coco_file(tmp_path / "set.json", images=images)
    with pytest.raises(OutputError, match=r"a\.png and .*a\.tif would both"):
        export([path], tmp_path / "out", ["tiff"])
    assert not (tmp_path / "out").exists()


def test_labels_listed_in_a_zarr_folder(exported: Exporter, tmp_path: Path) -> None:
    labels = tmp_path / "image.zarr" / "labels"
    shutil.copytree(exported("omezarr") / f"{NAME}.ome.zarr", labels / "cells")
    group = zarr.open_group(labels, mode="a")
    group.attrs["ome"] = {"version": "0.5", "labels": ["cells"]}
    assert export([labels], tmp_path / "again", ["tiff"]).ok
    assert [p.name for p in (tmp_path / "again" / "labels").iterdir()] == ["cells.tif"]
