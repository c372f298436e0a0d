"""What was found as records in the format of SA-1B, one file for each slice."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.live.disk.kept.saved import file_name
from napari_sam.records.formats.base import plane_file
from napari_sam.records.sa1b import write_sa1b
from napari_sam.segment.proposals import Clicks
from napari_sam.types import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from napari_sam.live.proposals.found import Found
    from napari_sam.live.source import Source


def write_records(
    folder: Path, source: Source, slices: Iterable[Callable[[], Found]]
) -> int:
    """Write what counts on each slice; return how many objects they are.

    Slices without objects get their record too. It takes long where there are many:
    not for the thread that draws.

    Parameters
    ----------
    folder : Path
        The records come to lie in `sa1b` within it, named after the image, as
        `napari-sam annotate` writes them.
    source : Source
    slices : iterable of callable
        Each works out what was found on one slice.

    Raises
    ------
    OutputError
        If records of this image lie there already, or they cannot be written.
    """
    place = folder / "sa1b"
    relative = PurePosixPath(file_name(source.name))
    for there in (plane_file(place, relative, {}, ".json"), place / relative):
        if there.exists():
            raise OutputError(f"{there} is there already: choose another folder")
    height, width = source.shape[-2:]
    count = 0
    for work in slices:
        found = work()
        axes = zip(source.stack_axes.lower(), found.index, strict=True)
        places = dict(axes)
        write_sa1b(
            plane_file(place, relative, places, ".json"),
            found.masks,
            (height, width),
            image=source.name,
            clicks=_clicks(found, (height, width)),
            places=places,
        )
        count += len(found.masks)
    return count


def _clicks(found: Found, shape: tuple[int, int]) -> Clicks:
    """Return the click that gave each; NaN where none did."""
    points = np.full((len(found.objects), 2), np.nan, np.float32)
    for row, one in enumerate(found.objects):
        for plane in one.about.get("prompts", ()):
            points[row] = plane.marks[0].vertices[0]
    whole = np.array([0, 0, *shape], np.int64)
    return Clicks(points, np.tile(whole, (len(points), 1)))
