"""COCO beside its images: what another program finds with `file_name`."""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from pycocotools.coco import COCO

from napari_sam.records.deliver import export
from napari_sam.records.run import run

Writer = Callable[..., Path]

# pycocotools' own decoder has not followed numpy 2's copy keyword.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)
NAMES = ["day1/a.tif", "day2/a.tif"]


def opened(output: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(output / "coco" / "annotations.json"))


def drawn(coco: COCO, image: int) -> np.ndarray:
    found = coco.loadAnns(coco.getAnnIds(imgIds=[image]))
    return np.any([coco.annToMask(one) for one in found], axis=0)


@pytest.fixture
def made(write_discs: Writer, tmp_path: Path, recipe) -> Path:
    """Results of two images of one name in two folders, one of them turned."""
    for name in NAMES:
        path = write_discs(f"in/{name}")
    tifffile.imwrite(path, tifffile.imread(path).T)
    output = tmp_path / "out"
    assert run([tmp_path / "in"], output, recipe, formats=["coco"]).ok
    return output


@pytest.mark.parametrize("way", ["annotate", "export"])
def test_images_are_found_below_the_folder_that_was_given(
    made: Path, tmp_path: Path, way: str
) -> None:
    folder, output = tmp_path / "in", made
    if way == "export":
        output = tmp_path / "again"
        assert export([made], output, ["coco"], images=folder).ok
    coco = opened(output)
    images = coco.loadImgs(coco.getImgIds())
    assert [image["file_name"] for image in images] == NAMES
    for image in images:
        bright = tifffile.imread(folder / image["file_name"]) > 500
        assert bright.shape == (image["height"], image["width"])
        found = drawn(coco, image["id"])
        assert (found & bright).sum() > 0.8 * (found | bright).sum()


def test_label_images_of_one_name_in_two_folders_are_told_apart(
    made: Path, tmp_path: Path
) -> None:
    output = tmp_path / "again"
    assert export([made], output, ["coco"]).ok
    coco = opened(output)
    images = coco.loadImgs(coco.getImgIds())
    assert [image["file_name"] for image in images] == NAMES
    rows = (output / "objects.csv").read_text().splitlines()[1:]
    assert {row.split(",")[0] for row in rows} == set(NAMES)
    for image in images:
        labels = tifffile.imread(made / "labels" / image["file_name"])
        assert np.array_equal(drawn(coco, image["id"]), labels > 0)
