"""Several processes that share one output folder."""

import numpy as np
import pytest
import tifffile

from napari_sam.records.parts import Part
from napari_sam.records.run import run


def equal(one, other):
    for path in (one / "labels").glob("*.tif"):
        same = tifffile.imread(other / "labels" / path.name)
        np.testing.assert_array_equal(tifffile.imread(path), same)
    table = (one / "objects.csv").read_text()
    assert table and table == (other / "objects.csv").read_text()


def test_parts_together_are_the_whole(write_discs, tmp_path, recipe):
    images = [write_discs(f"{name}.tif") for name in "abcd"]
    run(images, tmp_path / "whole", recipe)
    left = [
        run(images, tmp_path / "parts", recipe, part=Part(number, 3)).left
        for number in (2, 1, 3)
    ]
    assert left == [3, 1, 0]
    equal(tmp_path / "whole", tmp_path / "parts")


def test_two_workers_give_what_one_process_gives(write_discs, tmp_path, recipe):
    pytest.importorskip("distributed")
    from napari_sam.records.distributed import Workers

    images = [write_discs(f"{name}.tif") for name in "abcd"]
    run(images, tmp_path / "alone", recipe)
    assert run(images, tmp_path / "two", recipe, workers=Workers(2)).ok
    equal(tmp_path / "alone", tmp_path / "two")
