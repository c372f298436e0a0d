"""YOLO rows as labels: outlines, or boxes filled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam.images import open_image
from napari_sam.images.inputs import SUFFIXES
from napari_sam.models.given.rows import yolo_names
from napari_sam.records.reading.base import Piece, Read, filled, joined
from napari_sam.records.reading.coco import MOST
from napari_sam.records.reading.texts import bytes_of
from napari_sam.types import ImageError, Mask

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NO_ROWS: Final = ("classes.txt", "train.txt", "val.txt", "test.txt")


def read_yolo_labels(path: Path, shape: Sequence[int] | None = None) -> Read:
    """Read the rows of one image.

    Parameters
    ----------
    path : Path
        Its image lies beside it, or in `images` where it lies in `labels`.
    shape : sequence of int, optional
        Of the image, where there is none.

    Raises
    ------
    ImageError
        If it cannot be read, or nobody knows how large the image is.
    """
    size = _size_of_image(path)
    if size is None and shape is not None:
        size = (int(shape[-2]), int(shape[-1]))
    if size is None:
        raise ImageError(
            f"{path}: rows are parts of an image, whose size nobody knows: put the "
            "image beside it or into a folder images, open it in napari first, or "
            "name it with --images of export"
        )
    names = yolo_names(path.parent, [path])
    try:
        lines = bytes_of(path).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ImageError(f"{path}: this file is no text: check it") from error
    pieces = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            pieces.append(_piece(line.split(), size, names))
        except (ValueError, OverflowError) as error:
            raise ImageError(
                f"{path}: row {number} is no YOLO row (class x y width height, or "
                f"class x y x y …): {line[:60]!r}"
            ) from error
    drawn = [piece for piece in pieces if piece.mask.area]
    return joined(path, drawn, size, axes="YX", name=path.stem, class_names=names)


def is_yolo_folder(folder: Path) -> bool:
    """Whether there are rows in a folder."""
    return bool(row_files(folder))


def read_yolo_folder(folder: Path, shape: Sequence[int] | None = None) -> list[Read]:
    """Read the rows of all images in a folder.

    Raises
    ------
    ImageError
        As `read_yolo_labels`; if there are too many.
    """
    files = row_files(folder)
    if len(files) > MOST:
        raise ImageError(
            f"{folder}: there are rows of {len(files)} images, more than {MOST} are "
            "not opened at once: open the files that you want to see"
        )
    return [read_yolo_labels(file, shape) for file in files]


def row_files(folder: Path) -> list[Path]:
    """Return the files with rows in a folder, or in `labels` where it has one."""
    labels = folder / "labels"
    inside = labels if labels.is_dir() else folder
    found = sorted(inside.rglob("*.txt"))
    return [file for file in found if file.name not in NO_ROWS]


def _size_of_image(path: Path) -> tuple[int, int] | None:
    parts = list(path.parts)
    folders = [path.parent]
    if "labels" in parts[:-1]:
        at = len(parts) - 1 - parts[::-1].index("labels")
        folders.append(type(path)(*parts[:at], "images", *parts[at + 1 : -1]))
    for folder in folders:
        for suffix in SUFFIXES:
            image = folder / f"{path.stem}{suffix}"
            if image.is_file():
                with open_image(image) as stack:
                    return stack.plane_shape
    return None


def _piece(words: list[str], size: tuple[int, int], names: Sequence[str]) -> Piece:
    number = int(words[0])
    values = np.array([float(word) for word in words[1:]])
    if not np.isfinite(values).all() or np.abs(values).max(initial=0) > 10:
        raise ValueError("not a part of an image")
    known = 0 <= number < len(names)
    name = "" if len(names) < 2 else names[number] if known else str(number)
    if len(values) in (4, 5):
        x, y, width, height = values[:4]
        sides = np.array([y - height / 2, x - width / 2, y + height / 2, x + width / 2])
        y0, x0, y1, x1 = np.clip(sides * (size * 2), 0, size * 2).round().astype(int)
        box = np.ones((max(y1 - y0, 0), max(x1 - x0, 0)), np.bool_)
        return Piece(Mask.from_array(box, (int(y0), int(x0))), class_name=name)
    if len(values) < 6 or len(values) % 2:
        raise ValueError(len(values))
    ring = values.reshape(-1, 2)[:, ::-1] * size
    return Piece(filled([ring], size), class_name=name)
