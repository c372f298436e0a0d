"""Read the tables of a run once, row by row, and keep what the page tells.

The tables of the inputs are read, of which `objects.csv` is put together: they are
there also after a run that was killed.
"""

from __future__ import annotations

import csv
import heapq
import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import numpy as np

from napari_sam.records.layout import Layout
from napari_sam.records.page.failures import failures_of, wanted_inputs
from napari_sam.records.page.values import (
    FileStats,
    Histogram,
    Outline,
    Slice,
    Summary,
)
from napari_sam.records.sources import open_labels
from napari_sam.records.work import Workspace
from napari_sam.types import NapariSamError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam.records.page.values import Index
    from napari_sam.records.work import InputRecord, InputWork

SAMPLE: Final = 50
_SHOWN: Final = 8  # of each kind of unusual objects
# Fine enough for a median, from 0.0001 to 10**12, and merged when they are drawn.
_AREAS: Final = 10 ** (np.arange(-160, 481) / 40)
_SCORES: Final = np.linspace(0, 1, 21)
T = TypeVar("T")


class Reservoir(Generic[T]):
    """Draws some of a stream of unknown length; each is as likely as any other."""

    def __init__(self, size: int, seed: str) -> None:
        self.kept: list[T] = []
        self._size = size
        self._seen = 0
        self._random = random.Random(seed)

    def add(self, value: T) -> None:
        """Take the next one."""
        self._seen += 1
        if len(self.kept) < self._size:
            self.kept.append(value)
            return
        place = int(self._random.random() * self._seen)
        if place < self._size:
            self.kept[place] = value


