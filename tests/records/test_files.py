import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_sam.records.files import (
    DiskFullError,
    atomic_file,
    atomic_folder,
    fingerprint,
    locked,
    prepare_folder,
    remove_parts,
    write_text,
)
from napari_sam.types import OutputError


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    with atomic_file(path) as file:
        file.write(b"one")
        assert not path.exists()
    assert path.read_bytes() == b"one"
    assert [p.name for p in path.parent.iterdir()] == ["b.txt"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "b.txt"
    write_text(path, "old")
    with pytest.raises(KeyError), atomic_file(path) as file:
        file.write(b"new")
        raise KeyError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_of_the_greatest_length_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 251 + ".txt")
    write_text(path, "x")
    assert path.read_text() == "x"


@pytest.mark.parametrize("make", [prepare_folder, lambda p: write_text(p / "a", "x")])
def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path, make) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file.*cannot be written.*--output"):
        make(tmp_path / "file" / "out")


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes there")
def test_a_full_disk_is_told_apart(tmp_path: Path) -> None:
    code = f"""
import resource
from pathlib import Path
from napari_sam.records.files import DiskFullError, write_text
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_text(Path({str(tmp_path / "big")!r}), "x" * 2000)
except DiskFullError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "disk is full" in done.stdout and "big" in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []
    assert issubclass(DiskFullError, OutputError)


def test_a_second_process_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    code = f"""
from pathlib import Path
from napari_sam.records.files import locked
with locked(Path({str(lock)!r}), Path("results")):
    print("locked", flush=True)
    input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(OutputError, match=r"results is being written by another"):
            with locked(lock, Path("results")):
                pass
        other.kill()
        other.wait()
    with locked(lock, Path("results")):
        assert lock.exists()


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    kept, left = tmp_path / "a" / "x.part", tmp_path / "a" / ".x.tif.part"
    kept.parent.mkdir()
    kept.touch()
    left.touch()
    remove_parts(tmp_path)
    assert kept.exists() and not left.exists()


@pytest.mark.parametrize("inside", [".", "folder.zarr/0/0"])
def test_a_fingerprint_changes_with_time_and_size(tmp_path: Path, inside: str) -> None:
    path = tmp_path / inside / "data"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"123")
    whole = path if inside == "." else tmp_path / "folder.zarr"
    first = fingerprint(whole)
    assert fingerprint(whole) == first
    os.utime(path, (1, 1))
    second = fingerprint(whole)
    path.write_bytes(b"1234")
    os.utime(path, (1, 1))
    assert len({first, second, fingerprint(whole)}) == 3


def test_a_folder_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "a.zarr"
    for text in ("first", "second"):
        with atomic_folder(place) as folder:
            (folder / text).write_text(text)
            assert not (place / text).exists()
        assert [file.name for file in place.iterdir()] == [text]
    with pytest.raises(ZeroDivisionError), atomic_folder(place) as folder:
        (folder / "third").write_text("")
        raise ZeroDivisionError
    assert [file.name for file in place.iterdir()] == ["second"]
    assert os.listdir(tmp_path) == ["a.zarr"]


def test_folders_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    left = tmp_path / "omezarr" / ".a.zarr.part"
    left.mkdir(parents=True)
    (left / "0").write_text("")
    remove_parts(tmp_path)
    assert os.listdir(tmp_path / "omezarr") == []
