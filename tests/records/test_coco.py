import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.mask import decode

from napari_sam.records.coco import encode_mask, join_fragments, write_plane
from napari_sam.records.files import atomic_file
from napari_sam.records.formats.base import Page

# pycocotools' own decoder has not followed numpy 2's copy keyword.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)


@pytest.mark.parametrize(
    ("box", "shape"),
    [
        ((3, 2, 9, 8), (12, 10)),
        ((0, 0, 12, 10), (12, 10)),
        ((6, 5, 12, 10), (12, 10)),
        ((0, 0, 1, 1), (1, 1)),
        ((0, 4, 12, 5), (12, 10)),
    ],
)
@pytest.mark.parametrize("full", [True, False])
def test_the_code_is_that_of_the_whole_plane(
    box: tuple[int, int, int, int], shape: tuple[int, int], full: bool
) -> None:
    y0, x0, y1, x1 = box
    random = np.random.default_rng(3)
    mask = np.ones((y1 - y0, x1 - x0), bool)
    if not full:
        mask &= random.random(mask.shape) > 0.4
    code = encode_mask(mask, (y0, x0), shape)
    plane = np.zeros(shape, bool)
    plane[y0:y1, x0:x1] = mask
    np.testing.assert_array_equal(decode(code), plane)


def table(ids: list[int]) -> dict[str, np.ndarray]:
    return {
        "id": np.array([i + 100 for i in ids]),
        "class_id": np.array([0 for _ in ids]),
        "score": np.array([0.9 for _ in ids], np.float32),
        "stability": np.array([0.9 for _ in ids], np.float32),
        "area": np.array([16 for _ in ids]),
        "box_y0": np.array([4 * i for i in ids]),
        "box_x0": np.array([2 for _ in ids]),
        "box_y1": np.array([4 * i + 4 for i in ids]),
        "box_x1": np.array([6 for _ in ids]),
    }


def test_fragments_make_one_file_that_pycocotools_reads(tmp_path: Path) -> None:
    labels = np.zeros((20, 10), np.uint32)
    for i in (1, 2, 3):
        labels[4 * i : 4 * i + 4, 2:6] = i
    fragments = []
    for name, planes in (("a.tif", [[1, 2], []]), ("sub/b.png", [[3]])):
        fragment = tmp_path / f"{len(fragments)}.jsonl"
        fragments.append(fragment)
        with atomic_file(fragment) as file:
            for z, ids in enumerate(planes):
                page = Page((z,), labels, table(ids), np.array(ids, np.int64))
                write_plane(file, page, image=name, places={"z": z})
    path = tmp_path / "annotations.json"
    join_fragments(path, fragments, ["nucleus", "cell"])
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["nucleus", "cell"]
    images = coco.loadImgs(coco.getImgIds())
    assert [(i["file_name"], i["z"]) for i in images] == [
        ("a.tif", 0),
        ("a.tif", 1),
        ("sub/b.png", 0),
    ]
    counts = [len(coco.getAnnIds(imgIds=[i["id"]])) for i in images]
    assert counts == [2, 0, 1]
    last = coco.loadAnns(coco.getAnnIds(imgIds=[images[2]["id"]]))[0]
    np.testing.assert_array_equal(coco.annToMask(last), labels == 3)
    assert last["bbox"] == [2, 12, 4, 4] and last["area"] == 16
    assert (last["object_id"], last["iscrowd"], last["category_id"]) == (103, 0, 1)


def test_nothing_at_all_is_a_valid_file_too(tmp_path: Path) -> None:
    path = tmp_path / "annotations.json"
    join_fragments(path, [], ["nucleus"])
    with contextlib.redirect_stdout(io.StringIO()):
        assert COCO(str(path)).getAnnIds() == []
