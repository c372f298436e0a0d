"""What the page tells, as values."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_sam.images import Normalization

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from napari_sam.records.work import InputRecord, RunRecord
    from napari_sam.types import IntBox

_NAMES = {"Z": "slice", "T": "frame"}
Index = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice and its objects.

    Attributes
    ----------
    file : int
        Which of `Summary.files`.
    index : tuple of int
    objects : int
    area : float
        Median, in the unit of `Summary`; NaN without objects.
    score : float
        Median confidence; NaN where nothing has one.
    """

    file: int
    index: Index
    objects: int = 0
    area: float = float("nan")
    score: float = float("nan")


@dataclass(frozen=True, slots=True)
class Outline:
    """One object on one slice: a row of the table.

    Attributes
    ----------
    file : int
    index : tuple of int
    id : int
    box : (y0, x0, y1, x1)
    area, score : float
        As in `Slice`.
    flag : str
        What linking has to say about it.
    """

    file: int
    index: Index
    id: int
    box: IntBox
    area: float
    score: float
    flag: str


@dataclass(frozen=True, slots=True)
class FileStats:
    """One image that is complete.

    Attributes
    ----------
    record : InputRecord
    image, labels : Path
    slices : tuple of Slice
        All of them, in their order.
    outlines : int
        Objects, each on every slice that it lies on.
    objects : int
        Different ids.
    area, score : float
        Medians over outlines.
    area_um2 : float
        The median area, where the pixel size is known; else NaN.
    """

    record: InputRecord
    image: Path
    labels: Path
    slices: tuple[Slice, ...]
    outlines: int
    objects: int
    area: float
    area_um2: float
    score: float

    @property
    def contrast(self) -> Normalization:
        """How the model saw it."""
        return Normalization.from_dict(self.record.normalization)

    def where(self, index: Index) -> str:
        """Say where a slice lies, for people; nothing for a single picture."""
        names = (_NAMES[axis] for axis in self.record.stack_axes)
        pairs = zip(names, index, strict=True)
        return ", ".join(f"{name} {place}" for name, place in pairs)

    def called(self, index: Index) -> str:
        """Name a slice with its file."""
        where = self.where(index)
        return f"{self.record.image}, {where}" if where else self.record.image


@dataclass(frozen=True, slots=True)
class Failure:
    """An image without results, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """How many values lie between edges; `edges` are one more than `counts`."""

    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Summary:
    """What is known about the results of a run.

    Attributes
    ----------
    output : Path
    run : RunRecord
    unit : {"µm²", "pixels"}
        Of areas: micrometres where all files say how large a pixel is.
    files : tuple of FileStats
    failures : tuple of Failure
    areas, scores : Histogram
        Over outlines.
    flags : Counter
        How often linking said what.
    flagged, sample : tuple of Outline
        Drawn evenly from all that are flagged, and from all.
    largest, smallest, doubtful : tuple of Outline
        The most extreme first.
    """

    output: Path
    run: RunRecord
    unit: str
    files: tuple[FileStats, ...]
    failures: tuple[Failure, ...]
    areas: Histogram
    scores: Histogram
    flags: Counter[str] = field(default_factory=Counter)
    flagged: tuple[Outline, ...] = ()
    sample: tuple[Outline, ...] = ()
    largest: tuple[Outline, ...] = ()
    smallest: tuple[Outline, ...] = ()
    doubtful: tuple[Outline, ...] = ()

    @property
    def outlines(self) -> int:
        """Objects over all files, each on every slice that it lies on."""
        return sum(file.outlines for file in self.files)

    @property
    def slices(self) -> int:
        """Slices over all files."""
        return sum(len(file.slices) for file in self.files)
