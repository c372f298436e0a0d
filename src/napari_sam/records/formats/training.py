"""Folders to train with: flat, the image beside what is known of it.

Only what is complete goes into them. Of a plane that is complete in part, the largest
rectangle of each complete part is cut out, image and objects alike; what lies outside
is left out, so that nobody takes it for background.
"""

from __future__ import annotations

import glob
import hashlib
import re
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from napari_sam.records.files import explained
from napari_sam.records.formats.base import (
    OF_PLANE,
    Format,
    Page,
    Sink,
    Target,
    plane_name,
)

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Iterator
    from pathlib import Path, PurePosixPath

    from napari_sam.types import BoolArray, IntBox

_SMALLEST: Final = 32  # pixels: smaller rectangles teach nothing
_LONGEST: Final = 180  # bytes of a name; file systems allow 255 with all endings
MASKS: Final = "_masks"


def complete_parts(page: Page) -> list[tuple[str, IntBox]]:
    """Return the rectangles of a plane that are complete, with what they are called.

    A plane that is complete has one, itself, called nothing.
    """
    height, width = page.labels.shape
    if page.known is None:
        return [("", (0, 0, height, width))]
    found = [
        box
        for box in _largest_in_each(page.known)
        if min(box[2] - box[0], box[3] - box[1]) >= _SMALLEST
        # A person's object in a slice that nobody has finished is known, too, but
        # nothing around it is.
        and not page.labels[box[0] : box[2], box[1] : box[3]].all()
    ]
    return [(f"_part{number}", box) for number, box in enumerate(found, start=1)]


def _largest_in_each(known: BoolArray) -> Iterator[IntBox]:
    from scipy import ndimage

    parts, _ = ndimage.label(known)
    for number, (y, x) in enumerate(ndimage.find_objects(parts), start=1):
        y0, x0, y1, x1 = largest_rectangle(parts[y, x] == number)
        yield y0 + y.start, x0 + x.start, y1 + y.start, x1 + x.start


def largest_rectangle(mask: BoolArray) -> IntBox:
    """Return the largest rectangle of which every pixel is true, (y0, x0, y1, x1).

    Examples
    --------
    >>> largest_rectangle(np.array([[1, 0, 1], [1, 1, 1], [0, 1, 1]], bool))
    (1, 1, 3, 3)
    """
    best, area = (0, 0, 0, 0), 0
    heights = np.zeros(mask.shape[1], np.int64)
    for bottom, row in enumerate(mask, start=1):
        heights = np.where(row, heights + 1, 0)
        # Columns whose bars wait for a lower one on their right.
        waiting: list[tuple[int, int]] = []
        for x, height in enumerate([*heights.tolist(), 0]):
            start = x
            while waiting and waiting[-1][1] >= height:
                start, tall = waiting.pop()
                if tall * (x - start) > area:
                    area = tall * (x - start)
                    best = bottom - tall, start, bottom, x
            waiting.append((start, height))
    return best


def flat_name(relative: PurePosixPath) -> str:
    """Return the name of an input in a folder without subfolders.

    Examples
    --------
    >>> from pathlib import PurePosixPath
    >>> flat_name(PurePosixPath("day 1/well"))
    'day 1__well'
    """
    name = "__".join(relative.parts)
    if len(name.encode()) <= _LONGEST:
        return name
    mark = hashlib.sha256(name.encode()).hexdigest()[:12]
    short = name.encode()[: _LONGEST - 13].decode(errors="ignore")
    return f"{short}-{mark}"


class TrainingFolder(Format):
    """What these formats have in common: which files there are, and what is cut out."""

    training = True
    pixels = True
    by_plane = True
    # Folder and ending of each file.
    kinds: ClassVar[tuple[tuple[str, str], ...]]

    def places(self, folder: Path, relative: PurePosixPath) -> tuple[Path, ...]:
        """Return the files of an input that are there, or those of a single image."""
        name = flat_name(relative)
        there = tuple(self._written(folder, relative))
        return there or tuple(folder / sub / f"{name}{end}" for sub, end in self.kinds)

    def remove(self, folder: Path, relative: PurePosixPath) -> None:
        """Remove what an earlier run wrote, which may have had other planes."""
        for place in self._written(folder, relative):
            with explained(place):
                place.unlink(missing_ok=True)

    def _written(self, folder: Path, relative: PurePosixPath) -> Iterator[Path]:
        name = flat_name(relative)
        for sub, ending in self.kinds:
            for place in sorted((folder / sub).glob(f"{glob.escape(name)}*{ending}")):
                if is_of(place.name.removesuffix(ending), name):
                    yield place

    def open(self, target: Target, files: contextlib.ExitStack) -> Sink:
        """Write planes as they come."""
        return self.writer(target)

    def writer(
        self, target: Target, written: Callable[[str], object] = lambda name: None
    ) -> Sink:
        """Return what writes planes; `written` gets the name of each image."""
        name = flat_name(target.relative)

        def write(page: Page) -> None:
            place = plane_name(target.places(page.index))
            stem = f"{name}_{place}" if place else name
            for part, box in complete_parts(page):
                seen = page.cropped(box) if part else page
                self.write(target, f"{stem}{part}", seen, box)
                written(f"{stem}{part}")

        return write

    def write(self, target: Target, name: str, page: Page, box: IntBox) -> None:
        """Write one image and what is known of it."""
        raise NotImplementedError


def owner_of(name: str) -> str:
    """Return which other input would have files of this name, or the name itself.

    Examples
    --------
    >>> owner_of("a_z0003"), owner_of("a_masks"), owner_of("a")
    ('a', 'a', 'a')
    """
    found = re.fullmatch(rf"(.+?){OF_PLANE.pattern}({MASKS})?", name, re.IGNORECASE)
    return found[1] if found else name


def is_of(stem: str, name: str) -> bool:
    """Whether a file belongs to an input: of a plane, or of a part of one."""
    if not stem.startswith(name):
        return False
    rest = stem.removeprefix(name)
    return not rest or OF_PLANE.fullmatch(rest) is not None
