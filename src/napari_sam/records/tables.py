"""The objects table: one row per object and plane, as CSV.

Every input leaves a fragment; `objects.csv` is put together from these, row by
row, with all columns that any of them has.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from napari_sam.records.files import atomic_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from napari_sam.types import ObjectTable

_PLACES: Final = ("t", "z")
_PIXELS: Final = (
    "id",
    "class_id",
    "class_name",
    "score",
    "detection_score",
    "stability",
    "box_y0",
    "box_x0",
    "box_y1",
    "box_x1",
    "area",
    "centroid_y",
    "centroid_x",
)
_PHYSICAL: Final = ("area_um2", "centroid_y_um", "centroid_x_um")
_LINKS: Final = ("track", "parent", "flag")
_ORDER: Final = ("image", *_PLACES, *_PIXELS, *_PHYSICAL, *_LINKS, "truncated")
_SCORES: Final = ("score", "detection_score", "stability")
_TEXTS: Final = ("image", "class_name", "flag")
_BOXES: Final = ("box_y0", "box_x0", "box_y1", "box_x1")
_WHOLE: Final = (*_PLACES, "id", "class_id", "area", "track", "parent", *_BOXES)


def columns(
    stack_axes: str, pixel_size: Mapping[str, Any], links: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the columns for an input with these axes and known pixel sizes.

    `links` are those that `napari_sam.segment.table.with_links` has added.
    """
    places = {axis.lower() for axis in stack_axes}
    missing = set(_PLACES) - places | set(_LINKS) - set(links)
    if not {"Y", "X"} <= pixel_size.keys():
        missing |= set(_PHYSICAL)
    return tuple(name for name in _ORDER if name not in missing)


def rows(
    objects: ObjectTable,
    *,
    image: str,
    places: Mapping[str, int],
    pixel_size: Mapping[str, tuple[float, str]],
    truncated: bool,
) -> Iterator[dict[str, Any]]:
    """Yield one row per object of a plane.

    Parameters
    ----------
    objects : ObjectTable
    image : str
    places : mapping
        Where the plane lies, for example {"t": 0, "z": 3}.
    pixel_size : mapping of axis to (size, unit)
        In micrometres; without Y and X there are no physical columns.
    truncated : bool
        The plane has more objects than were kept.
    """
    known = "Y" in pixel_size and "X" in pixel_size
    for row in range(len(objects["id"])):
        values = {name: objects[name][row] for name in _PIXELS}
        values |= {name: objects[name][row] for name in _LINKS if name in objects}
        for name in _SCORES:
            values[name] = f"{values[name]:.4f}"
        y, x = float(values["centroid_y"]), float(values["centroid_x"])
        values |= {"centroid_y": f"{y:.3f}", "centroid_x": f"{x:.3f}"}
        if known:
            dy, dx = pixel_size["Y"][0], pixel_size["X"][0]
            values["area_um2"] = f"{int(values['area']) * dy * dx:.6g}"
            values["centroid_y_um"] = f"{y * dy:.6g}"
            values["centroid_x_um"] = f"{x * dx:.6g}"
        yield {"image": image, **places, **values, "truncated": truncated}


class TableWriter:
    """Writes rows into an open file; the header comes first."""

    def __init__(self, file: BinaryIO, names: Sequence[str]) -> None:
        # newline="": csv ends its lines itself, the same on every system.
        self._text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
        self._csv = csv.DictWriter(
            self._text, names, restval="", lineterminator="\n", extrasaction="raise"
        )
        self._csv.writeheader()

    def add(self, table: Iterable[Mapping[str, Any]]) -> None:
        """Write rows."""
        self._csv.writerows(table)

    def detach(self) -> None:
        """Leave the file open for its owner."""
        self._text.detach()


def join_fragments(path: Path, fragments: Sequence[Path]) -> None:
    """Put the tables of all inputs below each other, in this order."""
    with atomic_file(path) as file:
        writer = TableWriter(file, joined_columns(fragments))
        for fragment in fragments:
            with fragment.open(encoding="utf-8", newline="") as source:
                writer.add(csv.DictReader(source))
        writer.detach()


def joined_columns(fragments: Sequence[Path]) -> Sequence[str]:
    """Return the columns that any of some tables has, in their order."""
    present = {name for fragment in fragments for name in _header(fragment)}
    names = [name for name in _ORDER if name in present]
    return names or columns("", {})


def kind_of(column: str) -> type[int] | type[float] | type[bool] | type[str]:
    """Return what stands in a column."""
    if column in _TEXTS:
        return str
    if column == "truncated":
        return bool
    return int if column in _WHOLE else float


def is_empty(fragment: Path) -> bool:
    """Whether a table has a header only."""
    with fragment.open(encoding="utf-8", newline="") as source:
        return sum(1 for _ in zip(source, range(2), strict=False)) < 2


def _header(fragment: Path) -> list[str]:
    with fragment.open(encoding="utf-8", newline="") as source:
        return next(csv.reader(source), [])
