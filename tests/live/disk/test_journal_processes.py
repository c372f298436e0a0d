"""The journal when its process is killed, the disk is full, somebody else has it."""

import subprocess
import sys

import numpy as np
import pytest

from napari_sam.live.disk.journal import Journal, JournalError
from napari_sam.live.disk.keeping import find, new_folder, restore

SHAPE = (4, 64, 64)

# Draws the same objects in every process.
DRAW = """
import sys
from pathlib import Path
import numpy as np
from napari_sam.live.disk.journal import Journal
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.values import Rule
from napari_sam.types import Mask

store = LabelStore(np.zeros({shape}, np.uint32))
rng = np.random.default_rng(7)

def draw():
    y, x = (int(n) for n in rng.integers(0, 50, 2))
    mask = Mask((y, x, y + 14, x + 14), rng.random((14, 14)) < 0.5, 0.5)
    return store.add((int(rng.integers(4)),), mask, Rule.REPLACE)
"""

DRAW_FOR_EVER = """
journal = Journal(
    Path({folder!r}), shape=store.shape, dtype="u4", about={{}}, compact_above=30_000
)
journal.start()
for number in range(1, 100_000):
    journal.append(draw())
    if number % 5 == 0:
        assert journal.flush(30)
        print(number, flush=True)
"""

DRAW_ON_A_FULL_DISK = """
import resource
told = []
journal = Journal(
    Path({folder!r}), shape=store.shape, dtype="u4", about={{}}, failed=told.append
)
journal.start()
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
for _ in range(20):
    journal.append(draw())
    full = not journal.flush(30)
print(full, *told, sep="|")
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
journal.append(draw())
print(journal.flush(30), len(told))
print(journal.close())
np.save({expected!r}, store.labels)
"""

ENDS_WITHOUT_CLOSING = """
journal = Journal(Path({folder!r}), shape=store.shape, dtype="u4", about={{}})
journal.start()
for _ in range(30):
    journal.append(draw())
np.save({expected!r}, store.labels)
"""

HOLDS = """
journal = Journal(Path({folder!r}), shape=store.shape, dtype="u4", about={{}})
journal.start()
journal.append(draw())
print(journal.flush(30), flush=True)
input()
"""

posix = pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes")


def program(code, **values):
    code = DRAW + code
    return [sys.executable, "-c", code.format(shape=SHAPE, **values)]


def drawn(count):
    """Return the labels after so many objects."""
    values = {}
    exec(DRAW.format(shape=SHAPE), values)
    for _ in range(count):
        values["draw"]()
    return values["store"].labels


@pytest.mark.parametrize("after", [1, 40])
def test_a_killed_process_loses_nothing_that_was_kept(tmp_path, after):
    folder = new_folder(tmp_path, "image")
    with subprocess.Popen(
        program(DRAW_FOR_EVER, folder=str(folder)), stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        for _ in range(after):
            other.stdout.readline()
        other.kill()
        printed = other.stdout.read().split()
    kept = int(printed[-1]) if printed else 5 * after
    left = find(tmp_path, "image")
    assert left is not None and left.folder == folder
    labels = np.zeros(SHAPE, np.uint32)
    restored = restore(folder, labels)
    # At least what was said to be kept, and a state in which it really was.
    count = restored.next_id - 1
    assert count >= kept
    np.testing.assert_array_equal(labels, drawn(count))
    assert {r.id for r in restored.records} == set(np.unique(labels).tolist()) - {0}


@posix
def test_on_a_full_disk_it_says_so_once_and_goes_on_when_there_is_room(tmp_path):
    folder = new_folder(tmp_path, "image")
    done = subprocess.run(
        program(
            DRAW_ON_A_FULL_DISK,
            folder=str(folder),
            expected=str(tmp_path / "expected.npy"),
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, *others = done.stdout.splitlines()
    assert first.startswith("True|") and first.count("|") == 1
    assert "the disk is full" in first and "save your labels" in first
    assert others == ["True 1", "True"]
    labels = np.zeros(SHAPE, np.uint32)
    restored = restore(folder, labels)
    np.testing.assert_array_equal(labels, np.load(tmp_path / "expected.npy"))
    assert restored.notes == ()


def test_a_program_that_just_ends_writes_what_is_left(tmp_path):
    folder = new_folder(tmp_path, "image")
    expected = tmp_path / "expected.npy"
    code = program(ENDS_WITHOUT_CLOSING, folder=str(folder), expected=str(expected))
    done = subprocess.run(code, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    labels = np.zeros(SHAPE, np.uint32)
    restore(folder, labels)
    np.testing.assert_array_equal(labels, np.load(expected))


def test_another_process_has_it_until_it_ends(tmp_path):
    folder = new_folder(tmp_path, "image")
    journal = Journal(folder, shape=SHAPE, dtype="u4", about={})
    with subprocess.Popen(
        program(HOLDS, folder=str(folder)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        with pytest.raises(JournalError, match="open in another window"):
            journal.start()
        assert find(tmp_path, "image") is None
        other.kill()
        other.wait()
    assert find(tmp_path, "image") is not None
    journal.start()
    assert journal.close()
    assert find(tmp_path, "image") is not None
