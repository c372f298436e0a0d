"""One id per object through a stack, decided plane by plane as they come."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from napari_sam.segment.overlap import Overlaps, best_pairs, count_overlaps
from napari_sam.types import LabelArray, NapariSamError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sam.segment.recipe import Link
    from napari_sam.types import IntArray

_HIGHEST_ID: Final = np.iinfo(np.uint32).max
_GAP: Final = 2  # planes on which an object may be missed
_MOST: Final = 0.5  # an object lies on another one with at least this part of it


@dataclass(frozen=True, slots=True, eq=False)
class Linked:
    """Who the objects of one plane are in the whole stack.

    Attributes
    ----------
    ids : uint32 array, shape (n + 1,)
        The stack id of every plane id; 0 for those that are left out. ids[0] is 0,
        so that `ids[labels]` is the plane with stack ids.
    iou : float32 array, shape (n + 1,)
        How much an object shares with itself where it was seen last; NaN for one
        that begins here.
    flags : str array, shape (n + 1,), optional
        Linked objects only: what a person should look at, empty where nothing is.
        "split": one of several that lie on one object of the plane before; "merge":
        lies on several; "gap": was missed on the plane before; "cut": see
        `napari_sam.segment.chains`.
    parents : uint32 array, shape (n + 1,), optional
        Objects followed through time only: which one an object has come out of by
        division, 0 for none.
    """

    ids: LabelArray
    iou: npt.NDArray[np.float32]
    flags: npt.NDArray[np.str_] | None = None
    parents: LabelArray | None = None

    @classmethod
    def new(cls, count: int, *, flags: bool) -> Linked:
        """Return objects that nothing is known of yet."""
        return cls(
            np.zeros(count + 1, np.uint32),
            np.full(count + 1, np.nan, np.float32),
            np.zeros(count + 1, "<U24") if flags else None,
        )

    def flag(self, which: IntArray, what: str) -> None:
        """Say of some plane ids what is to be looked at."""
        if self.flags is None:
            return
        for one in which.tolist():
            said = str(self.flags[one])
            self.flags[one] = f"{said}, {what}" if said else what


@dataclass(slots=True, eq=False)
class _Seen:
    """What the linker remembers of a plane: its position and its labels."""

    position: int
    labels: LabelArray
    # Stack ids that no later plane has taken up yet.
    open_ids: set[int] = field(default_factory=set)


class StackLinker:
    """Gives the objects of every plane their ids in the whole stack.

    With `link="stack"` an object keeps one id through z within each time point
    (and each position of any other axis), or through t where there is no z.
    Two objects on neighbouring planes can be the same if their IoU is at least
    `min_iou`; who is whom is the assignment with the largest sum of IoUs. An
    object that finds no partner there may take up one that was last seen one or
    two planes before that: gaps are bridged. At most three planes are held in
    memory. What can only be told from an object's whole length, `tidy` of
    `napari_sam.segment.chains` decides.

    With `link="time"` this links through z only; `napari_sam.segment.track` does
    the rest.

    Ids come from one counter in the order of the planes and are never used
    twice, with and without linking.

    Parameters
    ----------
    stack_axes : str
        The axes of the stack without Y, X and channels, for example "TZ".
    link : {"none", "stack", "time"}
    min_iou : float

    Attributes
    ----------
    axis : str or None
        The axis that objects are followed through: "Z", "T" or None.
    next_id : int
        The id that the next new object will get.

    Examples
    --------
    >>> linker = StackLinker("Z")
    >>> plane = np.array([[0, 1], [0, 1]], np.uint32)
    >>> linker.add((0,), plane).ids, linker.add((1,), plane).ids
    (array([0, 1], dtype=uint32), array([0, 1], dtype=uint32))
    """

    def __init__(
        self, stack_axes: str, link: Link = "stack", *, min_iou: float = 0.1
    ) -> None:
        self.stack_axes = stack_axes
        self.link = link
        self.min_iou = min_iou
        self.axis = axis_to_link(stack_axes, link)
        self.next_id = 1
        self._group: tuple[int, ...] | None = None
        self._seen: list[_Seen] = []

    def order(self, stack_shape: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """Yield the indices of all planes in the order in which `add` wants them.

        It is the stack's own order unless the linked axis is not the last one
        ("ZT"): then that axis runs fastest.
        """
        axes = list(range(len(stack_shape)))
        if self.axis is not None:
            axes.append(axes.pop(self.stack_axes.index(self.axis)))
        for place in itertools.product(*(range(stack_shape[a]) for a in axes)):
            where = dict(zip(axes, place, strict=True))
            yield tuple(where[a] for a in range(len(stack_shape)))

    def add(self, index: Sequence[int], labels: npt.NDArray[Any]) -> Linked:
        """Take the next plane.

        Parameters
        ----------
        index : sequence of int
            Position along the stack axes, in the order that `order` gives.
        labels : integer array, shape (H, W)
            Ids 1..n of this plane alone, each present; 0 is background.

        Returns
        -------
        Linked
        """
        linked = Linked.new(int(labels.max(initial=0)), flags=self.axis is not None)
        if self.axis is None:
            self._number(linked.ids)
            return linked
        position = self._enter(tuple(int(i) for i in index))
        for seen in reversed(self._seen):
            self._take_up(seen, position, labels, linked)
        self._number(linked.ids)
        self._remember(position, linked.ids, labels)
        return linked

    def describe(self) -> str:
        """Say in one line what the ids mean."""
        if self.link == "none":
            return "objects are not linked: every plane has its own ids"
        if self.link == "time" and self.axis is None:
            return "objects are followed through time, and divide"
        if self.axis is None:
            return (
                "objects are not linked: there is neither a Z nor a T axis "
                "(name the axes with --axes)"
            )
        if self.link == "time":
            return "objects are followed through z, then through time, and divide"
        name = {"Z": "z", "T": "time"}[self.axis]
        others = [a for a in self.stack_axes if a != self.axis]
        within = {"T": "time point"}
        inside = " and ".join(within.get(a, f"position along {a}") for a in others)
        end = f" within each {inside}" if others else ""
        return f"objects keep one id through {name}{end}"

    def _enter(self, index: tuple[int, ...]) -> int:
        """Start anew where the other axes move on; return the place in this one."""
        if len(index) != len(self.stack_axes):
            raise NapariSamError(
                f"the plane index {index} does not fit the stack axes "
                f"{self.stack_axes!r}: it needs one number for each"
            )
        at = self.stack_axes.index(self.axis or "")
        group, position = index[:at] + index[at + 1 :], index[at]
        if group != self._group:
            self._group, self._seen = group, []
        if self._seen and position <= self._seen[-1].position:
            raise NapariSamError(
                f"plane {index} came after {self.axis} = {self._seen[-1].position}: "
                "planes must be linked in the order that StackLinker.order gives"
            )
        # Planes left out count as empty ones, so distance decides who is near.
        self._seen = [s for s in self._seen if position - s.position <= _GAP + 1]
        return position

    def _take_up(
        self,
        seen: _Seen,
        position: int,
        labels: npt.NDArray[Any],
        linked: Linked,
    ) -> None:
        """Give objects without an id those of open objects they overlap most."""
        if seen.labels.shape != labels.shape:
            raise NapariSamError(
                f"planes of one stack must have one size, not {seen.labels.shape} "
                f"and {labels.shape}"
            )
        adjacent = position == seen.position + 1
        current = np.where(linked.ids[labels] == 0, labels, 0)
        pairs = count_overlaps(seen.labels, current)
        iou = pairs.iou
        is_open = np.isin(pairs.first_ids, list(seen.open_ids))[pairs.first]
        able = np.flatnonzero((iou >= self.min_iou) & is_open)
        chosen = able[best_pairs(pairs.first[able], pairs.second[able], iou[able])]
        old = pairs.first_ids[pairs.first[chosen]]
        new = pairs.second_ids[pairs.second[chosen]]
        linked.ids[new] = old
        linked.iou[new] = iou[chosen]
        if adjacent:
            linked.flag(_crowded(pairs, split=True), "split")
            linked.flag(_crowded(pairs, split=False), "merge")
        else:
            linked.flag(new, "gap")
        for other in self._seen:
            other.open_ids.difference_update(old.tolist())

    def _number(self, ids: LabelArray) -> None:
        new = np.flatnonzero(ids[1:] == 0) + 1
        if self.next_id + new.size - 1 > _HIGHEST_ID:
            raise NapariSamError(
                f"the stack has more than {_HIGHEST_ID} objects, which is more than "
                "32-bit labels can tell apart: annotate it in parts"
            )
        ids[new] = np.arange(self.next_id, self.next_id + new.size)
        self.next_id += int(new.size)

    def _remember(
        self, position: int, ids: LabelArray, labels: npt.NDArray[Any]
    ) -> None:
        plane = _Seen(position, ids[labels], set(ids[1:].tolist()))
        self._seen = [*self._seen, plane][-(_GAP + 1) :]


def _crowded(pairs: Overlaps, *, split: bool) -> IntArray:
    """Return which objects of a plane share one before them, or cover several."""
    areas = (
        pairs.second_areas[pairs.second] if split else pairs.first_areas[pairs.first]
    )
    on = np.flatnonzero(pairs.shared >= _MOST * areas)
    place = (pairs.first if split else pairs.second)[on]
    several = np.bincount(place, minlength=1)[place] > 1
    return pairs.second_ids[np.unique(pairs.second[on][several])]


def axis_to_link(stack_axes: str, link: Link = "stack") -> str | None:
    """Return which axis objects are followed through: "Z", or else "T".

    With link="time" it is the one that comes first: "Z", or else none.
    """
    axes = {"none": "", "stack": "ZT", "time": "Z"}[link]
    return next((axis for axis in axes if axis in stack_axes), None)
