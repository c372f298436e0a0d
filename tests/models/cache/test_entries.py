"""What is found again, and what is not taken for it."""

import os
import zipfile

import numpy as np
import pytest
import zarr
from zarr.storage import ZipStore

from napari_sam.models.cache import Packed, key_of

KEY, OTHER = "ab" * 20, "ac" * 20


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def kept(new_cache, new_packed):
    cache = new_cache()
    cache.put(KEY, new_packed(1))
    cache.put(OTHER, new_packed(2))
    cache.close()
    return cache


@pytest.fixture
def path(kept, folder):
    (found,) = folder.glob(f"*/{KEY}*")
    return found


def test_what_was_put_is_there_when_the_folder_is_opened_again(
    kept, new_cache, new_packed, same
):
    again = new_cache()
    assert same(again.get(KEY), new_packed(1))
    assert same(again.get(OTHER), new_packed(2))
    assert again.get("ad" * 20) is None


def test_any_zarr_reader_can_open_an_entry(path, new_packed):
    with ZipStore(path, mode="r") as store:
        array = zarr.open_group(store, mode="r")["map"]
        np.testing.assert_array_equal(array[...], new_packed(1).arrays["map"])


def test_arrays_of_zeros_are_kept_too(new_cache):
    cache = new_cache()
    cache.put(KEY, Packed({"map": np.zeros((1, 256, 64, 64), np.float16)}))
    cache.close()
    assert cache.get(KEY) is not None


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path):
    path.write_bytes(b"")


def foreign(path):
    path.write_bytes(b"II*\0 a picture" * 100)


def foreign_zip(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("letter.txt", "Dear colleague")


def foreign_zarr(path):
    with ZipStore(path, mode="w") as store:
        zarr.create_group(store).create_array("map", data=np.ones((4, 64, 64)))


def changed(path, **attributes):
    """Write the same again, but for what it says of itself."""
    with ZipStore(path, mode="r") as store:
        group = zarr.open_group(store, mode="r")
        about = {**group.attrs, **attributes}
        arrays = {name: array[...] for name, array in group.arrays()}
    with ZipStore(path, mode="w") as store:
        group = zarr.create_group(store, attributes=about)
        for name, array in arrays.items():
            group.create_array(name, data=array, chunks=array.shape or (1,))


def other_version(path):
    changed(path, format="napari-sam slice 2")


def other_facts(path):
    changed(path, facts={"zoom": 9.0})


def other_key(path):
    changed(path, key=OTHER)


def huge(path):
    with ZipStore(path, mode="r") as store:
        about = dict(zarr.open_group(store, mode="r").attrs)
    with ZipStore(path, mode="w") as store:
        group = zarr.create_group(store, attributes=about)
        group.create_array("map", shape=(1 << 40,), dtype="u1", chunks=(1 << 20,))


@pytest.mark.parametrize(
    "spoil",
    [
        cut,
        emptied,
        foreign,
        foreign_zip,
        foreign_zarr,
        other_version,
        other_facts,
        other_key,
        huge,
    ],
)
def test_what_is_not_right_is_removed_and_made_again(
    kept, path, spoil, told, new_packed, same
):
    spoil(path)
    assert kept.get(KEY) is None
    assert not path.exists()
    assert same(kept.get(OTHER), new_packed(2))
    kept.put(KEY, new_packed(1))
    kept.close()
    assert same(kept.get(KEY), new_packed(1))
    assert told == []


def test_an_entry_under_another_name_is_not_taken_for_it(kept, path, folder):
    (other,) = folder.glob(f"*/{OTHER}*")
    os.replace(other, path)
    assert kept.get(KEY) is None


def test_no_flipped_bit_gives_other_features(kept, path, new_packed, same):
    good = path.read_bytes()
    random = np.random.default_rng(0)
    wrong = 0
    for at in random.integers(0, len(good), 150):
        bad = bytearray(good)
        bad[at] ^= 1 << int(random.integers(8))
        path.write_bytes(bad)
        found = kept.get(KEY)
        wrong += found is None
        # Some bits are only dates of the ZIP, which nobody reads.
        assert found is None or same(found, new_packed(1))
    assert wrong > 100


PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
SAID = {"weights": "w", "way": "a", "step": 1, "scale": None}


@pytest.mark.parametrize(
    "other",
    [
        {"weights": "v"},
        {"way": "b"},
        {"step": 2},
        {"scale": 1.0},
        {"pixels": PIXELS[::-1]},
        {"pixels": PIXELS.reshape(2, 8, 3)},
    ],
)
def test_everything_that_changes_features_changes_the_key(other):
    key = key_of(PIXELS, **SAID)
    assert key == key_of(np.asfortranarray(PIXELS), **SAID)
    assert key != key_of(**{"pixels": PIXELS, **SAID, **other})


def test_emptying_leaves_what_is_not_ours(kept, folder):
    note = folder / "ab" / "note.txt"
    note.write_text("mine")
    assert kept.nbytes > 0
    kept.empty()
    assert files(folder) == [note]
    assert kept.nbytes == 0
    assert kept.get(KEY) is None
