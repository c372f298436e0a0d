"""The demo does the whole job on the images that ship."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_sam.data import demo_images
from napari_sam.records.demo import run_demo
from napari_sam.types import OutputError


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def report(output):
    return run_demo(output)


def test_every_image_gets_labels_a_score_and_a_picture(report, output):
    for image, score in zip(demo_images(), report.scores, strict=True):
        truth = tifffile.imread(image.truth)
        found = tifffile.imread(output / "labels" / f"{image.key}.tif")
        assert found.shape == truth.shape
        assert score.in_planes.n_pred >= len(np.unique(found)) - 1 > 0
        with Image.open(score.picture) as picture:
            assert picture.width == 1200
            assert np.ptp(np.asarray(picture)) > 200


def test_most_nuclei_are_found(report):
    timelapse = report.scores[0]
    assert timelapse.in_planes.f1_at(0.5) > 0.7


def test_the_table_has_a_header_and_a_row_for_each_image(report):
    header, *rows = report.rows()
    assert [row[0] for row in rows] == [image.title for image in demo_images()]
    assert {len(row) for row in rows} == {len(header)}


def test_the_scores_are_kept_as_data(report, output):
    kept = json.loads((output / "demo.json").read_text("utf-8"))
    assert [row["image"] for row in kept] == [score.title for score in report.scores]
    assert kept[0]["in planes"]["n_true"] == report.scores[0].in_planes.n_true


def test_a_second_time_it_tells_the_same(report, output):
    assert run_demo(output).rows() == report.rows()


def test_results_of_something_else_are_not_replaced(tmp_path):
    table = tmp_path / "objects.csv"
    table.write_text("mine", "utf-8")
    with pytest.raises(OutputError, match=r"objects\.csv is there already"):
        run_demo(tmp_path)
    assert table.read_text("utf-8") == "mine"
