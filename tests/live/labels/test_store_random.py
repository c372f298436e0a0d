"""Whatever is done to objects, it can be taken back and done again exactly."""

from dataclasses import dataclass

import numpy as np
import pytest
import tifffile

from napari_sam.data import FOLDER
from napari_sam.live.labels.changes import Change
from napari_sam.live.labels.history import History
from napari_sam.live.labels.scan import scan
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.values import Mark, PlaneMarks, Rule
from napari_sam.records.ondisk import DiskLabels
from napari_sam.types import Mask

STEPS = 300


@dataclass
class Step:
    store: LabelStore
    change: Change

    @property
    def what(self):
        return self.change.what

    @property
    def nbytes(self):
        return self.change.nbytes

    def undo(self):
        self.store.undo(self.change)

    def redo(self):
        self.store.redo(self.change)


class Person:
    """Does anything, anywhere."""

    def __init__(self, store, seed):
        self.store = store
        self.random = np.random.default_rng(seed)
        self.history = History()
        self.used = set(store.records)

    def act(self):
        actions = [self.add] * 5 + [self.paint] * 3 + [self.undo] * 3 + [self.redo] * 2
        actions += [self.delete, self.merge, self.split, self.fill, self.smooth]
        actions += [self.update, self.refine, self.refine]
        fresh = self.store.next_id
        change = actions[self.random.integers(len(actions))]()
        if not isinstance(change, Change):
            return
        new = {i for i, old in change.records_before.items() if old is None}
        assert not new & self.used
        assert all(i >= fresh for i in new)
        self.used |= new
        self.history.push(Step(self.store, change))

    def undo(self):
        self.history.undo()

    def redo(self):
        self.history.redo()

    def add(self):
        rule = list(Rule)[self.random.integers(3)]
        marks = (Mark("click", self.random.random((1, 2), np.float32)),)
        index = self.index()
        prompts = (PlaneMarks(index, marks),)
        return self.store.add(index, self.shape(), rule, prompts=prompts)

    def refine(self):
        rule = list(Rule)[self.random.integers(3)]
        for number in self.some(1):
            index = self.index()
            return self.store.add(index, self.shape(), rule, object_id=number)

    def delete(self):
        on = self.index() if self.random.random() < 0.5 else None
        return self.store.delete(self.some(2), index=on)

    def merge(self):
        return self.store.merge(self.some(3))

    def split(self):
        return self.at_some_place(self.store.split)

    def fill(self):
        return self.at_some_place(self.store.fill)

    def smooth(self):
        return self.at_some_place(self.store.smooth)

    def update(self):
        return self.store.update(self.some(4), class_id=int(self.random.integers(5)))

    def paint(self):
        """Draw two strokes that cross, as one action."""
        chosen = [0, *self.some(1), self.store.free_id()]
        index, before = self.index(), []
        for _ in range(2):
            mask = self.shape()
            there = self.store.labels[(*index, *mask.slices)]
            before.append((index, mask.box, there.copy()))
            there[mask.data] = chosen[self.random.integers(len(chosen))]
            self.store.labels[(*index, *mask.slices)] = there
        return self.store.painted(before)

    def some(self, count):
        ids = sorted(self.store.records)
        count = min(count, len(ids))
        return [int(i) for i in self.random.choice(ids, count, replace=False)]

    def index(self):
        return tuple(int(self.random.integers(n)) for n in self.store.stack_shape)

    def at_some_place(self, edit):
        for number in self.some(1):
            places = sorted(self.store.extents[number])
            return edit(number, places[self.random.integers(len(places))])

    def shape(self):
        height, width = self.store.plane_shape
        y, x = self.random.random(2) * (height, width)
        a, b = 2 + self.random.random(2) * 14
        yy, xx = np.indices((height, width))
        ellipse = ((yy - y) / a) ** 2 + ((xx - x) / b) ** 2 <= 1
        ellipse &= self.random.random(ellipse.shape) < 0.95
        ellipse[int(y), int(x)] = True
        return Mask.from_array(ellipse)


def check(store):
    found = scan(store.labels)
    assert store.extents == found.extents
    assert store.records.keys() == found.extents.keys()


@pytest.mark.parametrize("where", ["memory", "disk"])
@pytest.mark.parametrize(
    ("seed", "shape", "dtype"),
    [(0, (), "u2"), (1, (3,), "u4"), (2, (2, 2), "i4"), (3, (3,), "u1")],
)
def test_everything_can_be_taken_back_and_done_again(
    seed, shape, dtype, where, tmp_path
):
    truth = tifffile.imread(FOLDER / "truth" / "nuclei_timelapse.tif")
    planes = truth[: int(np.prod(shape)), :72, :80]
    labels = np.ascontiguousarray(planes.reshape(*shape, 72, 80)).astype(dtype)
    if where == "disk":
        pixels, labels = (
            labels,
            DiskLabels(tmp_path / "l", labels.shape, dtype, budget=1),
        )
        labels[...] = pixels
    found = scan(labels)
    store = LabelStore(
        labels, records=found.records, next_id=found.next_id, extents=found.extents
    )
    first = labels[...].copy(), dict(store.records)
    person = Person(store, seed)
    highest = store.next_id
    for _ in range(STEPS):
        person.act()
        check(store)
        assert store.next_id >= highest
        highest = store.next_id
    while person.history.redo():
        check(store)  # the last actions may have been to take something back
    last = labels[...].copy(), dict(store.records)
    assert len(person.history) > 50

    while person.history.can_undo:
        person.history.undo()
        check(store)
    assert_same(store, first)
    while person.history.can_redo:
        person.history.redo()
        check(store)
    assert_same(store, last)
    assert store.next_id == highest


def assert_same(store, expected):
    labels, records = expected
    assert np.array_equal(store.labels[...], labels)
    assert store.records.keys() == records.keys()
    assert all(store.records[i] is records[i] for i in records)
