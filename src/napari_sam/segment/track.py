"""Objects followed through time: they move, divide, and are missed on a frame.

They are measured plane by plane, four frames of one depth in memory; who is whom is
decided on a table of all of them (`napari_sam.segment.lineage`).
"""

from __future__ import annotations

import importlib.util
import itertools
import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam.segment.lineage import GAP, Sightings, follow
from napari_sam.segment.overlap import count_overlaps
from napari_sam.types import NapariSamError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from napari_sam.types import IntArray, LabelArray

# By default objects move by less than so many of their diameters between two frames:
# where they lie close, a neighbour is hardly further away.
_DIAMETERS: Final = 1.25


class TrackError(NapariSamError):
    """Objects cannot be followed through time here; says what is missing."""


def check_tracking() -> None:
    """Find out whether objects can be followed through time at all.

    Raises
    ------
    TrackError
        If laptrack is not installed.
    """
    if importlib.util.find_spec("laptrack") is None:
        raise TrackError(
            "to follow objects through time the package laptrack is needed: install "
            "it with pip install 'napari-sam-annotator[tracks]'"
        )


def check_time(stack_axes: str, name: str) -> None:
    """Refuse an image without time.

    Raises
    ------
    TrackError
        Naming the axes that it has.
    """
    if "T" not in stack_axes:
        axes = "".join(f"{axis}, " for axis in stack_axes) + "Y and X"
        raise TrackError(
            f"{name}: there is no time axis to follow objects through, the axes are "
            f"{axes}: name them if that is wrong (axes TYX, on the command line "
            "--axes TYX), or choose another way of linking (none, stack)"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """Who the objects of all frames are.

    Attributes
    ----------
    ids : uint32 array
        The track of every object number, from 1; 0 for numbers that nobody has.
    parents : uint32 array
        For every track the one that it has come out of by division, 0 for none.
    """

    ids: LabelArray
    parents: LabelArray


class TimeTracker:
    """Measures the objects of all frames, and tracks them.

    Parameters
    ----------
    stack_axes : str
        The axes of the stack without Y, X and channels, T among them.
    count : int
        The highest number of an object.
    pixel_size : mapping of axis to (size, unit)
        In micrometres, what is known of it; distances along z and y are brought to
        the scale of x.
    distance : str, optional
        Objects that do not overlap move by less than this from one frame to the
        next: "15 px" (of x) or "4 µm". By default 1.25 times the diameter of a
        middle-sized one.

    Raises
    ------
    TrackError
        If the distance is in µm and the size of a pixel is not known.
    """

    def __init__(
        self,
        stack_axes: str,
        count: int,
        pixel_size: Mapping[str, tuple[float, str]],
        distance: str | None = None,
    ) -> None:
        self._axes = stack_axes
        pixel = pixel_size["X"][0] if "X" in pixel_size else None
        self._scales = np.array(
            [
                pixel_size[a][0] / pixel if pixel and a in pixel_size else 1
                for a in "ZYX"
            ]
        )
        self._farthest = _pixels(distance, pixel)
        self._areas = np.zeros(count + 1)
        self._sums = np.zeros((count + 1, 3))
        self._times = np.zeros(count + 1, np.int64)
        self._groups: dict[tuple[int, ...], set[int]] = {}
        self._shared: dict[tuple[int, int], int] = {}
        self._column: tuple[int, ...] | None = None
        self._seen: deque[tuple[int, LabelArray]] = deque(maxlen=GAP + 1)

    def order(self, stack_shape: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """Yield the indices of all planes as `add` wants them: time runs fastest."""
        at = self._axes.index("T")
        others = (range(n) for i, n in enumerate(stack_shape) if i != at)
        for column in itertools.product(*others):
            for time in range(stack_shape[at]):
                yield (*column[:at], time, *column[at:])

    def add(self, index: Sequence[int], labels: LabelArray) -> None:
        """Take the next plane.

        Parameters
        ----------
        index : sequence of int
        labels : uint32 array, shape (H, W)
            With a number for each object of each frame, the same in all its planes.
        """
        where = dict(zip(self._axes, map(int, index), strict=True))
        time = where.pop("T")
        if tuple(where.values()) != self._column:
            self._column = tuple(where.values())
            self._seen.clear()
        depth = where.pop("Z", 0)
        ids = self._measure(labels, depth)
        self._times[ids] = time
        self._groups.setdefault(tuple(where.values()), set()).update(ids.tolist())
        for before, other in self._seen:
            if time - before <= GAP + 1:
                self._compare(other, labels)
        self._seen.append((time, labels))

    def tracks(self) -> Tracks:
        """Decide who is whom."""
        ids = np.zeros(len(self._areas), np.uint32)
        parents = [np.zeros(1, np.uint32)]
        farthest = self._farthest or _DIAMETERS * self._diameter()
        first = 1
        for group in sorted(self._groups):
            numbers = np.array(sorted(self._groups[group]), np.int64)
            numbers = numbers[np.argsort(self._times[numbers], kind="stable")]
            track, parent = follow(self._sightings(numbers), farthest)
            ids[numbers] = track + first
            parents.append(np.where(parent < 0, 0, parent + first).astype(np.uint32))
            first += len(parent)
        return Tracks(ids, np.concatenate(parents))

    def _measure(self, labels: LabelArray, depth: int) -> IntArray:
        y, x = np.nonzero(labels)
        ids, inverse = np.unique(labels[y, x], return_inverse=True)
        areas = np.bincount(inverse, minlength=ids.size)
        self._areas[ids] += areas
        self._sums[ids, 0] += (depth + 0.5) * areas
        self._sums[ids, 1] += np.bincount(inverse, y + 0.5, ids.size)
        self._sums[ids, 2] += np.bincount(inverse, x + 0.5, ids.size)
        return ids.astype(np.int64)

    def _compare(self, before: LabelArray, labels: LabelArray) -> None:
        pairs = count_overlaps(before, labels)
        first = pairs.first_ids[pairs.first].tolist()
        second = pairs.second_ids[pairs.second].tolist()
        for pair, shared in zip(
            zip(first, second, strict=True), pairs.shared.tolist(), strict=True
        ):
            self._shared[pair] = self._shared.get(pair, 0) + shared

    def _diameter(self) -> float:
        """Return that of a middle-sized object, as a disc or a ball."""
        sizes = self._sizes()[self._areas > 0]
        size = float(np.median(sizes)) if sizes.size else 1.0
        if "Z" in self._axes:
            return float((6 * size / math.pi) ** (1 / 3))
        return 2 * math.sqrt(size / math.pi)

    def _sizes(self) -> npt.NDArray[np.float64]:
        z, y, _ = self._scales
        return np.asarray(self._areas * y * (z if "Z" in self._axes else 1))

    def _sightings(self, numbers: IntArray) -> Sightings:
        rows = {number: row for row, number in enumerate(numbers.tolist())}
        iou = {
            (rows[a], rows[b]): shared / (self._areas[a] + self._areas[b] - shared)
            for (a, b), shared in self._shared.items()
            if a in rows
        }
        centres = self._sums[numbers] / self._areas[numbers, None] * self._scales
        sizes, diameter = self._sizes()[numbers], self._diameter()
        return Sightings(self._times[numbers], centres, sizes, iou, diameter)


def _pixels(distance: str | None, pixel: float | None) -> float | None:
    """Return a distance in pixels of x."""
    if distance is None:
        return None
    value, unit = distance.split()
    if unit == "px":
        return float(value)
    if pixel is None:
        raise TrackError(
            f"the distance {distance} cannot be used, since the image does not say how "
            "large a pixel is: give it in pixels, for example 15 px"
        )
    return float(value) / pixel
