"""What is written late is neither lost nor waited for, whatever the disk does."""

import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

from napari_sam.records.ondisk import DiskLabels

SHAPE = (8, 1024, 1024)
CHUNK = 512 * 512 * 4


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


def drawn(labels, seed=0):
    """Write noise, which cannot be made small, and return it."""
    there = np.random.default_rng(seed).integers(0, 2**32, SHAPE, np.uint32)
    labels[...] = there
    return there


@contextmanager
def small_disk(tmp_path, megabytes):
    """Mount a disk of its own, which is full soon."""
    where = tmp_path / "disk"
    where.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(where)]
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)


def test_comes_to_the_disk_by_itself(tmp_path):
    labels = DiskLabels(tmp_path / "l", SHAPE)
    labels[0, 5, 5] = 3
    assert labels.waiting
    until(lambda: not labels.waiting)
    assert (tmp_path / "l/c/0/0/0").is_file()


def test_the_thread_ends_when_all_is_written(tmp_path):
    labels = DiskLabels(tmp_path / "l", SHAPE)
    labels[0, 5, 5] = 3
    assert labels.flush()
    until(lambda: "napari-sam labels" not in {t.name for t in threading.enumerate()})
    labels[0, 5, 5] = 4  # and begins again
    assert labels.flush()


def test_what_leaves_the_memory_comes_back(tmp_path):
    labels = DiskLabels(tmp_path / "l", SHAPE, budget=2 * CHUNK)
    there = drawn(labels)
    assert np.array_equal(labels[...], there)  # most of it waits, compressed
    assert labels.flush()
    assert np.array_equal(labels[...], there)
    assert labels.close()


def test_a_full_disk_loses_nothing(tmp_path):
    told = []
    with small_disk(tmp_path, 10) as where:
        labels = DiskLabels(where / "l", SHAPE, budget=2 * CHUNK)
        labels.failed = told.append
        there = drawn(labels)  # 32 MB
        assert not labels.flush()
        assert not labels.flush()
        assert len(told) == 1  # not once for each chunk
        assert "No space left" in told[0]
        assert str(where) in told[0]
        assert np.array_equal(labels[...], there)
        subprocess.run(["mount", "-o", "remount,size=60m", str(where)], check=True)
        assert labels.flush()
        assert labels.close()
        again = DiskLabels.open(where / "l")
        assert np.array_equal(again[...], there)
        again.close()


def test_a_folder_that_cannot_be_written_loses_nothing(tmp_path):
    told = []
    (tmp_path / "file").write_text("in the way")
    labels = DiskLabels(tmp_path / "file" / "l", SHAPE)
    labels.failed = told.append
    there = drawn(labels)
    assert not labels.flush()
    assert len(told) == 1
    assert "stay in memory" in told[0]
    assert np.array_equal(labels[...], there)
    (tmp_path / "file").unlink()
    assert labels.close()


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
def test_a_folder_without_permission_loses_nothing(tmp_path):
    told = []
    tmp_path.chmod(0o500)
    labels = DiskLabels(tmp_path / "l", SHAPE)
    labels.failed = told.append
    labels[0] = 3
    assert not labels.flush()
    assert "Permission" in told[0]
    tmp_path.chmod(0o700)
    assert labels.close()


@pytest.mark.parametrize("harm", ["flip", "cut", "empty"])
def test_a_damaged_chunk_is_told_and_kept(tmp_path, harm):
    labels = DiskLabels(tmp_path / "l", SHAPE)
    there = drawn(labels)
    assert labels.close()
    place = tmp_path / "l/c/3/0/1"
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 0xFF
    damaged = {"flip": bytes(data), "cut": bytes(data[:1000]), "empty": b""}[harm]
    place.write_bytes(damaged)
    told = []
    again = DiskLabels.open(tmp_path / "l")
    again.failed = told.append
    there[3, :512, 512:] = 0
    assert np.array_equal(again[...], there)  # the others are as they were
    assert np.array_equal(again[3], there[3])
    assert len(told) == 1
    assert "slice 3" in told[0]
    again[3, 5, 600] = there[3, 5, 600] = 9
    assert again.close()
    (kept,) = (tmp_path / "l/c/3/0").glob("*.damaged")
    assert kept.read_bytes() == damaged
    assert np.array_equal(DiskLabels.open(tmp_path / "l")[3], there[3])


def test_what_is_there_already_is_not_half_there_after_a_kill(tmp_path):
    """A process that is killed while it writes leaves whole chunks only."""
    code = """if True:
        import sys
        import numpy as np
        from napari_sam.records.ondisk import DiskLabels
        labels = DiskLabels(sys.argv[1], (4, 1024, 1024))
        for number in range(1, 10**6):
            labels[number % 4] = number
            if number == 40:
                labels.flush()
                print("go", flush=True)
    """
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "l")], stdout=subprocess.PIPE
    )
    assert child.stdout.readline() == b"go\n"
    began = time.time_ns()
    files = list((tmp_path / "l" / "c").glob("?/?/?"))
    until(lambda: any(file.stat().st_mtime_ns > began for file in files))
    child.kill()
    child.wait()
    child.stdout.close()
    told = []
    labels = DiskLabels.open(tmp_path / "l")
    labels.failed = told.append
    whole = labels[...].reshape(4, 2, 512, 2, 512)
    assert (whole == whole[:, :, :1, :, :1]).all()  # each chunk of one value
    assert whole.min() >= 37
    assert not told
    labels.close()


def test_what_a_process_has_drawn_is_there_when_it_has_ended(tmp_path):
    code = (
        "import sys; from napari_sam.records.ondisk import DiskLabels\n"
        "DiskLabels(sys.argv[1], (4, 1024, 1024))[2] = 5"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "l")], check=True)
    assert (DiskLabels.open(tmp_path / "l")[2] == 5).all()


def test_threads_read_while_one_writes(tmp_path):
    labels = DiskLabels(tmp_path / "l", SHAPE, budget=2 * CHUNK)
    wrong, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            for z in range(len(labels)):
                least = seen[z]
                corners = labels[z, ::512, ::512]
                if not (corners >= least).all():
                    wrong.append((z, corners, least))

    seen = [0] * len(labels)
    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(1, 60):
        z = number % len(labels)
        labels[z] = number
        seen[z] = number
    stop.set()
    for reader in readers:
        reader.join()
    assert not wrong
    assert labels.close()