class Highest(Generic[T]):
    """Keeps those of a stream that rank highest; of equals the first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[tuple[float, int, T]] = []
        self._seen = 0

    def add(self, rank: float, value: T) -> None:
        """Take the next one; NaN ranks nowhere."""
        self._seen += 1
        if np.isnan(rank):
            return
        entry = (rank, -self._seen, value)
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, entry)
        elif entry > self._heap[0]:
            heapq.heapreplace(self._heap, entry)

    def kept(self) -> tuple[T, ...]:
        """Return them, the highest first."""
        return tuple(value for _, _, value in sorted(self._heap, reverse=True))


# A row is parsed as a whole only if it is kept.
_Raw = tuple[int, "Index", dict[str, str], float, float]


@dataclass(slots=True, eq=False)
class _Counts:
    """What is counted over all files."""

    seed: int
    areas: Any = field(default_factory=lambda: np.zeros(len(_AREAS) - 1, np.int64))
    scores: Any = field(default_factory=lambda: np.zeros(len(_SCORES) - 1, np.int64))
    flags: Counter[str] = field(default_factory=Counter)
    largest: Highest[_Raw] = field(default_factory=lambda: Highest(_SHOWN))
    smallest: Highest[_Raw] = field(default_factory=lambda: Highest(_SHOWN))
    doubtful: Highest[_Raw] = field(default_factory=lambda: Highest(_SHOWN))
    sample: Reservoir[_Raw] = field(init=False)
    flagged: Reservoir[_Raw] = field(init=False)

    def __post_init__(self) -> None:
        self.sample = Reservoir(SAMPLE, f"sample {self.seed}")
        self.flagged = Reservoir(_SHOWN, f"flagged {self.seed}")

    def add(self, raw: _Raw) -> None:
        """Take an outline."""
        _, _, row, area, score = raw
        self.sample.add(raw)
        self.largest.add(area, raw)
        self.smallest.add(-area, raw)
        self.doubtful.add(-score, raw)
        if flag := row.get("flag"):
            self.flags.update(flag.split(", "))
            self.flagged.add(raw)

    def bin(self, areas: Any, scores: Any) -> None:
        """Take the values of a slice."""
        self.areas += np.histogram(areas, _AREAS)[0]
        known = scores[np.isfinite(scores)]
        self.scores += np.histogram(np.clip(known, 0, 1), _SCORES)[0]


def gather(output: Path, *, seed: int) -> Summary:
    """Find out what there is to tell about the results in a folder.

    Parameters
    ----------
    output : Path
        An output of `napari-sam annotate`.
    seed : int
        For what is drawn at random.

    Raises
    ------
    OutputError
        If it is no such folder.
    """
    space = Workspace(output)
    run = space.record()
    if run is None:
        raise OutputError(
            f"{output} holds no results of napari-sam annotate: name the folder that "
            "was given there as --output"
        )
    done: list[tuple[str, InputWork, InputRecord]] = []
    open_: list[str] = []
    for name in run.inputs:
        work = space.input(name)
        record = work.record()
        if record is None or record.status != "done":
            open_.append(name)
        else:
            done.append((name, work, record))
    micro = bool(done) and all(_um2(record) is not None for _, _, record in done)
    counts = _Counts(seed)
    layout = Layout(output, ("tiff",))
    wanted = wanted_inputs(space)
    places = {str(item.relative): item.path for item in wanted}
    files: list[FileStats] = []
    for name, work, record in done:
        labels = layout.labels(PurePosixPath(name))
        # Images may have been moved together with their results.
        image = Path(record.path)
        image = image if image.exists() else places.get(name, image)
        try:
            files.append(
                _file(len(files), work, record, image, labels, counts, micro=micro)
            )
        except (OSError, ValueError, KeyError) as error:
            raise OutputError(
                f"{work.table} cannot be read ({error}): run the same command again "
                "with --overwrite"
            ) from error
    return Summary(
        output,
        run,
        "µm²" if micro else "pixels",
        tuple(files),
        tuple(failures_of(space, run, open_, wanted)),
        Histogram(_AREAS, counts.areas),
        Histogram(_SCORES, counts.scores),
        counts.flags,
        _parsed(counts.flagged.kept),
        _parsed(counts.sample.kept),
        _parsed(counts.largest.kept()),
        _parsed(counts.smallest.kept()),
        _parsed(counts.doubtful.kept()),
    )


def _um2(record: InputRecord) -> float | None:
    """Return how many µm² a pixel has."""
    size = record.pixel_size
    return size["Y"][0] * size["X"][0] if {"Y", "X"} <= size.keys() else None


def _file(
    number: int,
    work: InputWork,
    record: InputRecord,
    image: Path,
    labels: Path,
    counts: _Counts,
    *,
    micro: bool,
) -> FileStats:
    slices = {index: Slice(number, index) for index in _indices(record, labels)}
    pixel = _um2(record)
    factor = pixel if micro and pixel is not None else 1.0
    areas, scores, ids = [], [], []
    names = record.stack_axes.lower()
    with work.table.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        for index, group in groupby(rows, lambda r: tuple(int(r[n]) for n in names)):
            there = list(group)
            areas.append(np.array([int(row["area"]) for row in there], np.float64))
            scores.append(np.array([float(row["score"]) for row in there], np.float32))
            ids.append(np.array([int(row["id"]) for row in there], np.int64))
            sizes = areas[-1] * factor
            slices[index] = Slice(
                number,
                index,
                len(there),
                float(np.median(sizes)),
                _median(scores[-1]),
            )
            counts.bin(sizes, scores[-1])
            for row, area, score in zip(
                there, sizes.tolist(), scores[-1].tolist(), strict=True
            ):
                counts.add((number, index, row, area, score))
    everything = np.concatenate(areas) if areas else np.empty(0)
    area = _median(everything)
    return FileStats(
        record,
        image,
        labels,
        tuple(slices.values()),
        everything.size,
        np.unique(np.concatenate(ids)).size if ids else 0,
        area,
        float("nan") if pixel is None else area * pixel,
        _median(np.concatenate(scores)) if scores else float("nan"),
    )


def _median(values: Any) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")


def _indices(record: InputRecord, labels: Path) -> Iterator[Index]:
    """Yield all slices, those without objects too."""
    shape: tuple[int, ...] = (record.planes,) * len(record.stack_axes)
    if len(shape) > 1:
        try:
            with open_labels(labels, label_axes(record)) as stack:
                shape = stack.stack_shape
        except NapariSamError:
            return  # what has objects is still known from the table
    yield from np.ndindex(*shape)


def label_axes(record: InputRecord) -> str:
    """Return the axes of the label image of an input."""
    return "".join(axis for axis in record.axes if axis not in "CS")


def _parsed(kept: tuple[_Raw, ...] | list[_Raw]) -> tuple[Outline, ...]:
    return tuple(
        Outline(
            file,
            index,
            int(row["id"]),
            (
                int(row["box_y0"]),
                int(row["box_x0"]),
                int(row["box_y1"]),
                int(row["box_x1"]),
            ),
            area,
            score,
            row.get("flag") or "",
        )
        for file, index, row, area, score in kept
    )
