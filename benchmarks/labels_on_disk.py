"""What edits of labels on the disk cost the thread that draws.

    python benchmarks/labels_on_disk.py                       # 500 × 2048 × 2048
    python benchmarks/labels_on_disk.py --planes 20 --busy    # also on a busy machine

Objects are committed on random slices of an array of 8.4 GB, which is written behind,
while a journal is kept: an object of 60 pixels, and one that covers the whole slice.
Each commit counts with the slice read anew, as the viewer does afterwards. Then a brush
stroke, undo, another slice that is not in memory, and an object on every slice that is
deleted. The same is done with labels in memory, turn by turn, where that has room.
Nothing is drawn: what napari needs to draw a slice is the same for both.

Exit code 1 where a commit takes 50 ms or more, in the median or at worst, or where the
process grows by more than 1 GB without labels in memory (`--no-memory`).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from napari_sam.live.disk.journal import Journal
from napari_sam.live.labels.changes import Change
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.values import Rule
from napari_sam.records.ondisk import DiskLabels
from napari_sam.types import Mask

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.live.labels.access import LabelArray

MOST_MS, MOST_GB = 50.0, 1.0
OBJECT, BRUSH = 60, 30
PLENTY = 2.0  # times the array is free: so much memory is asked for


class Person:
    """Works on one array, and notes what each thing took."""

    def __init__(self, labels: LabelArray, folder: Path) -> None:
        self.store = LabelStore(labels)
        self.took: dict[str, list[float]] = {}
        self.journal = Journal(
            folder, shape=labels.shape, dtype=labels.dtype, about={}, failed=sys.exit
        )
        self.journal.start()

    def timed(self, what: str, do: Callable[[], Any], z: int) -> Change:
        """Do something, read the slice as a viewer does, and note the time."""
        began = time.perf_counter()
        change = do()
        if isinstance(change, Change):
            self.journal.append(change)
            assert change.nbytes
        np.asarray(self.store.labels[z])
        took = (time.perf_counter() - began) * 1000
        self.took.setdefault(what, []).append(took)
        return change

    def commit(self, what: str, z: int, mask: Mask) -> None:
        """Add an object, take it back, and add it again."""
        change = self.timed(what, lambda: self.store.add((z,), mask, Rule.KEEP), z)
        self.timed(f"undo of {what}", lambda: self.store.undo(change), z)
        self.journal.undone(change)
        self.timed(f"redo of {what}", lambda: self.store.redo(change), z)
        self.journal.redone(change)

    def stroke(self, z: int, y: int, x: int) -> None:
        """Paint as napari does: read, change, write, once for each move."""
        labels, number, before = self.store.labels, self.store.free_id(), []

        def paint() -> Change | None:
            for step in range(20):
                left = x + 3 * step
                box = (y, left, y + BRUSH, left + BRUSH)
                key = (z, slice(y, y + BRUSH), slice(left, left + BRUSH))
                part = np.asarray(labels[key])
                before.append(((z,), box, part.copy()))
                part[...] = number
                labels[key] = part
            return self.store.painted(before)

        self.timed("brush stroke of 20 moves", paint, z)

    def everywhere(self) -> None:
        """Put an object on every slice, and delete it when it has left the memory."""
        mask = disc(OBJECT, 300, 300)
        number = self.store.next_id
        for z in range(len(self.store.labels)):
            self.store.add((z,), mask, Rule.KEEP, object_id=number)
        if isinstance(self.store.labels, DiskLabels):
            self.store.labels.flush()
        for z in range(min(60, len(self.store.labels))):
            self.store.labels[z]
        self.timed("delete on every slice", lambda: self.store.delete([number]), 0)


def disc(size: int, y: int, x: int) -> Mask:
    """Return a round object."""
    yy, xx = np.indices((size, size)) - size / 2 + 0.5
    return Mask((y, x, y + size, x + size), yy**2 + xx**2 <= size**2 / 4, 0.9)


def work(people: list[Person], turns: int, side: int) -> None:
    """Let them do the same, turn by turn."""
    random = np.random.default_rng(0)
    whole = Mask((0, 0, side, side), np.ones((side, side), np.bool_), 0.9)
    planes = len(people[0].store.labels)
    for _ in range(turns):
        z = int(random.integers(planes))
        y, x = (int(n) for n in random.integers(side - 2 * OBJECT - BRUSH, size=2))
        for person in people:
            person.timed("another slice", lambda: None, z)
            person.commit("commit of an object", z, disc(OBJECT, y, x))
            person.stroke(z, y, x)
        time.sleep(0.1)  # nobody draws without a pause
    for _ in range(max(3, turns // 10)):
        z = int(random.integers(planes))
        for person in people:
            person.commit("commit of a whole slice", z, whole)
            person.store.delete([person.store.next_id - 1])
        time.sleep(0.5)
    for person in people:
        person.everywhere()


def main() -> None:
    """Run it, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--planes", type=int, default=500)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--turns", type=int, default=100)
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--busy", action="store_true", help="measure, do not judge")
    given = parser.parse_args()
    busy = psutil.cpu_percent(interval=1.0)
    if busy > 15 and not given.busy:
        sys.exit(f"the processor is {busy:.0f} % busy: timings would say nothing")
    shape = (given.planes, given.side, given.side)
    process = psutil.Process()
    with tempfile.TemporaryDirectory() as name:
        disk = DiskLabels(Path(name) / "labels.zarr", shape)
        people = [Person(disk, Path(name) / "journal-disk")]
        room = psutil.virtual_memory().available > PLENTY * disk.nbytes
        if room and not given.no_memory:
            memory = np.zeros(shape, np.uint32)
            people.append(Person(memory, Path(name) / "journal-memory"))
        before = process.memory_info().rss
        work(people, given.turns, given.side)
        grown = (process.memory_info().rss - before) / 2**30
        for person in people:
            person.journal.close()
        disk.close()
    print(f"{shape} on the disk{', and in memory' * (len(people) > 1)}; ms")
    print(f"{'':38}{'median':>9}{'worst':>9}   in memory: median, worst")
    for what, took in people[0].took.items():
        line = f"{what:38}{statistics.median(took):9.1f}{max(took):9.1f}"
        for other in people[1:]:
            same = other.took[what]
            line += f"{statistics.median(same):14.1f}{max(same):9.1f}"
        print(line)
    slow = [
        what
        for what, took in people[0].took.items()
        if what.startswith("commit") and max(took) >= MOST_MS
    ]
    print(f"the process grew by {grown:.2f} GB")
    if given.busy:
        return
    if slow:
        sys.exit(f"{MOST_MS:.0f} ms or more: {', '.join(slow)}")
    if len(people) == 1 and grown > MOST_GB:
        sys.exit(f"more than {MOST_GB} GB of memory")


if __name__ == "__main__":
    main()
