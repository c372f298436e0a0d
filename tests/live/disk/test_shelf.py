"""Which files of models are known, and that they are remembered."""

import shutil

import pytest

from napari_sam.live.disk.shelf import Shelf, check
from napari_sam.models.catalog import list_models
from napari_sam.models.known import KNOWN
from napari_sam.types import ModelError, OutputError


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path / "home")


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(b"weights")
    return path


def sparse(path, size):
    """Make a file that looks large and takes no room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)
    return path


def test_an_empty_shelf_has_nothing_and_makes_nothing(shelf, tmp_path):
    assert shelf.look() == ()
    assert not (tmp_path / "home").exists()


def test_what_was_added_is_remembered_until_it_is_forgotten(shelf, mine, tmp_path):
    shelf.add(mine)
    shelf.add(mine)
    (one,) = Shelf(tmp_path / "home").look()
    assert (one.path, one.size, one.known, one.added) == (mine, 7, None, True)
    shelf.forget(mine)
    assert shelf.look() == ()
    assert mine.is_file()


def test_a_file_that_is_gone_stays_on_the_list(shelf, mine):
    shelf.add(mine)
    mine.unlink()
    (one,) = shelf.look()
    assert one.size is None


def test_files_in_our_folder_are_found(shelf):
    base = next(known for known in KNOWN if known.file == "sam_vit_b_01ec64.pth")
    right = sparse(shelf.folder / base.file, base.size)
    sparse(shelf.folder / "notes.txt", 10)
    other = sparse(shelf.folder / "cells.pt", 10)
    first, second = shelf.look()
    assert (first.path, first.known, first.added) == (other, None, False)
    assert (second.path, second.known) == (right, base)
    sparse(right, base.size - 1)
    assert shelf.look()[1].known is None


def test_a_file_of_our_folder_that_was_added_is_listed_once(shelf):
    path = sparse(shelf.folder / "cells.pt", 10)
    shelf.add(path)
    (one,) = shelf.look()
    assert one.added


@pytest.mark.parametrize("text", ["", "no list", '{"a": 1}', "[1, 2]", "\udc80"])
def test_a_damaged_list_is_an_empty_one(shelf, mine, tmp_path, text):
    path = tmp_path / "home" / "models.json"
    path.parent.mkdir()
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert shelf.look() == ()
    shelf.add(mine)
    assert [one.path for one in shelf.look()] == [mine]


def test_the_environment_says_where_it_is(monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path / "elsewhere"))
    assert Shelf().folder == tmp_path / "elsewhere" / "models"


def test_a_place_that_cannot_be_written_is_named(mine, tmp_path):
    (tmp_path / "home").write_text("in the way")
    with pytest.raises(OutputError, match=r"models\.json"):
        Shelf(tmp_path / "home").add(mine)


def test_a_model_is_told_from_what_is_none(mine, tmp_path):
    weights = next(entry.path for entry in list_models() if entry.name == "pocket")
    copied = tmp_path / "copied.pt"
    shutil.copy(weights, copied)
    assert check(copied).name == "copied.pt"
    with pytest.raises(ModelError, match="this is no checkpoint"):
        check(mine)
