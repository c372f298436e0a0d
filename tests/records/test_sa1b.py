"""Records of SA-1B's format: what is written, what is read, by whom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from pycocotools import mask as coco
from segment_anything.utils import amg
from typer.testing import CliRunner

from napari_sam.cli import app
from napari_sam.images import make_plane
from napari_sam.models.catalog import load_detector, load_model
from napari_sam.models.given import GivenFiles
from napari_sam.models.given.sa1b import run_lengths
from napari_sam.records.formats.base import Page
from napari_sam.records.run import run
from napari_sam.records.sa1b import read_sa1b, write_sa1b
from napari_sam.records.work import InputWork
from napari_sam.segment import Clicks, annotate_plane, make_recipe
from napari_sam.segment.link import Linked
from napari_sam.segment.recipe import Recipe
from napari_sam.types import Mask, ModelError

# pycocotools' own decoder has not followed numpy 2's copy keyword.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)
SHAPE = (40, 56)


def some_masks(count: int = 12, seed: int = 0) -> list[Mask]:
    random = np.random.default_rng(seed)
    masks = []
    for _ in range(count):
        y, x = random.integers(0, 30), random.integers(0, 44)
        plane = np.zeros(SHAPE, bool)
        size = random.integers(1, 12, 2)
        plane[y : y + size[0], x : x + size[1]] = True
        plane &= random.random(SHAPE) > 0.3
        plane[y, x] = True
        score, stability = random.uniform(0.3, 1, 2)
        masks.append(Mask.from_array(plane, score=score, stability=stability))
    return masks


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    masks = some_masks()
    points = np.random.default_rng(1).uniform(0, 40, (len(masks), 2)).astype("f4")
    crops = np.array([[0, 4, 40, 56]] * len(masks))
    path = tmp_path / "a.json"
    clicks = Clicks(points, crops)
    write_sa1b(path, masks, SHAPE, image="a.tif", clicks=clicks)
    record = read_sa1b(path, SHAPE)
    assert (record.image, record.shape) == ("a.tif", SHAPE)
    for mask, other in zip(masks, record.masks, strict=True):
        assert mask.box == other.box
        np.testing.assert_array_equal(mask.data, other.data)
        assert (mask.score, mask.stability) == (other.score, other.stability)
    np.testing.assert_allclose(record.points, points, atol=1e-5)
    np.testing.assert_array_equal(record.crops, crops)


def test_a_record_has_what_programs_for_sa1b_look_for(tmp_path: Path) -> None:
    masks = some_masks(3)
    masks.append(Mask.from_array(np.zeros((2, 2), bool)))
    path = tmp_path / "a.json"
    write_sa1b(path, masks, SHAPE, image="a.tif", ids=[5, 9, 2, 1], places={"z": 3})
    record = json.loads(path.read_text())
    about = record["image"]
    assert (about["width"], about["height"], about["z"]) == (56, 40, 3)
    assert (about["file_name"], type(about["image_id"])) == ("a.tif", int)
    assert [a["id"] for a in record["annotations"]] == [5, 9, 2]  # one is empty
    for mask, annotation in zip(masks, record["annotations"], strict=False):
        code = annotation["segmentation"]
        full = coco.decode(code).astype(bool)
        np.testing.assert_array_equal(full, mask.full(SHAPE))
        assert annotation["bbox"] == coco.toBbox(code).tolist()
        assert annotation["area"] == full.sum()
        assert annotation["predicted_iou"] == mask.score
        assert annotation["stability_score"] == mask.stability
        assert annotation["crop_box"] == [0, 0, 56, 40]
        # Nobody has clicked: the point lies inside, its centre at whole numbers.
        ((x, y),) = annotation["point_coords"]
        assert full[int(y), int(x)] and (x, y) == (int(x), int(y))


def authors_record(masks: list[Mask], compressed: bool) -> dict[str, Any]:
    """Write masks as the authors' generator does."""
    import torch

    fulls = torch.from_numpy(np.stack([mask.full(SHAPE) for mask in masks]))
    codes = amg.mask_to_rle_pytorch(fulls)
    boxes = amg.batched_mask_to_box(fulls)
    annotations = [
        {
            "segmentation": amg.coco_encode_rle(code) if compressed else code,
            "area": amg.area_from_rle(code),
            "bbox": amg.box_xyxy_to_xywh(box).tolist(),
            "predicted_iou": 0.9,
            "point_coords": [[3.25, 8.5]],
            "stability_score": 0.97,
            "crop_box": [4.0, 0.0, 52.0, 40.0],
            "id": number,
        }
        for number, (code, box) in enumerate(zip(codes, boxes, strict=True))
    ]
    about = {"image_id": 1, "width": 56, "height": 40, "file_name": "sa_1.jpg"}
    return {"image": about, "annotations": annotations}


