"""Proofreading: the objects that somebody should look at, most doubtful first.

What is doubtful is found on a thread (`doubts.measure` and `rank`). The queue is
then kept right edit by edit, at the cost of the objects that were touched. An
object that nobody accepts or deletes stays as it is, to the pixel.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING

from napari_sam.live.labels.access import distinct
from napari_sam.live.proofreading.doubts import doubt_of, is_reviewed, rank, size_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam.live.labels.changes import Change
    from napari_sam.live.labels.scan import Scan
    from napari_sam.live.labels.store import LabelStore
    from napari_sam.live.proofreading.doubts import Doubt, Opinion, Place, Ranking, Size


class Review:
    """The queue of doubtful objects, and how far a person has come with it.

    Edits are made in the store and returned; whoever has them journalled and
    undone hands every change, done or taken back, to `follow`.

    Parameters
    ----------
    store : LabelStore
    """

    def __init__(self, store: LabelStore) -> None:
        self.store = store
        self._touched: set[int] = set()
        self._place: Place | None = None
        self._adopt(rank({}, ()))
        self.ready = False

    def snapshot(self) -> Scan:
        """Return what `measure` and `rank` are to look at."""
        self._touched.clear()
        return self.store.snapshot()

    def begin(self, ranking: Ranking) -> None:
        """Take over what was found, and see again to what was edited since."""
        self._adopt(ranking)
        self.ready = True
        for number in self._touched:
            self._edited(number)
        self._touched.clear()

    def _adopt(self, ranking: Ranking) -> None:
        self.criteria = ranking.criteria
        self._usual = ranking.usual
        self._sizes = dict(ranking.sizes)
        self._doubts = dict(ranking.doubts)
        self._queue = list(ranking.queue)
        self._reviewed = set(ranking.reviewed)
        self._opinions = dict(ranking.opinions)

    @property
    def sizes(self) -> Mapping[int, Size]:
        """A copy of what is measured, to rank it by other criteria."""
        return dict(self._sizes)

    @property
    def opinions(self) -> Mapping[int, Opinion]:
        """A copy of what the model said, to rank by other criteria."""
        return dict(self._opinions)

    @property
    def current(self) -> Doubt | None:
        """The object that is looked at, None where it is not doubtful any more."""
        if self._place is None:
            return None
        return self._doubts.get(self._place[2])

    @property
    def doubtful(self) -> int:
        """How many objects wait in the queue."""
        return len(self._queue)

    @property
    def reviewed(self) -> int:
        """How many objects a person has looked at."""
        return len(self._reviewed)

    @property
    def last(self) -> int | None:
        """The object that was gone to last, doubtful still or not."""
        return None if self._place is None else self._place[2]

    @property
    def reviewed_ids(self) -> frozenset[int]:
        """Which objects a person has looked at; a copy."""
        return frozenset(self._reviewed)

    @property
    def text(self) -> str:
        """How far it is: "41 of 300 reviewed"."""
        return f"{self.reviewed} of {len(self.store.records)} reviewed"

    def doubt_about(self, object_id: int) -> Doubt | None:
        """Return what is doubtful about an object, None where nothing is."""
        return self._doubts.get(object_id)

    def next(self) -> Doubt | None:
        """Go to the next doubtful object; after the last comes the first."""
        if not self._queue:
            return None
        at = 0 if self._place is None else bisect_right(self._queue, self._place)
        return self._go(at % len(self._queue))

    def previous(self) -> Doubt | None:
        """Go to the doubtful object before; in front of the first is the last."""
        if not self._queue:
            return None
        at = 0 if self._place is None else bisect_left(self._queue, self._place)
        return self._go(at - 1)

    def go_to(self, object_id: int) -> Doubt | None:
        """Go to an object; None where nothing is doubtful about it."""
        doubt = self._doubts.get(object_id)
        if doubt is not None:
            self._place = doubt.place
        return doubt

    def accept(self, object_id: int | None = None) -> Change | None:
        """Say that an object is right, by default the current one.

        None where there is no such object.
        """
        number = self._chosen(object_id)
        if number is None:
            return None
        return self._done(self.store.update([number], reviewed=True))

    def delete(self, object_id: int | None = None) -> Change | None:
        """Delete an object, by default the current one."""
        number = self._chosen(object_id)
        return None if number is None else self._done(self.store.delete([number]))

    def follow(self, change: Change) -> set[int]:
        """Take in an edit, whoever made it; also one that was undone or redone.

        Returns
        -------
        set of int
            The objects that it touched.
        """
        touched = _touched(change)
        self._touched |= touched  # a new ranking may be on its way
        if self.ready:
            for number in touched:
                self._edited(number)
        return touched

    def asked(self, opinions: Mapping[int, Opinion]) -> None:
        """Take in what the model says about some objects, see `agreement`.

        Those that were edited after it was asked have to be left out.
        """
        self._opinions.update(opinions)
        for number in opinions:
            size = self._sizes.get(number)
            if size is not None:
                self._weigh(number, size)

    def _chosen(self, object_id: int | None) -> int | None:
        if object_id is not None:
            return object_id
        return None if self.current is None else self.current.id

    def _done(self, change: Change | None) -> Change | None:
        if change is not None:
            self.follow(change)
        return change

    def _go(self, at: int) -> Doubt:
        self._place = self._queue[at]
        return self._doubts[self._place[2]]

    def _edited(self, number: int) -> None:
        self._opinions.pop(number, None)
        self._look(number)

    def _look(self, number: int) -> None:
        """Measure and weigh one object again."""
        on = self.store.extents.get(number)
        if on is None:
            self._sizes.pop(number, None)
            self._weigh(number, None)
            return
        size = self._sizes[number] = size_of(self.store.labels, number, on)
        self._weigh(number, size)

    def _weigh(self, number: int, size: Size | None) -> None:
        old = self._doubts.pop(number, None)
        if old is not None:
            del self._queue[bisect_left(self._queue, old.place)]
        self._reviewed.discard(number)
        record = self.store.records.get(number)
        if record is None or size is None:
            return
        if is_reviewed(record):
            self._reviewed.add(number)
            return
        opinion = self._opinions.get(number)
        new = doubt_of(size, record, self._usual, self.criteria, opinion)
        if new is None:
            return
        self._doubts[number] = new
        insort(self._queue, new.place)


def _touched(change: Change) -> set[int]:
    """Return the ids whose pixels or records an edit changed."""
    touched = {*change.records_before, *change.records_after}
    for patch in change.patches:
        before, after = patch.before, patch.after
        changed = before != after
        for values in (before[changed], after[changed]):
            touched.update(distinct(values))
    touched.discard(0)
    return touched
