"""Labels in images, SA-1B records, and folders of the Cell Tracking Challenge."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import zarr

from napari_sam.images import open_image
from napari_sam.models.given.sa1b import read_sa1b
from napari_sam.records.reading.base import Piece, Read, joined
from napari_sam.records.reading.texts import bytes_of
from napari_sam.records.sources import (
    LabelSource,
    class_names_of,
    find_sources,
    open_labels,
)
from napari_sam.types import ImageError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_sam.images import ImageStack

_FRAME: Final = re.compile(r"(mask|man_seg|man_track)(\d{3,})\.tif", re.IGNORECASE)
_TRACKS: Final = ("res_track.txt", "man_track.txt")


def read_labels(path: Path) -> Read:
    """Read a label image: TIFF, PNG, or Zarr.

    Raises
    ------
    ImageError
        If it cannot be read, or is no label image.
    """
    with open_labels(path) as stack:
        return _whole(stack, _plain_name(path))


def _whole(stack: ImageStack, name: str) -> Read:
    source = LabelSource(stack)
    axes = f"{stack.stack_axes}YX"
    labels = np.zeros((*stack.stack_shape, *stack.plane_shape), np.uint32)
    for index in stack.indices():
        labels[index] = source.ids(index)
    return Read(name, labels, axes, pixel_size=stack.pixel_size)


def _plain_name(path: Path) -> str:
    return path.name.removesuffix(path.suffix).removesuffix(".ome")


def is_label_zarr(path: Path) -> bool:
    """Whether an OME-Zarr folder says that it holds labels."""
    try:
        return "image-label" in _ome(path) or "labels" in _ome(path)
    except Exception:  # whoever opens it says what is wrong
        return False


def _ome(path: Path) -> dict[str, Any]:
    attributes: dict[str, Any] = dict(zarr.open_group(path, mode="r").attrs)
    return dict(attributes.get("ome") or attributes)


def read_label_zarr(path: Path) -> list[Read]:
    """Read OME-Zarr labels: an image of them, or all in a folder `labels`.

    Raises
    ------
    ImageError
        If it cannot be read.
    """
    if "image-label" in _ome(path):
        return [read_labels(path)]
    return [read_labels(path / name) for name in label_names(path)]


def label_names(path: Path) -> list[str]:
    """Return which labels an OME-Zarr folder `labels` lists.

    Raises
    ------
    ImageError
        If its list is damaged.
    """
    if not is_label_zarr(path) or "labels" not in (about := _ome(path)):
        return []
    names = about["labels"]
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise ImageError(f"{path}: its list of labels is damaged: export it again")
    return names


def is_kept(folder: Path) -> bool:
    """Whether `annotate`, `export` or Save wrote a folder."""
    return (folder / "labels").is_dir() and (folder / "objects.csv").is_file()


def read_kept(folder: Path) -> list[Read]:
    """Read the labels of a folder with what its table says about the objects.

    Raises
    ------
    NapariSamError
        If something cannot be read.
    """
    sources = find_sources([folder], complete=True)
    names = class_names_of(sources)
    found = []
    for source in sources:
        if source.error:
            raise ImageError(source.error)
        labels = LabelSource.of(source, names)
        with labels.stack as stack:
            read = _whole(stack, source.relative.name)
            table: dict[int, tuple[str, float]] = {}
            for index in stack.indices():
                result, linked = labels.result(index), labels.linked(index)
                ids = linked.ids[result.objects["id"]].tolist()
                classes = result.objects["class_name"].tolist()
                scores = result.objects["score"].tolist()
                table |= zip(ids, zip(classes, scores, strict=True), strict=True)
        rows = sorted(table)
        features: dict[str, Sequence[Any]] = {
            "index": rows,
            "class_name": [table[row][0] for row in rows],
            "score": [table[row][1] for row in rows],
        }
        found.append(Read(read.name, read.labels, read.axes, features, read.pixel_size))
    return found


def is_sa1b_record(path: Path) -> bool:
    """Whether a JSON file is a record of SA-1B, and no COCO file."""
    text = bytes_of(path)
    return b'"image"' in text[:4096] and b'"images"' not in text[:4096]


def is_geojson(path: Path) -> bool:
    """Whether a JSON file is GeoJSON under another name, as QuPath may write it."""
    return re.search(rb'"type"\s*:\s*"Feature', bytes_of(path)[:65536]) is not None


def read_record(path: Path) -> Read:
    """Read the masks of a record of SA-1B.

    Raises
    ------
    ImageError
        If it cannot be read.
    """
    try:
        record = read_sa1b(path)
    except ModelError as error:
        raise ImageError(str(error)) from error
    pieces = [
        Piece(mask, number=number, score=mask.score)
        for number, mask in enumerate(record.masks, start=1)
        if mask.area
    ]
    return joined(path, pieces, record.shape, axes="YX", name=path.stem)


def is_ctc(folder: Path) -> bool:
    """Whether a folder holds a sequence of the Cell Tracking Challenge."""
    return any((folder / name).is_file() for name in _TRACKS)


def read_ctc(folder: Path) -> Read:
    """Read the frames of a sequence, with first and last frame and parent of tracks.

    Raises
    ------
    ImageError
        If a frame is missing or has another shape, or the table is damaged.
    """
    kinds: dict[str, dict[int, Path]] = defaultdict(dict)
    for path in sorted(folder.iterdir()):
        if found := _FRAME.fullmatch(path.name):
            kinds[found[1].lower()][int(found[2])] = path
    if not kinds:
        raise ImageError(
            f"{folder}: there are no frames (mask000.tif) beside its table"
        )
    frames = kinds.get("mask") or kinds.get("man_track") or kinds["man_seg"]
    if sorted(frames) != list(range(len(frames))):
        lost = min(set(range(len(frames))) - frames.keys())
        raise ImageError(f"{folder}: frame {lost} is missing: copy the folder again")
    planes = []
    for number in range(len(frames)):
        with open_image(frames[number]) as stack:
            planes.append(_whole(stack, ""))
        if planes[-1].labels.shape != planes[0].labels.shape:
            raise ImageError(
                f"{frames[number]}: this frame has another shape than the first one: "
                "copy the folder again"
            )
    axes = "TZYX" if planes[0].labels.ndim == 3 else "TYX"
    labels = np.stack([plane.labels for plane in planes])
    table = next(folder / name for name in _TRACKS if (folder / name).is_file())
    sizes = planes[0].pixel_size
    return Read(folder.name, labels, axes, _tracks(table), sizes)


def _tracks(path: Path) -> dict[str, Sequence[Any]]:
    try:
        lines = bytes_of(path).decode().splitlines()
        rows = [[int(word) for word in line.split()] for line in lines if line.strip()]
        if any(len(row) != 4 for row in rows):
            raise ValueError("not four numbers")
    except ValueError as error:
        raise ImageError(
            f"{path}: each row must be four whole numbers (track, first and last "
            "frame, parent): copy the file again"
        ) from error
    names = ("index", "first", "last", "parent")
    return {name: [row[n] for row in rows] for n, name in enumerate(names)}
