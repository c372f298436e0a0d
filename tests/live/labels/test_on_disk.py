"""An object on every plane of labels on the disk, most of which are not in memory."""

import numpy as np
import pytest

from napari_sam.live.disk.copying import copy_labels
from napari_sam.live.disk.scratch import new_labels, tidy, too_large
from napari_sam.live.labels.scan import scan
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.values import Rule
from napari_sam.records.ondisk import DiskLabels
from napari_sam.types import ImageError, Mask

PLANES = 500


@pytest.fixture
def store(tmp_path):
    """Return two objects that span all planes."""
    store = LabelStore(DiskLabels(tmp_path / "l", (PLANES, 40, 50), budget=1))
    for number, y in ((1, 4), (2, 20)):
        mask = Mask((y, 5, y + 9, 15), np.ones((9, 10), np.bool_), 0.9)
        for z in range(PLANES):
            store.add((z,), mask, Rule.KEEP, object_id=number)
    assert store.labels.flush()
    return store


def test_is_deleted_joined_and_taken_back(store):
    before = store.labels[...]
    deleted = store.delete([1])
    assert np.array_equal(store.labels[...], np.where(before == 1, 0, before))
    store.undo(deleted)
    assert np.array_equal(store.labels[...], before)
    joined = store.merge([2, 1])
    assert np.array_equal(store.labels[...], np.where(before == 1, 2, before))
    assert store.extents == scan(store.labels).extents
    store.undo(joined)
    assert store.labels.close()
    assert np.array_equal(DiskLabels.open(store.labels.path)[...], before)
    assert store.extents == scan(store.labels).extents


def test_where_new_labels_lie(tmp_path):
    assert isinstance(new_labels((2, 9, 9)), np.ndarray)
    made = new_labels((2, 9, 9), on_disk=True, root=tmp_path)
    assert isinstance(made, DiskLabels)
    assert too_large((10_000, 100_000, 100_000))
    huge = new_labels((10_000, 100_000, 100_000), root=tmp_path)
    assert isinstance(huge, DiskLabels)
    huge[9_999, 99_990:, 99_990:] = 5
    assert huge.flush()
    assert int(huge[9_999, 99_999, 99_999]) == 5
    tidy(tmp_path)
    assert huge.path.exists()  # it is in use


def test_a_copy_of_nothing_that_can_be_read_is_an_error():
    class Broken:
        shape, dtype = (3, 4, 4), np.dtype(np.uint8)

        def __getitem__(self, index):
            raise OSError("the disk is gone")

    with pytest.raises(ImageError, match="none of these labels can be read"):
        copy_labels(Broken())


def test_a_copy_that_is_no_longer_wanted_ends():
    seen = []
    labels = np.ones((5, 4, 4), np.int64)
    wanted = copy_labels(
        labels,
        progress=lambda done, of: seen.append((done, of)),
        still_wanted=lambda: len(seen) < 2,
    )
    assert wanted is None
    assert seen == [(1, 5), (2, 5)]
