"""COCO annotations with run-length masks or polygons, for any number of planes.

Every input leaves a fragment of JSON lines; the annotation file is put together
from these, one line in memory at a time.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from napari_sam.records.files import atomic_file
from napari_sam.records.rings import pieces_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from napari_sam.records.formats.base import Page
    from napari_sam.types import BoolArray, Mask


def encode_mask(
    mask: BoolArray, corner: tuple[int, int], shape: tuple[int, int]
) -> dict[str, Any]:
    """Return COCO's run-length code of a mask that covers part of a plane.

    Only the mask's own box is looked at, so that the cost does not grow with
    the plane.

    Parameters
    ----------
    mask : bool array, shape (h, w)
    corner : (y, x)
        Where it lies in the plane.
    shape : (H, W)
    """
    from pycocotools.mask import frPyObjects

    y0, x0 = corner
    # Runs go down the columns of the whole plane; around each is background here, so
    # that they begin and end in turn.
    height, width = mask.shape
    columns = np.zeros((width, height + 2), np.bool_)
    columns[:, 1:-1] = mask.T
    changes = columns[:, 1:] != columns[:, :-1]
    column, row = np.divmod(np.flatnonzero(changes), height + 1)
    edges = (column + x0) * shape[0] + row + y0
    counts = np.diff(edges, prepend=0, append=shape[0] * shape[1]).tolist()
    code = frPyObjects({"size": list(shape), "counts": counts}, *shape)
    return {"size": [int(n) for n in code["size"]], "counts": code["counts"].decode()}


def write_plane(
    file: BinaryIO,
    page: Page,
    *,
    image: str,
    places: Mapping[str, int],
    polygons: bool = False,
) -> None:
    """Add one plane to a fragment: a line for it and one for every object.

    Of a plane that is complete in part, the rest is one "crowd" more, which is COCO's
    way of saying that nothing is to be learned or counted there.

    Parameters
    ----------
    file : binary file
    page : Page
    image : str
    places : mapping
        Where the plane lies, for example {"t": 0, "z": 3}.
    polygons : bool
        Outlines in place of run-lengths, for all objects without holes.
    """
    height, width = shape = page.labels.shape
    entry = {"file_name": image, "width": width, "height": height, **places}
    _write_line(file, {"image": entry})
    for row, mask in enumerate(page.masks()):
        y0, x0, y1, x1 = mask.box
        score = float(page.objects["score"][row])
        values = {
            "category_id": int(page.objects["class_id"][row]) + 1,
            "object_id": int(page.objects["id"][row]),
            "segmentation": _segmentation(mask, shape, polygons),
            "area": int(page.objects["area"][row]),
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "iscrowd": 0,
        }
        if math.isfinite(score):
            values["score"] = round(score, 4)
        _write_line(file, values)
    if page.known is not None:
        _write_line(file, _ignored(~page.known))


def _segmentation(mask: Mask, shape: tuple[int, int], polygons: bool) -> Any:
    pieces = pieces_of(mask.data, mask.box[:2]) if polygons else []
    if not pieces or any(piece.holes for piece in pieces):
        return encode_mask(mask.data, mask.box[:2], shape)
    return [piece.outer[:, ::-1].reshape(-1).tolist() for piece in pieces]


def _ignored(unknown: BoolArray) -> dict[str, Any]:
    rows, columns = np.flatnonzero(unknown.any(1)), np.flatnonzero(unknown.any(0))
    y0, y1, x0, x1 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    return {
        "category_id": 1,
        "segmentation": encode_mask(unknown, (0, 0), unknown.shape),
        "area": int(unknown.sum()),
        "bbox": [int(n) for n in (x0, y0, x1 - x0, y1 - y0)],
        "iscrowd": 1,
    }


def _write_line(file: BinaryIO, value: dict[str, Any]) -> None:
    file.write(json.dumps(value, separators=(",", ":")).encode() + b"\n")


def join_fragments(
    path: Path, fragments: Sequence[Path], class_names: Sequence[str]
) -> None:
    """Put fragments together into one annotation file."""
    categories = [
        {"id": number, "name": name, "supercategory": "object"}
        for number, name in enumerate(class_names, start=1)
    ]
    with atomic_file(path) as file:
        about = {"description": "Made by napari-sam; category ids start at 1"}
        file.write(f'{{"info":{json.dumps(about)},"licenses":[],'.encode())
        file.write(b'"images":[')
        _write_list(file, _images(fragments))
        file.write(b'],"annotations":[')
        _write_list(file, _annotations(fragments))
        file.write(f'],"categories":{json.dumps(categories)}}}\n'.encode())


def _write_list(file: BinaryIO, values: Iterable[dict[str, Any]]) -> None:
    before = b"\n"
    for value in values:
        file.write(before + json.dumps(value, separators=(",", ":")).encode())
        before = b",\n"


def _lines(fragments: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for fragment in fragments:
        with fragment.open("rb") as file:
            for line in file:
                yield json.loads(line)


def _images(fragments: Sequence[Path]) -> Iterator[dict[str, Any]]:
    entries = (line["image"] for line in _lines(fragments) if "image" in line)
    for number, entry in enumerate(entries, start=1):
        yield {"id": number, **entry}


def _annotations(fragments: Sequence[Path]) -> Iterator[dict[str, Any]]:
    image = number = 0
    for line in _lines(fragments):
        if "image" in line:
            image += 1
        else:
            number += 1
            yield {"id": number, "image_id": image, **line}
