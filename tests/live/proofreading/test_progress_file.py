"""What is complete, beside a journal: the newest is kept, whole."""

import pytest

from napari_sam.live.proofreading.progress import Progress
from napari_sam.live.proofreading.progress_file import (
    FILE,
    ProgressFile,
    read_progress,
)
from napari_sam.types import NapariSamError


@pytest.fixture(autouse=True)
def _no_thread_is_left(no_thread_is_left):
    """Every test here ends its threads."""


def test_the_newest_is_kept(tmp_path):
    trouble = []
    file = ProgressFile(tmp_path / "session", trouble.append)
    progress = Progress((50,), (9, 9))
    for number in range(50):
        progress = progress.mark([(number,)], "complete")
        file.put(progress)
    file.wait()
    kept = read_progress(tmp_path / "session")
    assert kept.complete == 50
    assert [path.name for path in (tmp_path / "session").iterdir()] == [FILE]
    assert trouble == []


def test_nothing_was_kept(tmp_path):
    assert read_progress(tmp_path / "nowhere") is None


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b'{"planes": []}'])
def test_damage_is_told_in_one_line(tmp_path, text):
    (tmp_path / FILE).write_bytes(text)
    with pytest.raises(NapariSamError) as error:
        read_progress(tmp_path)
    assert "\n" not in str(error.value)


def test_what_cannot_be_kept_is_said(tmp_path):
    (tmp_path / "session").write_bytes(b"a file where a folder should be")
    trouble = []
    file = ProgressFile(tmp_path / "session", trouble.append)
    file.put(Progress((), (9, 9)))
    file.wait()
    (line,) = trouble
    assert "cannot be kept" in line
