"""Labels on the disk behave as a numpy array does, and are there afterwards."""

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam.records.ondisk import DiskLabels
from napari_sam.records.ondisk.array import TooLargeError
from napari_sam.types import ImageError, OutputError

SHAPE = (3, 700, 600)
SMALL = 3 * 512 * 512 * 4  # a budget of three chunks


@pytest.fixture
def labels(tmp_path):
    made = DiskLabels(tmp_path / "labels.zarr", SHAPE, budget=SMALL)
    yield made
    made.close()


def filled(labels):
    """Write random objects through boxes, and return the same in memory."""
    there = np.zeros(SHAPE, np.uint32)
    random = np.random.default_rng(1)
    for number in range(1, 60):
        z, y, x = (int(random.integers(n)) for n in SHAPE)
        key = (z, slice(y, y + 90), slice(x, x + 70))
        there[key] = labels[key] = number
    return there


KEYS = (
    np.s_[1],
    np.s_[-1, 3:],
    np.s_[...],
    np.s_[..., 5],
    np.s_[0:2, ::3, 1:500:7],
    np.s_[2, ::-1, 10:2:-2],
    np.s_[:, 500:530, 500:530],
    np.s_[1, 5:5],
    np.s_[1, 511, 512],
    (np.array([0, 1, 2]), np.array([3, 600, 3]), np.array([599, 0, 3])),
    (1, np.array([[0, 699], [5, 5]]), np.array([[1, 2], [511, 512]])),
    (slice(0, 2), np.array([3, 600]), 7),
    ([2, 0], slice(3), slice(500, 520)),
)


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_is_read_as_numpy_reads(labels, key):
    there = filled(labels)
    assert np.array_equal(labels[key], there[key])
    labels.flush()
    assert np.array_equal(labels[key], there[key])


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_is_written_as_numpy_writes(labels, key):
    there = filled(labels)
    values = np.arange(there[key].size, dtype=np.uint32).reshape(there[key].shape)
    for value in (values, 9):
        there[key] = value
        labels[key] = value
        assert np.array_equal(labels[...], there)


def test_masks_choose_pixels(labels):
    there = filled(labels)
    mask = there == there.max()
    assert np.array_equal(labels[mask], there[mask])
    labels[mask] = 1
    assert not (labels[...][mask] != 1).any()
    with pytest.raises(IndexError, match="does not fit"):
        labels[mask[:2]]


@pytest.mark.parametrize("key", [np.s_[3], np.s_[0, 700, 0], np.s_[0, 0, 0, 0], None])
def test_what_is_not_there_is_an_index_error(labels, key):
    with pytest.raises(IndexError):
        labels[key]
    with pytest.raises(IndexError):
        labels[key] = 1


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_many_writes_one_after_the_other(tmp_path_factory, data):
    shape = (2, 2, 530, 10)
    labels = DiskLabels(tmp_path_factory.mktemp("a") / "l", shape, np.int16, budget=1)
    there = np.zeros(shape, np.int16)
    labels[0, 0, 0, 0] = there[0, 0, 0, 0] = 1
    for _ in range(6):
        key = tuple(
            data.draw(st.one_of(st.integers(0, n - 1), st.slices(n))) for n in shape
        )
        value = data.draw(st.integers(-5, 5))
        labels[key] = value
        there[key] = value
        if data.draw(st.booleans()):
            labels.flush()
    assert np.array_equal(labels[...], there)
    assert labels.close()
    again = DiskLabels.open(labels.path)
    assert np.array_equal(again[...], there)
    again.close()


def test_other_programs_read_it_as_zarr(labels):
    there = filled(labels)
    assert labels.flush()
    read = zarr.open_array(labels.path, mode="r")
    assert np.array_equal(read[...], there)
    assert read.dtype == np.uint32
    assert read.chunks == (1, 512, 512)


def test_nothing_is_on_the_disk_before_something_is_written(labels):
    assert not labels[1].any()
    labels[1, :, :] = 0
    assert labels.flush()
    assert not labels.path.exists()


def test_background_takes_no_file(labels):
    labels[0, :10, :10] = 3
    assert labels.flush()
    assert [p.name for p in labels.path.rglob("c/0/0/*")] == ["0"]
    labels[0, :10, :10] = 0
    assert labels.flush()
    assert not list(labels.path.rglob("c/0/0/*"))


def test_what_is_read_is_a_copy(labels):
    labels[0, :10, :10] = 3
    labels[0][:] = 5
    assert set(np.unique(labels[0])) == {0, 3}


def test_is_opened_again_with_what_was_in_it(labels):
    there = filled(labels)
    assert labels.close()
    again = DiskLabels.open(labels.path)
    assert (again.shape, again.dtype) == (SHAPE, np.uint32)
    assert np.array_equal(again[...], there)
    again[0, 0, 0] = 77
    assert again.close()
    assert DiskLabels.open(labels.path)[0, 0, 0] == 77


def test_only_one_may_edit_it(labels):
    labels[0, 0, 0] = 1
    assert labels.flush()
    with pytest.raises(OutputError, match="another window"):
        DiskLabels.open(labels.path)


def test_arrays_that_zarr_makes_can_be_edited(tmp_path):
    where = tmp_path / "zarr's own"
    made = zarr.create_array(where, shape=(5, 90, 70), dtype="u2", chunks=(2, 32, 64))
    made[...] = there = np.random.default_rng(0).integers(0, 9, (5, 90, 70), np.uint16)
    labels = DiskLabels.open(where)
    assert np.array_equal(labels[...], there)
    labels[1:4, 20:80, 30:] = there[1:4, 20:80, 30:] = 700
    assert labels.close()
    assert np.array_equal(zarr.open_array(where)[...], there)


@pytest.mark.parametrize(
    "kind", [{"compressors": None}, {"shards": (4, 4)}, {"fill_value": 3}], ids=str
)
def test_arrays_of_another_kind_are_not_edited(tmp_path, kind):
    where = tmp_path / "other.zarr"
    zarr.create_array(where, shape=(4, 4), dtype="u2", chunks=(2, 2), **kind)
    with pytest.raises(ImageError, match="copy it"):
        DiskLabels.open(where)


def test_what_is_no_array_is_not_opened(tmp_path):
    with pytest.raises(ImageError, match="no Zarr array"):
        DiskLabels.open(tmp_path / "none.zarr")


def test_damaged_metadata_are_told(labels):
    labels[0, 0, 0] = 1
    labels.close()
    (labels.path / "zarr.json").write_text("{")
    with pytest.raises(ImageError, match="damaged"):
        DiskLabels.open(labels.path)


def test_a_new_one_takes_no_others_place(labels):
    labels[0, 0, 0] = 1
    labels.flush()
    with pytest.raises(OutputError, match="there already"):
        DiskLabels(labels.path, SHAPE)


def test_what_does_not_fit_into_the_memory_is_refused_in_words(tmp_path):
    labels = DiskLabels(tmp_path / "l", (100_000, 4096, 4096))
    with pytest.raises(TooLargeError, match="slice by slice"):
        np.asarray(labels)
    assert not labels[99_999].any()
