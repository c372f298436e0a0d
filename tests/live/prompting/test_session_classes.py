"""The list of classes in a session: one timeline with the objects."""

from dataclasses import replace

import numpy as np
import pytest

from napari_sam.live.classes import ClassList
from napari_sam.live.proposals.found import Filters, found_in
from napari_sam.live.values import Rule
from napari_sam.models.catalog import load_model
from napari_sam.segment.proposals import Proposals
from napari_sam.types import Mask


def square(y, x, score=0.9):
    return Mask((y, x, y + 10, x + 10), np.ones((10, 10), bool), score)


@pytest.fixture
def told(opened):
    heard = []
    opened.on_classes = lambda: heard.append(opened.classes.names)
    return heard


def classes_of(session):
    return {number: one.class_id for number, one in session.store.records.items()}


def test_edits_of_the_list_can_be_taken_back(opened, told):
    opened.list_classes(ClassList().add("nucleus"), "Add class")
    opened.list_classes(opened.classes.change(1, name="cell"), "Rename class")
    assert told == [{1: "nucleus"}, {1: "cell"}]
    assert opened.history.undo_text == "Rename class"
    opened.undo()
    opened.undo()
    opened.redo()
    assert told[2:] == [{1: "nucleus"}, {}, {1: "nucleus"}]
    opened.list_classes(ClassList().add("restored"))
    assert len(opened.history) == 1  # nobody has done that


def test_objects_lose_a_removed_class_and_get_it_back(opened, listener, told):
    opened.list_classes(ClassList().add("a").add("b"))
    store = opened.store
    for place, number in ((0, 1), (20, 2), (40, 2)):
        opened.edit(store.add((0,), square(0, place), Rule.KEEP, class_id=number))
    opened.class_id = 2
    listener.changes.clear()
    change = store.update([2, 3], class_id=0)
    opened.list_classes(opened.classes.remove(2), "Remove class b", change)
    assert classes_of(opened) == {1: 1, 2: 0, 3: 0}
    assert opened.class_id == 0
    assert listener.changes == [change]
    opened.undo()
    assert classes_of(opened) == {1: 1, 2: 2, 3: 2}
    assert opened.classes.names == {1: "a", 2: "b"}
    opened.redo()
    assert classes_of(opened) == {1: 1, 2: 0, 3: 0}
    assert opened.classes.names == {1: "a"}


def test_classes_of_a_detector_are_mapped_by_name(opened, told):
    opened.list_classes(ClassList().add("Mitosis"))
    opened.class_id = 1
    about = {"score": 0.9, "reviewed": False}
    opened.add_found(
        (0,),
        [
            (square(0, 0), {**about, "class_name": "nucleus"}),
            (square(0, 20), {**about, "class_name": "mitosis"}),
            (square(0, 40), about),
        ],
    )
    assert opened.classes.names == {1: "Mitosis", 2: "nucleus"}
    assert classes_of(opened) == {1: 2, 2: 1, 3: 1}
    assert told[-1] == {1: "Mitosis", 2: "nucleus"}
    opened.undo()
    assert not opened.store.records
    assert 2 in opened.classes.names  # a name does no harm


@pytest.mark.parametrize("names", [("nucleus",), ("nucleus", "debris")])
def test_what_was_found_is_named_where_there_are_several_classes(frames, names):
    proposals = Proposals(
        (0,),
        frames.shape[1:],
        (square(0, 0), square(30, 30), square(60, 60)),
        np.array([0.7, 0.9, 0.8], np.float32),
        np.array([0, len(names) - 1, 0]),
        names,
    )
    filters = replace(Filters(), smallest=1, stability=0)
    found = found_in(proposals, filters, load_model("pocket", "cpu").info)
    told = [(one.mask.box[0], one.about.get("class_name")) for one in found.objects]
    several = len(names) > 1
    assert sorted(told) == [
        (0, "nucleus" if several else None),
        (30, "debris" if several else None),
        (60, "nucleus" if several else None),
    ]
