"""What is doubtful about objects: measured, and weighed against each other.

Nothing here changes anything. `measure` and `rank` go through all objects, so they
belong on a thread.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from napari_sam.live.labels.access import pixels
from napari_sam.live.values import Index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from napari_sam.live.labels.access import LabelArray
    from napari_sam.live.labels.changes import IntBox
    from napari_sam.live.labels.scan import Scan
    from napari_sam.live.values import ObjectRecord

Place: TypeAlias = tuple[float, Index, int]
# For every class the middle of its logarithmic sizes, and their spread.
Usual: TypeAlias = dict[int, tuple[float, float]]

LOW: Final = "low confidence"
LARGE: Final = "much larger than the others"
SMALL: Final = "much smaller than the others"
BORDER: Final = "cut by the border"
MODEL: Final = "the model outlines it differently"
SEVERAL: Final = "may be several objects"
JUMP: Final = "changes size abruptly from one slice to the next"
"""What may be doubtful about an object, as people read it."""

# Of fewer objects of a class nobody can say which size is usual.
_ENOUGH: Final = 8
# Sizes that differ by less than a quarter are never unusual.
_LEAST_SPREAD: Final = math.log(1.25)
# The median absolute deviation of a normal distribution, times this, is its sigma.
_MAD_TO_SIGMA: Final = 1.4826
# Hardly any object at the border is wrong; whoever has time sees them last.
_BORDER_WEIGHT: Final = 0.05
# Towards its ends an object grows fast for a good reason: slices on which it is smaller
# than this part of its usual size do not count.
_GROWN: Final = 0.45


@dataclass(frozen=True, slots=True)
class Criteria:
    """From where on an object is doubtful.

    Attributes
    ----------
    confidence : float
        Below this the confidence of the model is low. Objects without one are not
        doubted for that.
    sizes : float
        How many standard deviations a size may differ from that of the other
        objects of the class. They are estimated robustly and on logarithms, see
        Iglewicz and Hoaglin 1993, who suggest 3.5.
    agreement : float
        Below this IoU between an object and what the model makes of it, it
        disagrees.
    several : float
        From here on it is clear enough that the model sees several objects in one.
    border : bool
        Whether objects that the image cuts are doubtful.
    jump : float
        How many times larger an object that was followed may be on a slice than on
        the next; it is where it ran into a neighbour, or lost half of itself. Of the
        true nuclei of the plant stacks that the image does not cut, 1 of 38 is.
    """

    confidence: float = 0.7
    sizes: float = 3.5
    agreement: float = 0.6
    several: float = 0.6
    border: bool = True
    jump: float = 1.8


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a model makes of an object, see `agreement`.

    Attributes
    ----------
    agreement : float
        The IoU with what it finds in the box of the object.
    several : float
        How clearly it sees several objects in it, from 0 to 1.
    """

    agreement: float
    several: float = 0.0


@dataclass(frozen=True, slots=True)
class Size:
    """What was measured of an object, on the plane on which it is largest.

    `jump` is how many times it changes at most between two neighbouring planes, and
    `jump_at` where, None where it is on single planes only.
    """

    index: Index
    box: IntBox
    area: int
    at_border: bool
    jump: float = 1.0
    jump_at: tuple[Index, IntBox] | None = None


@dataclass(frozen=True, slots=True)
class Doubt:
    """An object that somebody should look at.

    Attributes
    ----------
    id : int
    index : tuple of int
        The plane to look at: that on which it is largest, or changes abruptly.
    box : (y0, x0, y1, x1)
        Where it is there.
    reasons : tuple of str
        The strongest first.
    weight : float
        How doubtful it is.
    """

    id: int
    index: Index
    box: IntBox
    reasons: tuple[str, ...]
    weight: float

    @property
    def text(self) -> str:
        """The reasons on one line."""
        return ", ".join(self.reasons)

    @property
    def place(self) -> Place:
        """Its place in the queue, which runs upwards."""
        return -self.weight, self.index, self.id


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """All objects of a store, weighed; what `Review.begin` takes over."""

    sizes: Mapping[int, Size]
    usual: Usual
    doubts: Mapping[int, Doubt]
    queue: list[Place]
    reviewed: frozenset[int]
    criteria: Criteria
    opinions: Mapping[int, Opinion] = field(default_factory=dict)


def is_reviewed(record: ObjectRecord) -> bool:
    """Whether a person has looked at an object: they accepted or outlined it."""
    return record.reviewed or record.source == "person"


def measure(
    labels: LabelArray,
    snapshot: Scan,
    still_wanted: Callable[[], bool] = lambda: True,
) -> dict[int, Size] | None:
    """Measure all objects. Reads their boxes only, but all of them: for a thread.

    Parameters
    ----------
    labels : integer array, shape (..., H, W)
        May be written meanwhile; `Review.follow` measures again what was touched.
    snapshot : Scan
        From `LabelStore.snapshot`.
    still_wanted : callable
        Asked in front of every object.

    Returns
    -------
    dict of int to Size, or None
        None where it was no longer wanted.
    """
    sizes = {}
    for number, on in snapshot.extents.items():
        if not still_wanted():
            return None
        sizes[number] = size_of(labels, number, on)
    return sizes


