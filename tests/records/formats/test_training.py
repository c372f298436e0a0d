"""What others train with: read by their own programs, and never a false background."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
from pycocotools.mask import decode
from ultralytics.data.dataset import YOLODataset
from ultralytics.data.utils import check_det_dataset

from napari_sam.live.disk.saving import ImageText, save
from napari_sam.live.disk.snapshot import Snapshot
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.proofreading.progress import Progress
from napari_sam.live.values import Mark, Rule
from napari_sam.records.deliver import export
from napari_sam.records.formats.base import Options
from napari_sam.records.formats.training import largest_rectangle
from napari_sam.types import Mask, OutputError

NAME = "zäh lüng"
Exporter = Callable[..., Path]


def dataset(folder: Path, task: str, part: str = "train") -> YOLODataset:
    about = check_det_dataset(str(folder / "data.yaml"))
    return YOLODataset(
        img_path=about[part], data=about, task=task, augment=False, imgsz=96
    )


@pytest.mark.parametrize(
    ("name", "task"), [("yolo-seg", "segment"), ("yolo-detect", "detect")]
)
def test_data_sets_with_ultralytics(
    exported: Exporter, planes: np.ndarray, name: str, task: str
) -> None:
    found = dataset(exported(name), task)
    assert found.data["names"] == {0: "object"}
    assert len(found.labels) == 3
    for label, plane in zip(found.labels, planes, strict=True):
        assert label["shape"] == plane.shape
        numbers = np.unique(plane)[1:]
        assert len(label["cls"]) == len(numbers)
        for row, number in enumerate(numbers):
            y, x = np.nonzero(plane == number)
            box = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])
            centre = (box[:2] + box[2:]) / 2
            expected = [*centre, *(box[2:] - box[:2])] / np.array([90, 70] * 2)
            # Outlines run half a pixel inside.
            assert label["bboxes"][row] == pytest.approx(expected, abs=1.1 / 70)
    picture = found.load_image(0)[0]
    assert picture.shape[:2] == (75, 96) and picture.max() > 200


def test_planes_of_a_stack_are_never_on_both_lists(tmp_path: Path) -> None:
    labels = np.zeros((4, 40, 50), np.uint16)
    labels[:, 5:15, 5:15] = 1
    for number in range(10):
        path = tmp_path / "in" / "day 1" / f"{number}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, labels, imagej=True, metadata={"axes": "ZYX"})

    def lists(seed: int, part: float = 0.3) -> tuple[set[str], set[str]]:
        output = tmp_path / f"out {seed} {part}"
        export(
            [tmp_path / "in"],
            output,
            ["yolo-seg"],
            images=tmp_path / "in",
            options=Options(part, seed),
            overwrite=True,
        )
        train, val = (
            (output / "yolo-seg" / f"{name}.txt").read_text().splitlines()
            for name in ("train", "val")
        )
        stems = ({line.rpartition("_z")[0] for line in part} for part in (train, val))
        one, other = stems
        assert len(train) == 4 * len(one) and len(val) == 4 * len(other)
        return one, other

    train, val = lists(0)
    assert len(train) == 7 and len(val) == 3 and not train & val
    assert "./images/day 1__0" in train | val
    assert lists(0) == (train, val)
    assert lists(1)[1] != val
    everything, nothing_held_back = lists(0, 0.0)
    assert everything == nothing_held_back and len(everything) == 10


SHAPE = (4, 120, 140)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Save as the viewer does: a slice complete, a region of another, two not."""

    def run(name: str, complete: Progress | None, *, classes: bool = False) -> Path:
        store = LabelStore(np.zeros(SHAPE, np.uint32))
        for z in range(4):
            for y, x in ((10, 10), (34, 60), (90, 100)):
                box = (y, x, y + 20, x + 20)
                mask = Mask(box, np.ones((20, 20), bool), 0.5)
                store.add((z,), mask, Rule.KEEP, source="detector", class_id=classes)
        # Somebody has outlined one object on the slice that nobody has finished.
        mine = Mask((60, 10, 100, 50), np.ones((40, 40), bool), 0.5)
        store.add((2,), mine, Rule.KEEP)
        folder = tmp_path / name
        text = ImageText(name=name, shape=SHAPE, stack_axes="Z")
        names = {1: "nucleus"} if classes else {}
        save(folder, Snapshot.of(store), text, complete=complete, classes=names)
        return folder

    return run


@pytest.fixture
def partly() -> Progress:
    corners = [(0, 0), (0, 70), (50, 70), (50, 0)]
    region = Mark("box", np.array(corners, np.float32))
    progress = Progress((4,), SHAPE[1:]).mark([(0,)], "complete")
    return progress.add_region((1,), region).mark_region(0, "complete")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "pixels.tif"
    pixels = np.arange(np.prod(SHAPE), dtype=np.uint32).reshape(SHAPE)
    metadata = {"axes": "ZYX"}
    tifffile.imwrite(path, pixels.astype(np.uint16), imagej=True, metadata=metadata)
    return path