@pytest.mark.parametrize("compressed", [True, False])
def test_the_authors_records_are_read(tmp_path: Path, compressed: bool) -> None:
    masks = some_masks(20)
    masks.append(Mask.from_array(np.ones(SHAPE, bool)))
    masks.append(Mask.from_array(np.zeros(SHAPE, bool)))
    path = tmp_path / "sa_1.json"
    path.write_text(json.dumps(authors_record(masks, compressed)))
    record = read_sa1b(path)
    for mask, other in zip(masks, record.masks, strict=True):
        assert mask.box == other.box
        np.testing.assert_array_equal(mask.data, other.data)
        assert (other.score, other.stability) == (0.9, 0.97)
    assert (record.points == [9.0, 3.75]).all()
    assert (record.crops == [0, 4, 40, 56]).all()
    assert len(record.detections()) == len(masks) - 1  # one is empty


def test_run_lengths_are_those_of_pycocotools() -> None:
    random = np.random.default_rng(2)
    for most in (2, 40, 5000):
        counts = random.integers(1, most, 301).tolist()
        size = [1, sum(counts)]
        code = coco.frPyObjects({"size": size, "counts": counts}, *size)
        assert run_lengths(code["counts"].decode()) == counts


GOOD = {"size": [40, 56], "counts": [5, 3, 40 * 56 - 8]}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"counts": [5, 3]}, "runs are 8 pixels long"),
        ({"counts": "0é"}, "characters that mean nothing"),
        ({"counts": "o"}, "middle of a number"),
        ({"counts": "O" * 3}, "less than no pixels"),
        ({"counts": "oooooooooooooooooo0"}, "mean nothing"),
        ({"size": [40, 57]}, "has (40, 57) pixels"),
        ({"counts": [-5, 3, 2242]}, "greater than or equal to 0"),
        ({"counts": None}, "run-length"),
    ],
)
def test_damaged_masks_are_named(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    path = tmp_path / "a.json"
    about = {"image_id": 1, "width": 56, "height": 40, "file_name": "a.png"}
    annotation = {"segmentation": {**GOOD, **change}}
    for first in ({"segmentation": GOOD}, annotation):
        text = json.dumps({"image": about, "annotations": [first]})
        path.write_text(text)
        if first is not annotation:
            assert read_sa1b(path).masks[0].area == 3
    with pytest.raises(ModelError) as caught:
        read_sa1b(path)
    assert says in str(caught.value) and str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"images": []}', '{"image": {"width": 1e9, "height": 2}}']
)
def test_other_files_are_no_records(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ModelError, match="no record of SA-1B"):
        read_sa1b(path)
    with pytest.raises(ModelError, match="cannot be read"):
        read_sa1b(tmp_path / "none.json")


