"""Lists of classes: edits, keys, text that people write."""

import pytest

from napari_sam.live.class_keys import spelt
from napari_sam.live.class_text import (
    FILE,
    from_text,
    read_classes,
    to_text,
    write_classes,
)
from napari_sam.live.classes import COLOURS, ClassError, ClassList, ObjectClass


@pytest.fixture
def three():
    return ClassList().add("nucleus").add("mitosis").add("debris, large")


def test_new_classes_differ_in_everything(three):
    many = three
    for _ in range(11):
        many = many.add()
    assert [one.number for one in many] == list(range(1, 15))
    assert {one.colour for one in many} == set(COLOURS)
    assert [one.key for one in three] == ["Alt+1", "Alt+2", "Alt+3"]
    assert [one.key for one in many][9:] == [""] * 5  # no usual key is left
    assert many.classes[4].name == "class 5"


def test_edits_make_new_lists(three):
    other = three.change(2, name="  dividing  cell ", colour="#ABCDEF", key="shift+m")
    assert other.get(2) == ObjectClass(2, "dividing cell", "#abcdef", "Shift+M")
    assert three.get(2).name == "mitosis"
    fewer = other.remove(3)
    assert fewer.get(3) is None
    assert fewer.add("x").classes[-1].number == 4  # never 3 again
    assert fewer.named("DIVIDING cell").number == 2
    assert fewer.names == {1: "nucleus", 2: "dividing cell"}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"name": "Nucleus"}, 'the name "Nucleus" is taken'),
        ({"name": " "}, "name of a class"),
        ({"name": "x" * 61}, "60 letters"),
        ({"colour": "red"}, "#rrggbb"),
        ({"key": "Alt+1"}, 'taken already, by the class "nucleus"'),
        ({"key": "Alt+0"}, "stands for no class"),
        ({"key": "1"}, "Alt with a digit"),
        ({"key": "Shift+1"}, "Alt with a digit"),
        ({"key": "Ctrl+S"}, "cannot be the key"),
        ({"key": "no key"}, "cannot be the key"),
        ({"key": "g"}, "G is taken already: Smooth"),
    ],
)
def test_edits_that_make_no_sense_are_refused_in_one_line(three, fields, says):
    with pytest.raises(ClassError) as refused:
        three.change(2, taken={"g": "Smooth its outline"}, **fields)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("key", ["W", "Shift+W", "Alt+W", "Alt+Shift+W", "F5", "alt-7"])
def test_keys_that_a_class_can_have(three, key):
    assert three.change(1, key=key).get(1).key == spelt(key)


def test_keys_that_are_taken_are_left_out(three):
    assert [one.key for one in three.without_keys({"alt+2"})] == ["Alt+1", "", "Alt+3"]
    new = ClassList().add("x", taken={"Alt+1": "something", "Alt+2": "else"})
    assert new.classes[0].key == "Alt+3"


def test_text_is_read_back_as_it_was(three, tmp_path):
    odd = three.change(1, name='the "best" #1, really').change(2, key="").remove(3)
    assert from_text(to_text(odd)).classes == odd.classes
    path = tmp_path / FILE
    write_classes(path, odd)
    assert read_classes(path).classes == odd.classes
    assert path.read_text("utf-8").splitlines()[2] == "2, mitosis, #56b4e9"


def test_text_of_people():
    read = from_text(
        "\ufeff# mine\n\n  nucleus\n5, mitosis ,#00FF00\r\ndebris, Alt+9\n7, 'x y', w\n"
        '"a, b", #112233, alt+a\n42, #445566'
    )
    assert [(o.number, o.name) for o in read] == [
        (8, "nucleus"),
        (5, "mitosis"),
        (9, "debris"),
        (7, "'x y'"),
        (10, "a, b"),
        (11, "42"),
    ]
    assert read.get(5).colour == "#00ff00"
    assert read.get(9).key == "Alt+9"
    assert read.get(7).key == "W"
    assert read.get(10) == ObjectClass(10, "a, b", "#112233", "Alt+A")
    assert from_text("person\nbicycle\n").names == {1: "person", 2: "bicycle"}
    assert not len(from_text(""))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a\n\n A\n", 'line 3: the name "A" is taken already, by the class "a"'),
        ("1, a\n1, b\n", 'line 2: the number 1 is taken already, by the class "a"'),
        ("a\n0, b\n", "line 2: 0 cannot be the number"),
        ("a\n99999999999999999, b\n", "line 2: "),
        ("a, Alt+1\nb, Alt+1\n", "line 2: the key Alt+1 is taken"),
        ("a, #12345\n", 'line 1: "#12345" is no colour'),
        ("a, #123456, #123456\n", "line 1: write number, name, colour and key"),
        (", #123456\n", "line 1: write number"),
        ("3, \n", "line 1: write number"),
        ('1, "a\n', "line 1: a quotation mark"),
        ("a\nb, what is this\n", 'line 2: "what is this" cannot be the key'),
    ],
)
def test_mistakes_in_text_name_their_line(text, says):
    with pytest.raises(ClassError) as refused:
        from_text(text)
    assert str(refused.value).startswith(says)
    assert "\n" not in str(refused.value)


def test_files_that_are_none(tmp_path):
    with pytest.raises(ClassError, match="cannot be read"):
        read_classes(tmp_path / "nothing.txt")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ClassError, match="UTF-8"):
        read_classes(tmp_path / "binary")
    (tmp_path / "large").write_bytes(b"a" * 1_000_001)
    with pytest.raises(ClassError, match="too large"):
        read_classes(tmp_path / "large")
    (tmp_path / "bad").write_text("a\na\n")
    with pytest.raises(ClassError, match=r"bad, line 2: "):
        read_classes(tmp_path / "bad")


def test_classes_of_a_detector_are_found_by_name(three):
    now, numbers = three.mapped(["Mitosis", "cell wall", "NUCLEUS", " ", "cell  wall"])
    assert numbers == (2, 4, 1, 5, 4)
    assert now.names == {**three.names, 4: "cell wall", 5: "object"}
    assert three.mapped(["nucleus"]) == (three, (1,))


def test_lists_are_joined_by_name(three):
    other = ClassList().add("cyst").add("Nucleus")
    joined = three.joined(other)
    assert joined.names == {**three.names, 4: "cyst"}
    assert joined.get(4).key == ""  # the first list has it
    assert ClassList().joined(three).classes == three.classes


def test_another_list_for_the_same_objects_keeps_their_classes(three):
    new = from_text("1, cyst\n2, Nucleus, #010203, Alt+2\n")
    now = three.replaced(new, keep={1, 2})
    assert now.names == {4: "cyst", 1: "Nucleus", 2: "mitosis"}
    assert now.get(1).colour == "#010203"
    assert (now.get(1).key, now.get(2).key) == ("Alt+2", "")
    assert ClassList().replaced(new, keep=()).classes == new.classes
