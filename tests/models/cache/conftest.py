"""Caches in folders of their own, and what is put into them."""

import numpy as np
import pytest

from napari_sam.models.cache import EmbeddingCache, Packed


@pytest.fixture(autouse=True)
def _no_thread_is_left(no_thread_is_left):
    """Every test here ends its threads."""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "kept"


@pytest.fixture
def told():
    """Return the lines that were told."""
    return []


@pytest.fixture
def new_cache(folder, told):
    """Open the folder, as often as it is asked for."""
    made = []

    def new(**options):
        made.append(EmbeddingCache(folder, told=told.append, **options))
        return made[-1]

    yield new
    for cache in made:
        cache.close()


def packed_of(seed, side=64):
    random = np.random.default_rng(seed)
    return Packed(
        {
            "map": random.normal(size=(4, side, side)).astype(np.float16),
            "nothing": np.zeros((0, 4), np.int64),
            "pixels": random.integers(0, 255, (side, side, 3), np.uint8),
        },
        {"zoom": 1.5 + seed},
    )


def equal(one, other):
    names = one.arrays.keys() == other.arrays.keys() and one.facts == other.facts
    return names and all(
        a.dtype == other.arrays[n].dtype and np.array_equal(a, other.arrays[n])
        for n, a in one.arrays.items()
    )


@pytest.fixture(scope="session")
def new_packed():
    return packed_of


@pytest.fixture(scope="session")
def same():
    return equal