def rank(
    sizes: Mapping[int, Size],
    records: Iterable[ObjectRecord],
    criteria: Criteria = Criteria(),
    opinions: Mapping[int, Opinion] | None = None,
) -> Ranking:
    """Find the doubtful objects and sort them; of 100,000 it takes some 0.5 s.

    Parameters
    ----------
    sizes : mapping of int to Size
        From `measure`; good for other criteria too.
    records : iterable of ObjectRecord
    criteria : Criteria
    opinions : mapping of int to Opinion, optional
        From `agreement.opinions`, of as many objects as were asked about.
    """
    known = {record.id: record for record in records}
    opinions = dict(opinions or {})
    usual = _usual_sizes(sizes, known)
    doubts = {}
    for number, size in sizes.items():
        record = known.get(number)
        if record is None or is_reviewed(record):
            continue
        doubt = doubt_of(size, record, usual, criteria, opinions.get(number))
        if doubt is not None:
            doubts[number] = doubt
    queue = sorted(doubt.place for doubt in doubts.values())
    reviewed = frozenset(n for n, record in known.items() if is_reviewed(record))
    return Ranking(sizes, usual, doubts, queue, reviewed, criteria, opinions)


def size_of(labels: LabelArray, number: int, on: Mapping[Index, IntBox]) -> Size:
    """Measure one object, given its box on every plane that it is on."""
    height, width = labels.shape[-2:]
    areas = {
        index: int(np.count_nonzero(pixels(labels, index, box) == number))
        for index, box in on.items()
    }
    largest = max(areas, key=areas.__getitem__)
    y0, x0, y1, x1 = box = on[largest]
    at_border = y0 <= 0 or x0 <= 0 or y1 >= height or x1 >= width
    jump, where = _largest_jump(areas)
    jump_at = None if where is None else (where, on[where])
    return Size(largest, box, areas[largest], at_border, jump, jump_at)


def _largest_jump(areas: Mapping[Index, int]) -> tuple[float, Index | None]:
    """Return how much an object changes between planes, and the larger of the two."""
    found: tuple[float, Index | None] = (1.0, None)
    least = max(1.0, _GROWN * median(areas.values()))
    grown = {index: area for index, area in areas.items() if area >= least}
    for index, area in grown.items():
        for axis, at in enumerate(index):
            after = (*index[:axis], at + 1, *index[axis + 1 :])
            other = grown.get(after)
            if other is not None:
                times = max(area, other) / min(area, other)
                found = max(
                    found, (times, index if area > other else after), key=_first
                )
    return found


def _first(found: tuple[float, Index | None]) -> float:
    return found[0]


def _usual_sizes(
    sizes: Mapping[int, Size], records: Mapping[int, ObjectRecord]
) -> Usual:
    """Objects that the image cuts do not count: they are too small."""
    found: dict[int, list[float]] = defaultdict(list)
    for number, size in sizes.items():
        if number in records and size.area and not size.at_border:
            found[records[number].class_id].append(math.log(size.area))
    usual = {}
    for class_id, values in found.items():
        if len(values) < _ENOUGH:
            continue
        middle = float(np.median(values))
        spread = _MAD_TO_SIGMA * float(np.median(np.abs(np.array(values) - middle)))
        usual[class_id] = middle, max(spread, _LEAST_SPREAD)
    return usual


def doubt_of(
    size: Size,
    record: ObjectRecord,
    usual: Usual,
    criteria: Criteria,
    opinion: Opinion | None,
) -> Doubt | None:
    """Say what is doubtful about one object; None where nothing is."""
    found: list[tuple[float, str]] = []
    if record.score < criteria.confidence:  # not where it is NaN
        lack = (criteria.confidence - record.score) / criteria.confidence
        found.append((lack, f"{LOW} ({record.score:.2f})"))
    unusual = _unusual(size, usual.get(record.class_id), criteria.sizes)
    if unusual is not None:
        found.append(unusual)
    if opinion is not None and opinion.several >= criteria.several:
        found.append((opinion.several, SEVERAL))
    elif opinion is not None and opinion.agreement < criteria.agreement:
        found.append((1 - opinion.agreement, MODEL))
    followed = record.source == "propagation" and not size.at_border
    if followed and size.jump > criteria.jump:
        found.append((1 - criteria.jump / (2 * size.jump), JUMP))
    if criteria.border and size.at_border:
        found.append((_BORDER_WEIGHT, BORDER))
    if not found:
        return None
    found.sort(key=lambda reason: -reason[0])
    reasons = tuple(text for _, text in found)
    weight = round(sum(weight for weight, _ in found), 6)
    index, box = size.index, size.box
    if reasons[0] == JUMP and size.jump_at is not None:
        index, box = size.jump_at
    return Doubt(record.id, index, box, reasons, weight)


def _unusual(
    size: Size, usual: tuple[float, float] | None, allowed: float
) -> tuple[float, str] | None:
    if usual is None or not size.area:
        return None
    middle, spread = usual
    away = (math.log(size.area) - middle) / spread
    if abs(away) <= allowed or (away < 0 and size.at_border):
        return None  # what the image cuts is small for a reason
    return 1 - allowed / (2 * abs(away)), LARGE if away > 0 else SMALL
