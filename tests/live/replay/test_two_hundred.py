"""Two hundred things that a person does, done again by the command."""

from collections import Counter

import numpy as np
import tifffile

from napari_sam.live.labels.access import pixels
from napari_sam.live.replay.text import read_replay
from napari_sam.live.values import Rule
from napari_sam.types import Mask


class Person:
    """Does one of many things after the other, always the same for a seed."""

    def __init__(self, desk, pump, draw, answered, seed):
        self.desk, self.session, self.pump, self.draw = desk, desk.session, pump, draw
        self.answered, self.random = answered, np.random.default_rng(seed)
        self.done = {}

    def work(self, many):
        """Go on until labels were changed, or that was taken back, so often."""
        ways = [name for name in dir(self) if name.startswith("do_")]
        seen = []
        take = self.session.on_change
        self.session.on_change = lambda change: (seen.append(change), take(change))
        while len(seen) < many:
            way = ways[self.random.integers(len(ways))]
            if getattr(self, way)() is not False:
                self.done[way] = self.done.get(way, 0) + 1
            self.pump.until(self.answered(self.session))
            self.session.commit()
            self.session.drop()

    def somewhere(self):
        return (int(self.random.integers(4)),), self.random.uniform((0, 0), (96, 112))

    def someone(self):
        there = sorted(self.session.store.records)
        if not there:
            return None, None
        number = int(self.random.choice(there))
        return number, next(iter(self.session.store.extents[number]))

    def do_click(self):
        index, place = self.somewhere()
        self.session.ask("a", index, (self.draw.click(*place),))

    def do_refine(self):
        index, place = self.somewhere()
        clicks = [self.draw.click(*place)]
        self.session.ask("a", index, tuple(clicks))
        for positive in (True, False):
            self.pump.until(self.answered(self.session))
            self.session.cycle()
            near = place + self.random.uniform(-6, 6, 2)
            clicks.append(self.draw.click(*near, positive=positive))
            self.session.ask("a", index, tuple(clicks))

    def do_several(self):
        """Three boxes at once, the last with a scribble; they are one batch."""
        asked = {}
        for key in range(3):
            index, (y, x) = self.somewhere()
            marks = [self.draw.box(y - 9, x - 9, y + 9, x + 9)]
            if key == 2:
                marks.append(self.draw.mark("scribble", (y, x), (y + 3, x + 4)))
            asked[key] = index, tuple(marks)
        self.session.ask_all(asked)

    def do_polygon(self):
        index, (y, x) = self.somewhere()
        corners = ((y - 8, x), (y, x + 9), (y + 8, x), (y, x - 7))
        self.session.ask("a", index, (self.draw.mark("polygon", *corners),))

    def do_late(self):
        """Keep it before the answer is there."""
        self.do_click()
        self.session.commit()

    def do_into(self):
        number, _ = self.someone()
        if number is None:
            return False
        index, place = self.somewhere()
        self.session.ask("a", index, (self.draw.click(*place),))
        self.pump.until(self.answered(self.session))
        self.session.commit(into=number)
        return True

    def do_reopen(self):
        number, index = self.someone()
        if number is None:
            return False
        key = self.session.reopen(number, index)
        said = self.session.suggestions[key].marks
        _, place = self.somewhere()
        self.session.ask(key, index, (*said, self.draw.click(*place)))
        return True

    def do_looser(self):
        self.session.set_outline(int(self.random.integers(-2, 3)))

    def do_rule(self):
        self.session.rule = list(Rule)[self.random.integers(3)]

    def do_contrast(self):
        high = float(self.desk.source.data.max() * self.random.uniform(0.5, 1))
        self.session.see(self.desk.source.seen(ranges=[(0.0, high)]))

    def do_delete(self):
        number, _ = self.someone()
        return self.edit(self.session.store.delete([number] if number else []))

    def do_merge(self):
        pair = sorted(self.session.store.records)[:2]
        return self.edit(self.session.store.merge(pair))

    def do_split(self):
        number, index = self.someone()
        return number and self.edit(self.session.store.split(number, index))

    def do_smooth(self):
        number, index = self.someone()
        return number and self.edit(self.session.store.smooth(number, index))

    def do_paint(self):
        index, (y, x) = self.somewhere()
        box = (int(y) // 2, int(x) // 2, int(y) // 2 + 9, int(x) // 2 + 12)
        there = pixels(self.desk.labels, index, box)
        before = there.copy()
        there[2:7, 3:9] = self.random.choice([0, *self.session.store.records])
        return self.edit(self.session.store.painted([(index, box, before)]))

    def do_find(self):
        index, (y, x) = self.somewhere()
        y, x = int(y) // 2, int(x) // 2
        mask = Mask((y, x, y + 8, x + 7), np.ones((8, 7), bool), 0.7)
        self.session.add_found(index, [(mask, {"model": "nuclei"})])

    def do_follow(self):
        number, index = self.someone()
        if number is None:
            return False
        mask = self.session.store.mask_of(number, index)
        after = ((index[0] + 1) % 4,)
        self.session.follow_on(after, {number: mask}, "Follow")
        return True

    def do_undo(self):
        for _ in range(int(self.random.integers(1, 3))):
            self.session.undo()

    def do_redo(self):
        """Of clicks and drops, too, which are steps like others."""
        for _ in range(5):
            self.session.undo()
        for _ in range(4):
            self.session.redo()

    def edit(self, change):
        if not hasattr(change, "patches"):
            return False
        self.session.edit(change)
        return True


def test_two_hundred_actions_give_the_same_labels(
    desk, pump, draw, answered, tmp_path, replayed
):
    person = Person(desk, pump, draw, answered, seed=8)
    person.work(200)
    assert len(person.done) == sum(name.startswith("do_") for name in dir(person))
    assert len(desk.session.store.records) > 4
    labels = desk.labels.copy()
    file = desk.save(tmp_path / "saved")
    kinds = Counter(action.do for action in read_replay(file).actions)
    assert min(kinds[kind] for kind in ("see", "ask", "keep", "undo", "redo")) > 5
    assert sum(kinds[kind] for kind in ("keep", "edit", "undo", "redo")) >= 200
    again = tmp_path / "again.tif"
    done = replayed(file, "--output", again)
    assert (done.returncode, done.stderr) == (0, "")
    assert "equal those that were saved, to the pixel" in done.stdout
    assert np.array_equal(tifffile.imread(again), labels)