@pytest.mark.parametrize("name", ["cellpose", "stardist"])
def test_only_what_is_complete_is_written(
    saved: Callable[..., Path], partly: Progress, image: Path, tmp_path: Path, name: str
) -> None:
    folder = saved("cells", partly)
    output = tmp_path / "out"
    report = export([folder], output, [name], images=image)
    assert report.ok
    (line,) = report.inputs[0].warnings
    assert "1 of 4 slices are complete, and 2 in part" in line and name in line
    masks = output / name / ("masks" if name == "stardist" else "")
    ending = ".tif" if name == "stardist" else "_masks.tif"
    found = sorted(path.name.removesuffix(ending) for path in masks.glob(f"*{ending}"))
    assert found == ["cells_z0000", "cells_z0001_part1"]
    whole, part = (tifffile.imread(masks / f"{one}{ending}") for one in found)
    labels = tifffile.imread(folder / "labels" / "cells.tif")
    np.testing.assert_array_equal(whole, labels[0])
    # The region, and nothing of what lies outside; one object is cut by its edge.
    np.testing.assert_array_equal(part, labels[1, :50, :70])
    assert len(np.unique(part)) == 3
    images = output / name / ("images" if name == "stardist" else "")
    pixels = tifffile.imread(images / "cells_z0001_part1.tif")
    np.testing.assert_array_equal(pixels, tifffile.imread(image)[1, :50, :70])


def test_rows_without_images_leave_out_what_is_complete_in_part(
    saved: Callable[..., Path], partly: Progress, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    assert export([saved("cells", partly)], output, ["yolo"]).ok
    rows = [path.name for path in (output / "yolo" / "cells").iterdir()]
    assert rows == ["z0000.txt"]


def test_records_hold_the_objects_that_are_known(
    saved: Callable[..., Path], partly: Progress, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    assert export([saved("cells", partly)], output, ["sa1b"]).ok
    records = {
        path.stem: len(json.loads(path.read_text())["annotations"])
        for path in (output / "sa1b" / "cells").iterdir()
    }
    # On the third slice only what a person has drawn, of the fourth nothing.
    assert records == {"z0000": 3, "z0001": 2, "z0002": 1}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_in_coco_the_rest_is_a_crowd(
    saved: Callable[..., Path], partly: Progress, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    folder = saved("cells", partly)
    assert export([folder], output, ["coco"]).ok
    file = json.loads((output / "coco" / "annotations.json").read_text())
    assert [one["z"] for one in file["images"]] == [0, 1, 2]
    by_image = {
        one["z"]: [a for a in file["annotations"] if a["image_id"] == one["id"]]
        for one in file["images"]
    }
    assert [a["iscrowd"] for a in by_image[0]] == [0, 0, 0]
    first, second, crowd = by_image[1]
    assert (first["iscrowd"], second["iscrowd"], crowd["iscrowd"]) == (0, 0, 1)
    known = tifffile.imread(folder / "known" / "cells.tif")[1] == 1
    np.testing.assert_array_equal(decode(crowd["segmentation"]) == 1, ~known)
    assert [a["iscrowd"] for a in by_image[2]] == [0, 1]


def test_a_complete_image_is_written_whole(
    saved: Callable[..., Path], partly: Progress, image: Path, tmp_path: Path
) -> None:
    complete = partly.mark([(1,), (2,), (3,)], "complete")
    folder = saved("cells", complete, classes=True)
    report = export([folder], tmp_path / "out", ["yolo-detect"], images=image)
    assert report.inputs[0].warnings == ()
    found = dataset(tmp_path / "out" / "yolo-detect", "detect")
    assert [len(label["cls"]) for label in found.labels] == [3, 3, 4, 3]
    assert found.data["names"] == {0: "object", 1: "nucleus"}
    assert {int(c) for label in found.labels for c in label["cls"].ravel()} == {0, 1}


def test_where_nobody_has_said_what_is_complete_it_is_asked_for(
    saved: Callable[..., Path], image: Path, tmp_path: Path
) -> None:
    folder = saved("cells", None)
    with pytest.raises(OutputError, match="nobody has said which slices"):
        export([folder], tmp_path / "out", ["cellpose"], images=image)
    assert not (tmp_path / "out").exists()
    report = export(
        [folder], tmp_path / "out", ["cellpose"], images=image, complete=True
    )
    assert report.ok
    assert len(list((tmp_path / "out" / "cellpose").glob("*_masks.tif"))) == 4


def test_tracks_want_everything(
    saved: Callable[..., Path], partly: Progress, tmp_path: Path
) -> None:
    report = export([saved("cells", partly)], tmp_path / "out", ["ctc"])
    assert "no axis of time" in report.inputs[0].message
    assert report.exit_code == 2


def test_the_largest_rectangle_is_the_largest() -> None:
    random = np.random.default_rng(1)
    for _ in range(200):
        mask = random.random(random.integers(1, 8, 2)) < random.random()
        y0, x0, y1, x1 = largest_rectangle(mask)
        assert mask[y0:y1, x0:x1].all()
        height, width = mask.shape
        best = max(
            (
                (b - a) * (d - c)
                for a in range(height)
                for b in range(a + 1, height + 1)
                for c in range(width)
                for d in range(c + 1, width + 1)
                if mask[a:b, c:d].all()
            ),
            default=0,
        )
        assert (y1 - y0) * (x1 - x0) == best


def test_results_that_are_there_are_not_replaced_unasked(
    exported: Exporter, stack: Path, tmp_path: Path
) -> None:
    folder = exported("cellpose")
    extra = folder / f"{NAME}_z0099_masks.tif"
    extra.write_bytes(b"of an earlier run with more planes")
    other = folder / "mine_masks.tif"
    other.write_bytes(b"of somebody else")
    with pytest.raises(OutputError, match="is there already: add --overwrite"):
        exported("cellpose")
    exported("cellpose", overwrite=True)
    assert other.exists() and not extra.exists()


def test_class_names_are_written_as_they_are(tmp_path: Path) -> None:
    from napari_sam.records.yolo import write_classes

    names = ["a: b", "#x", "yes", "ü 'q'"]
    write_classes(tmp_path / "classes.yaml", names)
    read = yaml.safe_load((tmp_path / "classes.yaml").read_text("utf-8"))
    assert read == {"names": dict(enumerate(names))}