def test_a_run_writes_a_record_for_every_plane(
    write_discs: Any, recipe: Recipe, tmp_path: Path
) -> None:
    images, output = tmp_path / "in", tmp_path / "out"
    write_discs("in/a.tif")
    write_discs("in/sub/s.tif", (2, 64, 64), axes="ZYX")
    assert run([images], output, recipe, formats=["sa1b"]).ok
    folder = output / "sa1b"
    names = sorted(path.relative_to(folder) for path in folder.rglob("*.json"))
    places = [Path("a.json"), Path("sub/s/z0000.json"), Path("sub/s/z0001.json")]
    assert names == places
    labels = tifffile.imread(output / "labels" / "sub" / "s.tif")
    record = read_sa1b(folder / places[2], (64, 64))
    ids = [a["id"] for a in json.loads((folder / places[2]).read_text())["annotations"]]
    assert sorted(ids) == np.unique(labels[1])[1:].tolist()
    for number, mask in zip(ids, record.masks, strict=True):
        np.testing.assert_array_equal(mask.full((64, 64)), labels[1] == number)

    # And they are objects that are given: the same ones again.
    again = tmp_path / "again"
    given = Recipe(detector=str(output / "sa1b"), device="cpu", link="stack")
    assert run([images], again, given).ok
    other = tifffile.imread(again / "labels" / "sub" / "s.tif")
    assert len(np.unique(other)) == len(np.unique(labels))


def test_records_of_another_run_are_removed(
    write_discs: Any, recipe: Recipe, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    image = write_discs("s.tif", (3, 64, 64), axes="ZYX")
    assert run([image], output, recipe, formats=["sa1b"]).ok
    write_discs("s.tif", (2, 64, 64), axes="ZYX")
    assert run([image], output, recipe, formats=["sa1b"], overwrite=True).ok
    found = sorted(p.name for p in (output / "sa1b").rglob("*.json"))
    assert found == ["z0000.json", "z0001.json"]


def test_settings_beside_labels_are_no_records(tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, np.uint16)
    labels[3:9, 4:20] = 1
    tifffile.imwrite(tmp_path / "a.tif", labels)
    (tmp_path / "settings.json").write_text('{"diameter": 30}')
    assert GivenFiles(tmp_path).class_names == ("object",)
    assert GivenFiles(tmp_path)._kind == "labels"


def test_the_clicks_are_kept_through_a_run(frames: np.ndarray, tmp_path: Path) -> None:
    detector = load_detector("everything", points_per_side=8)
    model = load_model("pocket", device="cpu")
    result = annotate_plane(make_plane(frames[0]), model, detector, make_recipe())
    assert result.clicks is not None and len(result.clicks.points) > 2
    work = InputWork(tmp_path / "work")
    work.save_plane(0, result)
    loaded = work.load_plane(0, (), frames[0].shape)
    assert loaded is not None and loaded.clicks is not None
    np.testing.assert_array_equal(loaded.clicks.points, result.clicks.points)
    path = tmp_path / "a.json"
    ids = np.arange(len(loaded.objects["id"]) + 1, dtype=np.uint32)
    page = Page.of(loaded, Linked(ids, np.full(len(ids), np.nan, np.float32)))
    shape = frames[0].shape
    write_sa1b(path, list(page.masks()), shape, image="a", clicks=page.clicks)
    assert len(read_sa1b(path).masks) == len(result.objects["id"])


def test_the_command_line_finds_everything(frames: np.ndarray, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", frames[0])
    output = tmp_path / "out"
    asked = ["annotate", str(tmp_path / "a.tif"), "--output", str(output)]
    asked += ["--detector", "everything", "--points-per-side", "8", "--device", "cpu"]
    asked += ["--format", "sa1b", "--no-border", "--max-area", "3000"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    record = read_sa1b(output / "sa1b" / "a.json", frames[0].shape)
    labels = tifffile.imread(output / "labels" / "a.tif")
    assert len(record.masks) == labels.max() > 0
    grid = (np.arange(8) + 0.5) / 8
    assert np.isin(record.points[:, 0].round(3), (grid * 96).round(3)).all()
    assert np.isin(record.points[:, 1].round(3), (grid * 112).round(3)).all()
    assert not labels[0].any() and not labels[:, -1].any()
