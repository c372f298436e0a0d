"""A large plane is not held more often than it must be."""

import tracemalloc
from pathlib import Path

import numpy as np

from napari_sam.records.formats.base import Page
from napari_sam.records.work import InputWork
from napari_sam.segment.link import Linked
from napari_sam.segment.result import PlaneResult
from napari_sam.segment.table import COLUMNS

SIDE, PITCH = 4096, 15


def many_squares() -> PlaneResult:
    """Return a plane of more objects than 16 bits can number."""
    rows = SIDE // PITCH
    ids = np.arange(1, rows**2 + 1, dtype=np.uint32)
    labels = np.zeros((SIDE, SIDE), np.uint32)
    grid = labels[: rows * PITCH, : rows * PITCH]
    for y, x in np.ndindex(PITCH - 3, PITCH - 3):
        grid[y::PITCH, x::PITCH] = ids.reshape(rows, rows)
    table = {name: np.zeros(ids.size, kind) for name, kind in COLUMNS.items()}
    return PlaneResult((), labels, table | {"id": ids})


def test_a_plane_that_is_alone_is_held_once_from_file_to_file(tmp_path: Path) -> None:
    made = many_squares()
    count = len(made.objects["id"])
    assert count > np.iinfo(np.uint16).max
    work = InputWork(tmp_path)
    work.save_plane(0, made)
    linked = Linked.new(count, flags=False)
    linked.ids[:] = np.arange(count + 1)
    tracemalloc.start()
    try:
        result = work.load_plane(0, (), made.labels.shape)
        assert result is not None
        numbered = Page.of(result, linked).numbered
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(numbered, made.labels)
    assert peak < 1.8 * made.labels.nbytes
