"""Second thoughts about linked objects, once their whole length is known.

Plane by plane two nuclei that lie above each other become one where their outlines
touch, and specks that are there on one plane only stay objects. How many planes an
object of this image usually goes through tells both apart from real ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from napari_sam.segment.link import Linked
    from napari_sam.types import IntArray

# Two outlines of one size with this IoU share half of their pixels.
_WEAK: Final = 1 / 3
# An object that goes through a smaller part of the usual number of planes is doubtful.
_SHORT: Final = 0.25

Index = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Tidied:
    """Linked planes after second thoughts.

    Attributes
    ----------
    linked : dict of index to Linked
    next_id : int
        The id that the next new object would get.
    usual : int
        Planes that an object goes through: half of all outlines belong to
        objects with at least so many.
    least : int
        Objects on fewer planes were left out.
    left_out, cut : int
        Objects.
    """

    linked: dict[Index, Linked]
    next_id: int
    usual: int
    least: int
    left_out: int
    cut: int


def tidy(
    linked: Mapping[Index, Linked],
    next_id: int,
    *,
    ends: frozenset[Index],
    min_planes: int | None = None,
) -> Tidied:
    """Cut what are two objects, and leave out what is none.

    An object is cut where it shares less than a third with itself (IoU) from one
    plane to the next, if both sides are long enough to be objects: a nucleus that
    begins where another one ends. Then objects on fewer than `min_planes` planes
    are left out, unless they reach the end of the stack, beyond which there may be
    more of them.

    Parameters
    ----------
    linked : mapping of index to Linked
        All planes, in the order in which they were linked.
    next_id : int
        The id that the next new object gets.
    ends : frozenset of index
        The planes at both ends of the linked axis.
    min_planes : int, optional
        By default a quarter of the planes that an object usually goes through.

    Returns
    -------
    Tidied
        Ids that remain are those of before; the far side of a cut gets a new one.
    """
    chains = _Chains(linked)
    usual = chains.usual()
    short = int(np.ceil(_SHORT * usual))
    next_id, cuts = chains.cut(max(2, short), next_id)
    least = min_planes or max(1, short)
    out = chains.leave_out(least, ends)
    return Tidied(chains.planes(), next_id, usual, least, out, cuts)


class _Chains:
    """All outlines of all planes, sorted by object and then by plane."""

    def __init__(self, linked: Mapping[Index, Linked]) -> None:
        self._linked = linked
        self._places = list(linked)
        counts = [len(one.ids) - 1 for one in linked.values()]
        plane = np.repeat(np.arange(len(counts)), counts)
        ids = _joined([one.ids[1:] for one in linked.values()], np.uint32)
        iou = _joined([one.iou[1:] for one in linked.values()], np.float32)
        self._order = np.argsort(ids, kind="stable")
        self.ids = ids[self._order].astype(np.int64)
        self.iou, self.plane = iou[self._order], plane[self._order]
        self._cuts: list[int] = []

    def usual(self) -> int:
        lengths = np.sort(np.unique(self.ids, return_counts=True)[1])
        if not lengths.size:
            return 0
        half = np.searchsorted(np.cumsum(lengths), lengths.sum() / 2)
        return int(lengths[half])

    def cut(self, least: int, next_id: int) -> tuple[int, int]:
        starts = np.flatnonzero(np.diff(self.ids, prepend=-1))
        stops = np.append(starts, self.ids.size)[1:]
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            for at in self._cuts_in(start, stop, least):
                self.ids[at:stop] = next_id
                next_id += 1
                self._cuts.append(at)
        return next_id, len(self._cuts)

    def _cuts_in(self, start: int, stop: int, least: int) -> list[int]:
        """Return where the rows start:stop of one object are cut."""
        if stop - start < 2 * least:
            return []
        iou = self.iou[start + least : stop - least + 1]
        if iou.min() >= _WEAK:
            return []
        at = start + least + int(iou.argmin())
        before = self._cuts_in(start, at, least)
        return [*before, at, *self._cuts_in(at, stop, least)]

    def leave_out(self, least: int, ends: frozenset[Index]) -> int:
        at_end = np.array([place in ends for place in self._places], np.bool_)
        ids, inverse, planes = np.unique(
            self.ids, return_inverse=True, return_counts=True
        )
        reaches = np.bincount(inverse[at_end[self.plane]], minlength=ids.size) > 0
        out = (planes < least) & ~reaches
        self.ids[out[inverse]] = 0
        return int(out.sum())

    def planes(self) -> dict[Index, Linked]:
        """Return the planes anew."""
        ids = np.empty_like(self.ids)
        ids[self._order] = self.ids
        stops = np.cumsum([len(one.ids) - 1 for one in self._linked.values()])
        split = np.split(ids, stops[:-1]) if self._places else []
        new = {
            place: replace(
                one,
                ids=np.append(0, part).astype(np.uint32),
                iou=one.iou.copy(),
                flags=None if one.flags is None else one.flags.copy(),
            )
            for (place, one), part in zip(self._linked.items(), split, strict=True)
        }
        for row in self._cuts:
            self._say_cut(new, int(self._order[row]), stops)
        return new

    def _say_cut(self, new: dict[Index, Linked], row: int, stops: IntArray) -> None:
        plane = int(np.searchsorted(stops, row, side="right"))
        first = int(stops[plane - 1]) if plane else 0
        one = new[self._places[plane]]
        which = np.array([row - first + 1])
        one.iou[which] = np.nan
        one.flag(which, "cut")


def _joined(
    parts: list[npt.NDArray[np.generic]], kind: type
) -> npt.NDArray[np.generic]:
    return np.concatenate(parts) if parts else np.empty(0, kind)
