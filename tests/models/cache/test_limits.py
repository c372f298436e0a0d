"""How much is kept, and what goes first."""

import os
import shutil
import time

import pytest

from napari_sam.models.cache import EmbeddingCache
from napari_sam.types import OutputError


def key(number):
    return f"{number:040x}"


@pytest.fixture
def size(tmp_path, new_packed):
    """Bytes of an entry's file."""
    cache = EmbeddingCache(tmp_path / "one")
    cache.put(key(0), new_packed(0))
    cache.close()
    return cache.nbytes


def fill(cache, new_packed, count, first=0):
    """Put entries, each of which was used a second later than the one before."""
    for number in range(first, first + count):
        cache.put(key(number), new_packed(number))
        cache.close()
        then = time.time() - 1000 + number
        os.utime(next(cache.folder.glob(f"*/{key(number)}*")), (then, then))


def there(cache, count):
    return [number for number in range(count) if cache.get(key(number)) is not None]


def test_what_was_used_longest_ago_goes(new_cache, new_packed, size):
    cache = new_cache(limit=5 * size)
    fill(cache, new_packed, 5)
    assert cache.get(key(0)) is not None  # it was used now
    fill(cache, new_packed, 1, first=5)
    assert cache.nbytes <= cache.limit
    left = there(cache, 6)
    assert {0, 5} <= set(left)
    assert 1 not in left


def test_a_limit_holds_however_much_is_put(new_cache, new_packed, size):
    cache = new_cache(limit=4 * size)
    for number in range(30):
        cache.put(key(number), new_packed(number))
    cache.close()
    assert EmbeddingCache(cache.folder).nbytes <= cache.limit
    assert 29 in there(cache, 30)


def test_what_is_larger_than_the_limit_is_not_kept(new_cache, new_packed, size, told):
    cache = new_cache(limit=size // 2)
    for number in range(3):
        cache.put(key(number), new_packed(number))
    cache.close()
    assert cache.nbytes == 0
    (line,) = told
    assert "no more prepared slices fit within" in line
    assert "raise the limit" in line


def test_only_a_share_of_the_free_disk_is_used(new_cache, new_packed, size, folder):
    free = shutil.disk_usage(folder.parent).free
    cache = new_cache(share=2.5 * size / free)
    fill(cache, new_packed, 6)
    assert 0 < cache.nbytes <= 3 * size


def test_what_is_prepared_now_does_not_push_itself_out(new_cache, new_packed, size):
    cache = new_cache(limit=4 * size)
    fill(cache, new_packed, 3)
    since = time.time() - 1
    for number in range(3, 6):
        cache.keep(key(number), new_packed(number), since).result()
    with pytest.raises(OutputError, match="raise the limit"):
        for number in range(6, 9):
            cache.keep(key(number), new_packed(number), since).result()
    cache.close()
    assert {3, 4, 5} <= set(there(cache, 9))
    assert cache.nbytes <= cache.limit
    assert not cache.problem  # what is put as ever still finds room


def test_fast_models_are_not_worth_a_file(new_cache):
    cache = new_cache(least=0.25)
    assert cache.takes(0.3)
    assert not cache.takes(0.2)


def test_what_dead_processes_left_is_removed(new_cache, new_packed, folder):
    cache = new_cache()
    cache.put(key(1), new_packed(1))
    cache.close()
    (path,) = folder.rglob("*.zip")
    old, new = (path.with_name(f"x.{name}.part") for name in ("old", "new"))
    for part in (old, new):
        part.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert new_cache().nbytes == path.stat().st_size
    assert not old.exists()
    assert new.exists()  # somebody may be writing it
