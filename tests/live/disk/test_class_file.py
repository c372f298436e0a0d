"""The list of classes on the disk: beside the journal, and among what was saved."""

import pytest

from napari_sam.live.class_text import FILE, read_classes
from napari_sam.live.classes import ClassError, ClassList
from napari_sam.live.disk.class_file import ClassFile, kept_classes, saved_classes


@pytest.fixture
def two():
    return ClassList().add("nucleus").add("mitosis")


def test_the_newest_list_is_written(two, tmp_path, pump, no_thread_is_left):
    file = ClassFile(pytest.fail)
    folder = tmp_path / "not there yet"
    for count in range(20):
        file.put(folder, two.change(1, name=f"cell {count}"))
    other = tmp_path / "other"
    file.put(other, two)

    def newest():
        path = folder / FILE
        return path.exists() and "cell 19" in read_classes(path).names.values()

    pump.until(newest)
    pump.until((other / FILE).exists)
    assert kept_classes(other).classes == two.classes
    assert kept_classes(tmp_path) is None


def test_a_list_that_cannot_be_written_is_said(two, tmp_path, pump, no_thread_is_left):
    said = []
    (tmp_path / "file").write_text("no folder")
    file = ClassFile(said.append)
    file.put(tmp_path / "file", two)
    pump.until(lambda: said)
    assert "cannot be kept" in said[0]
    assert "\n" not in said[0]
    file.put(tmp_path / "folder", two)
    pump.until((tmp_path / "folder" / FILE).exists)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("1, nucleus, #010203\n", {1: "nucleus", 2: "mitosis"}),
        ("7, Mitosis\n1, nucleus, #010203\n", {2: "Mitosis", 1: "nucleus"}),
        ("1, cell, #010203\n2, mitosis\n", {1: "cell", 2: "mitosis"}),
        ("2, cyst\n1, mitosis\n", {3: "cyst", 2: "mitosis", 1: "nucleus"}),
        ("cyst\nnucleus\nmitosis\n", {4: "cyst", 1: "nucleus", 2: "mitosis"}),
    ],
)
def test_edited_lists_keep_what_objects_mean(tmp_path, text, names):
    (tmp_path / FILE).write_text(text)
    found, notes = saved_classes(tmp_path, {1: "nucleus", 2: "mitosis"})
    assert found.names == names
    assert notes == ()
    if "#" in text:
        assert found.get(1).colour == "#010203"


def test_a_file_that_is_damaged_does_not_keep_the_names_back(tmp_path):
    (tmp_path / FILE).write_text("1, a\n1, b\n")
    with pytest.raises(ClassError):
        kept_classes(tmp_path)
    found, notes = saved_classes(tmp_path, {3: "nucleus"})
    assert found.names == {3: "nucleus"}
    (note,) = notes
    assert "line 2" in note
