"""Boxes written as text: YOLO rows, and tables like `objects.csv`."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import yaml

from napari_sam.images import stem_of
from napari_sam.images.inputs import SUFFIXES
from napari_sam.models.given.detector import detections
from napari_sam.types import Detections, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_BOX = ("box_y0", "box_x0", "box_y1", "box_x1")
_SCORES = ("detection_score", "score")
_SUFFIXES = (*SUFFIXES, ".zarr")
_NAMES = ("classes.yaml", "data.yaml", "dataset.yaml", "classes.txt")
Row: TypeAlias = dict[str, str]


def read_yolo(path: Path, shape: tuple[int, int]) -> Detections:
    """Read YOLO rows: boxes, boxes with confidence, or polygons.

    Parameters
    ----------
    path : Path
        Each row is `class x y width height`, with a confidence after it or not,
        or `class x y x y x y …`; all relative to the image's sides.
    shape : (H, W)

    Raises
    ------
    ModelError
        Naming the row.
    """
    boxes, scores, classes = [], [], []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        try:
            values = [float(word) for word in words]
            box, score = _yolo_box(values[1:])
            classes.append(int(words[0]))
        except ValueError as error:
            raise ModelError(
                f"{path}: row {number} is no YOLO row (class x y width height, or "
                f"class x y x y …): {line[:60]!r}"
            ) from error
        boxes.append(box)
        scores.append(score)
    scaled = np.array(boxes).reshape(-1, 4) * (shape * 2)
    return detections(scaled, scores, classes)


def _yolo_box(values: Sequence[float]) -> tuple[tuple[float, ...], float]:
    if len(values) in (4, 5):
        x, y, width, height, score = [*values, 1.0][:5]
        half, wide = height / 2, width / 2
        return (y - half, x - wide, y + half, x + wide), score
    if len(values) < 6 or len(values) % 2:
        raise ValueError(len(values))
    across, down = values[0::2], values[1::2]
    return (min(down), min(across), max(down), max(across)), 1.0


def yolo_names(folder: Path, files: Sequence[Path]) -> tuple[str, ...]:
    """Find the class names of YOLO files, or number the classes that are in them."""
    for place in (folder, folder.parent):
        for name in _NAMES:
            if (place / name).is_file() and (names := _names(place / name)):
                return names
    numbers = [
        int(words[0])
        for path in files
        for line in _text(path).splitlines()
        if (words := line.split()) and words[0].isdecimal()
    ]
    return tuple(str(i) for i in range(max(numbers, default=0) + 1))


def _names(path: Path) -> tuple[str, ...]:
    if path.suffix == ".txt":
        return tuple(line.strip() for line in _text(path).splitlines() if line.strip())
    try:
        names = (yaml.safe_load(_text(path)) or {}).get("names") or []
        if isinstance(names, dict):
            return tuple(str(names.get(i, i)) for i in range(max(names) + 1))
        return tuple(str(name) for name in names)
    except (yaml.YAMLError, AttributeError, TypeError) as error:
        raise ModelError(f"{path}: the class names cannot be read: {error}") from error


class BoxTable:
    """A table with one row per object and plane, as `objects.csv` is.

    Parameters
    ----------
    path : Path
        CSV with `box_y0, box_x0, box_y1, box_x1` in pixels, and, where they apply,
        `image`, `t`, `z`, `id`, `class_id`, `class_name`, `detection_score`.

    Raises
    ------
    ModelError
        If it cannot be read or lacks the boxes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        reader = csv.DictReader(_text(path).splitlines())
        self.columns = tuple(reader.fieldnames or ())
        missing = [name for name in _BOX if name not in self.columns]
        if missing:
            raise ModelError(
                f"{path}: the table has no column {missing[0]}: it needs "
                f"{', '.join(_BOX)} in pixels (as objects.csv of annotate has them)"
            )
        self._rows: dict[str, list[Row]] = defaultdict(list)
        for row in reader:
            self._rows[_image(row.get("image", ""))].append(row)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their numbers."""
        known = {
            self.number(row, "class_id"): row.get("class_name") or row["class_id"]
            for rows in self._rows.values()
            for row in rows
            if row.get("class_id")
        }
        return tuple(known.get(i, str(i)) for i in range(max(known, default=0) + 1))

    @property
    def images(self) -> tuple[str, ...]:
        """The images of which there are rows; relative paths without suffix."""
        return tuple(name for name, rows in self._rows.items() if rows)

    def of(self, image: str, axes: str) -> Mapping[tuple[int, ...], list[Row]]:
        """Return the rows of an image (its relative path), by plane.

        Raises
        ------
        ModelError
            If the image is a stack along an axis that the table does not have.
        """
        missing = [axis for axis in axes.lower() if axis not in self.columns]
        if missing:
            raise ModelError(
                f"{self.path}: the image has an axis {missing[0].upper()}, the table "
                f"no column {missing[0]}: add it, with the plane's number from 0"
            )
        everywhere = "image" not in self.columns
        planes: dict[tuple[int, ...], list[Row]] = defaultdict(list)
        for row in self._rows["" if everywhere else _image(image)]:
            planes[tuple(self.number(row, a) for a in axes.lower())].append(row)
        return planes

    def finder(self, image: str, axes: str) -> Callable[[tuple[int, ...]], Detections]:
        """Return what finds the boxes of a plane of an image."""
        planes = self.of(image, axes)
        return lambda index: self.detections(planes.get(index, []))

    def classes(self, rows: Sequence[Row]) -> dict[int, int]:
        """Return the class of each id in some rows."""
        number = self.number
        return {number(row, "id"): number(row, "class_id") for row in rows}

    def detections(self, rows: Sequence[Row]) -> Detections:
        """Return the boxes of some rows."""
        score = next((name for name in _SCORES if name in self.columns), None)
        return detections(
            [[self._value(row, name) for name in _BOX] for row in rows],
            [self._value(row, score) for row in rows] if score else None,
            [self.number(row, "class_id") for row in rows],
        )

    def _value(self, row: Row, name: str) -> float:
        try:
            return float(row.get(name) or "nothing")
        except ValueError as error:
            raise ModelError(
                f"{self.path}: {name} must be a number, not {row.get(name)!r}"
            ) from error

    def number(self, row: Row, name: str) -> int:
        """Return a whole number of a row; 0 where nothing stands there."""
        return int(self._value(row, name)) if row.get(name) else 0


def _image(name: str) -> str:
    """Return an image's relative path without suffix, whichever way it is written."""
    path = PurePosixPath(name.replace("\\", "/"))
    known = path.suffix.lower() in _SUFFIXES
    return str(path.with_name(stem_of(path))) if known else str(path)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise ModelError(
            f"{path}: this file cannot be read as text ({error}): check it"
        ) from error
