"""Tracks in the layout of the Cell Tracking Challenge, as its tools read them.

A folder `01_RES` has a label image for each frame (`mask000.tif`, 16 bits, pages are z)
and `res_track.txt` with a row `L B E P` for each track: its label, its first and its
last frame, and the label of its parent, 0 for none. A track must be there on all frames
between, so one with a gap is written as two, the second with the first as its parent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam.records.files import explained, write_text
from napari_sam.records.labels import write_labels
from napari_sam.types import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy.typing as npt

    from napari_sam.images import ImageStack
    from napari_sam.segment.number import Numbers
    from napari_sam.types import LabelArray

    Index = tuple[int, ...]
    Load = Callable[[Index], LabelArray]

TRACKS: Final = "res_track.txt"
_MASK: Final = re.compile(r"mask\d{3,}\.tif")
SEQUENCE: Final = "01_RES"
_HIGHEST: Final = np.iinfo(np.uint16).max


@dataclass(slots=True, eq=False)
class _Track:
    """One row of the table."""

    label: int
    first: int
    last: int
    parent: int


@dataclass(slots=True, eq=False)
class _Sequence:
    """The tracks of one sequence, found frame by frame."""

    rows: list[_Track] = field(default_factory=list)
    # By the object's id; where it has a gap, the part that was seen last.
    current: dict[int, _Track] = field(default_factory=dict)
    # For each frame the label of every id on it.
    labels: list[dict[int, int]] = field(default_factory=list)

    def add(self, parents: dict[int, int]) -> None:
        """Take the next frame: the ids on it, with their parents."""
        frame = len(self.labels)
        self.labels.append({})
        for one in sorted(parents):
            track = self.current.get(one)
            if track is not None and track.last == frame - 1:
                track.last = frame
            else:
                before = track or self.current.get(parents[one])
                parent = before.label if before is not None else 0
                track = _Track(len(self.rows) + 1, frame, frame, parent)
                self.rows.append(track)
                self.current[one] = track
            self.labels[frame][one] = track.label

    def text(self) -> str:
        """Return the table."""
        rows = (f"{t.label} {t.first} {t.last} {t.parent}\n" for t in self.rows)
        return "".join(rows)


def write_tracks(folder: Path, load: Load, numbers: Numbers, stack: ImageStack) -> None:
    """Write the tracks of an input.

    Parameters
    ----------
    folder : Path
        The sequence of an earlier run in it is replaced.
    load : callable
        Returns the labels of a plane, with ids of this plane alone.
    numbers : Numbers
        Of objects that were followed through time.
    stack : ImageStack

    Raises
    ------
    OutputError
        If there are more tracks than 16-bit labels can tell apart.
    """
    folder = folder / SEQUENCE
    _remove(folder)
    frames = list(_frames(stack))
    sequence = _Sequence()
    for frame in frames:
        sequence.add(_on(numbers, frame))
    if len(sequence.rows) > _HIGHEST:
        raise OutputError(
            f"{folder} cannot be written: there are {len(sequence.rows)} tracks, and "
            f"the format ctc holds {_HIGHEST}: leave it out of --format"
        )
    deep = "Z" in stack.stack_axes
    digits = max(3, len(str(len(frames) - 1)))
    for number, frame in enumerate(frames):
        write_labels(
            folder / f"mask{number:0{digits}d}.tif",
            _planes(load, numbers, frame, sequence.labels[number]),
            axes="ZYX" if deep else "YX",
            shape=((len(frame),) if deep else ()) + stack.plane_shape,
            dtype=np.uint16,
            pixel_size=stack.pixel_size,
        )
    write_text(folder / TRACKS, sequence.text())


def _frames(stack: ImageStack) -> Iterator[list[Index]]:
    """Yield the planes of every frame."""
    lengths = dict(zip(stack.stack_axes, stack.stack_shape, strict=True))
    for time in range(lengths["T"]):
        where = ({"T": time, "Z": z} for z in range(lengths.get("Z", 1)))
        yield [tuple(one[axis] for axis in stack.stack_axes) for one in where]


def _on(numbers: Numbers, frame: list[Index]) -> dict[int, int]:
    """Return the ids on a frame, with their parents."""
    found: dict[int, int] = {}
    for index in frame:
        linked = numbers.linked[index]
        if linked.parents is not None:
            found |= zip(linked.ids.tolist(), linked.parents.tolist(), strict=True)
    found.pop(0, None)
    return found


def _planes(
    load: Load, numbers: Numbers, frame: list[Index], labels: dict[int, int]
) -> Iterator[npt.NDArray[np.uint16]]:
    for index in frame:
        ids = numbers.linked[index].ids
        new = np.array([labels.get(one, 0) for one in ids.tolist()], np.uint16)
        yield new[load(index)]


def _remove(folder: Path) -> None:
    """Remove what an earlier run wrote, which may have had other frames."""
    with explained(folder):
        for old in folder.glob("*"):
            if old.name == TRACKS or _MASK.fullmatch(old.name):
                old.unlink()
