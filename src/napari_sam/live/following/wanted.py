"""Which objects are to be followed, where to, and how far that is."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from napari_sam.live.values import Index

Phase: TypeAlias = Literal["nothing", "following", "done", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which objects are to be followed, and where to.

    Attributes
    ----------
    numbers : tuple of int
        The objects' ids.
    axis : int
        Of the stack axes, from 0.
    ways : tuple of int
        1 for later slices, -1 for earlier ones.
    reach : int, optional
        Slices to go each way; None: to the end of the stack.
    """

    numbers: tuple[int, ...]
    axis: int = 0
    ways: tuple[int, ...] = (1, -1)
    reach: int | None = None

    def ranges(self, at: int, count: int) -> list[range]:
        """Return the slices to go through, in their order; the first begins here.

        Parameters
        ----------
        at, count : int
            The slice on screen along the axis, and how many there are.

        Examples
        --------
        >>> Wanted((1,), reach=2).ranges(1, 10)
        [range(1, 4), range(0, -1, -1)]
        """
        far = count if self.reach is None else self.reach
        ranges: list[range] = []
        for way in self.ways:
            first = at if not ranges else at + way
            last = min(at + far, count - 1) if way > 0 else max(at - far, 0)
            ranges.append(range(first, last + way, way))
        return ranges


@dataclass(frozen=True, slots=True)
class State:
    """How far it is.

    Attributes
    ----------
    phase : {"nothing", "following", "done", "stopped", "failed"}
        "stopped" and "failed": what was added before stays.
    objects : int
        That are followed.
    done, total : int
        Slices that were gone through, and all that may be.
    outlines : int
        That were added, one for each object and slice.
    in_the_way : int
        Outlines that were not, since other objects are there.
    since : float
        When it began (`time.monotonic`).
    error : str
        One line for people, in the phase "failed".
    """

    phase: Phase = "nothing"
    objects: int = 0
    done: int = 0
    total: int = 0
    outlines: int = 0
    in_the_way: int = 0
    since: float = field(default_factory=time.monotonic, compare=False)
    error: str = ""

    @property
    def busy(self) -> bool:
        """Whether there is something to cancel."""
        return self.phase == "following"

    def seconds_left(self, seconds: float) -> float | None:
        """Return how long it will take at most, if so many seconds have passed."""
        if not self.done:
            return None
        return seconds * (self.total - self.done) / self.done


def moved(index: Index, axis: int, place: int) -> Index:
    """Return the slice at another place along one axis."""
    return (*index[:axis], place, *index[axis + 1 :])
