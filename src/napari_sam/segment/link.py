"""One id per object through a stack, decided plane by plane as they come."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_sam.segment.overlap import best_pairs, count_overlaps
from napari_sam.types import LabelArray, NapariSamError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sam.segment.recipe import Link

_HIGHEST_ID = np.iinfo(np.uint32).max


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
    object that finds no partner there may take up one that was last seen on
    the plane before that: a gap of one plane is bridged. At most two planes are
    held in memory.

    Ids come from one counter in the order of the planes and are never used
    twice, with and without linking.

    Parameters
    ----------
    stack_axes : str
        The axes of the stack without Y, X and channels, for example "TZ".
    link : {"none", "stack"}
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
    >>> linker.add((0,), plane), linker.add((1,), plane)
    (array([0, 1], dtype=uint32), array([0, 1], dtype=uint32))
    """

    def __init__(
        self, stack_axes: str, link: Link = "stack", *, min_iou: float = 0.1
    ) -> None:
        self.stack_axes = stack_axes
        self.link = link
        self.min_iou = min_iou
        self.axis = axis_to_link(stack_axes) if link == "stack" else None
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

    def add(self, index: Sequence[int], labels: npt.NDArray[Any]) -> LabelArray:
        """Take the next plane.

        Parameters
        ----------
        index : sequence of int
            Position along the stack axes, in the order that `order` gives.
        labels : integer array, shape (H, W)
            Ids 1..n of this plane alone, each present; 0 is background.

        Returns
        -------
        uint32 array, shape (n + 1,)
            The stack id of every plane id; ids[0] is 0, so that `ids[labels]`
            is the plane with stack ids.
        """
        count = int(labels.max(initial=0))
        ids = np.zeros(count + 1, np.uint32)
        if self.axis is None:
            self._number(ids)
            return ids
        position = self._enter(tuple(int(i) for i in index))
        for seen in reversed(self._seen):
            self._take_up(seen, labels, ids)
        self._number(ids)
        self._remember(position, ids, labels)
        return ids

    def describe(self) -> str:
        """Say in one line what the ids mean."""
        if self.link == "none":
            return "objects are not linked: every plane has its own ids"
        if self.axis is None:
            return (
                "objects are not linked: there is neither a Z nor a T axis "
                "(name the axes with --axes)"
            )
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
        self._seen = [s for s in self._seen if position - s.position <= 2]
        return position

    def _take_up(self, seen: _Seen, labels: npt.NDArray[Any], ids: LabelArray) -> None:
        """Give objects without an id those of open objects they overlap most."""
        if seen.labels.shape != labels.shape:
            raise NapariSamError(
                f"planes of one stack must have one size, not {seen.labels.shape} "
                f"and {labels.shape}"
            )
        current = np.where(ids[labels] == 0, labels, 0)
        pairs = count_overlaps(seen.labels, current)
        iou = pairs.iou
        is_open = np.isin(pairs.first_ids, list(seen.open_ids))[pairs.first]
        able = np.flatnonzero((iou >= self.min_iou) & is_open)
        chosen = able[best_pairs(pairs.first[able], pairs.second[able], iou[able])]
        old = pairs.first_ids[pairs.first[chosen]]
        ids[pairs.second_ids[pairs.second[chosen]]] = old
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
        self._seen = [*self._seen, plane][-2:]


def axis_to_link(stack_axes: str) -> str | None:
    """Return which axis objects are followed through: "Z", or else "T"."""
    return next((axis for axis in "ZT" if axis in stack_axes), None)
