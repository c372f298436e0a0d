"""Files of finished planes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import napari_sam as ns
from napari_sam.records.work import InputWork
from napari_sam.segment.result import PlaneResult


@pytest.fixture(scope="module")
def result() -> PlaneResult:
    image = np.zeros((60, 80), np.uint16)
    image[10:30, 10:30] = 900
    image[35:50, 40:70] = 700
    (made,) = ns.iter_annotate(image, detector="threshold")
    assert len(made.objects["id"]) > 1
    return replace(made, truncated=True, warnings=("one line", "another"))


def check_same(loaded: PlaneResult | None, result: PlaneResult) -> None:
    assert loaded is not None
    assert loaded.index == result.index
    assert np.array_equal(loaded.labels, result.labels)
    assert loaded.labels.dtype == result.labels.dtype
    assert loaded.truncated and loaded.warnings == result.warnings
    assert loaded.objects.keys() == result.objects.keys()
    for name, column in result.objects.items():
        assert loaded.objects[name].dtype == column.dtype, name
        assert np.array_equal(loaded.objects[name], column), name


def test_a_plane_comes_back_as_it_was(tmp_path: Path, result: PlaneResult) -> None:
    work = InputWork(tmp_path)
    work.save_plane(0, result)
    check_same(work.load_plane(0, (), result.labels.shape), result)


def test_a_plane_that_an_older_version_finished_is_taken(
    tmp_path: Path, result: PlaneResult
) -> None:
    work = InputWork(tmp_path)
    (tmp_path / "planes").mkdir()
    np.savez_compressed(
        tmp_path / "planes" / "0000000.npz",
        index=np.zeros(0, np.int64),
        labels=result.labels.astype(np.uint16),
        truncated=np.array(True),
        warnings=np.array(result.warnings),
        **{f"objects_{name}": column for name, column in result.objects.items()},
    )
    assert work.finished_planes() == {0}
    check_same(work.load_plane(0, (), result.labels.shape), result)
