"""Masks in the format of SA-1B, one JSON file for each plane.

It is what Meta published with SAM and what programs that train on SA-1B read:
run-length masks with the predicted IoU, the stability, the click and the part of
the image that gave each. Reading is `read_sa1b`.
"""

from __future__ import annotations

import json
import math
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.models.given.sa1b import Sa1b, read_sa1b
from napari_sam.records.coco import encode_mask
from napari_sam.records.files import write_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_sam.segment.proposals import Clicks
    from napari_sam.types import BoolArray, Mask

__all__ = ["Sa1b", "read_sa1b", "write_sa1b"]


def write_sa1b(
    path: Path,
    masks: Sequence[Mask],
    shape: tuple[int, int],
    *,
    image: str,
    clicks: Clicks | None = None,
    ids: Sequence[int] | None = None,
    places: Mapping[str, int] | None = None,
) -> None:
    """Write the masks of one plane; the file appears when it is complete.

    Parameters
    ----------
    path : Path
    masks : sequence of Mask
        They may overlap; empty ones are left out.
    shape : (H, W)
    image : str
        Name of the image.
    clicks : Clicks, optional
        What gave each mask, as in `Proposals`. Without it, or where a point is
        NaN, the point is the one that lies deepest in the mask, and the part is
        the plane.
    ids : sequence of int, optional
        One for each mask; by default from 1.
    places : mapping, optional
        Where the plane lies in its stack, for example {"t": 0, "z": 3}.
    """
    places = dict(places or {})
    whole = np.array([0, 0, *shape])
    annotations = []
    for i, mask in enumerate(masks):
        if not mask.area:
            continue
        point = None if clicks is None else clicks.points[i].tolist()
        if point is None or not np.isfinite(point).all():
            point = _deepest(mask.data, mask.box[:2])
        crop = whole if clicks is None else clicks.crops[i]
        number = i + 1 if ids is None else int(ids[i])
        annotations.append(_annotation(number, mask, shape, point, crop.tolist()))
    about = {
        # The format wants a number; that of a plane never changes.
        "image_id": zlib.crc32(f"{image} {places}".encode()),
        "width": shape[1],
        "height": shape[0],
        "file_name": image,
        **places,
    }
    record = {"image": about, "annotations": annotations}
    text = json.dumps(record, separators=(",", ":"), allow_nan=False)
    write_text(path, f"{text}\n", durable=False)


def _annotation(
    number: int,
    mask: Mask,
    shape: tuple[int, int],
    point: Sequence[float],
    crop: Sequence[float],
) -> dict[str, Any]:
    # Positions are (x, y). Points have their pixel's centre at whole numbers, as
    # Meta's predictor takes them. Boxes are COCO's: all pixels, where Meta's own
    # files stop one short.
    y, x = point
    return {
        "id": number,
        "segmentation": encode_mask(mask.data, mask.box[:2], shape),
        "bbox": _xywh(mask.box),
        "area": mask.area,
        "predicted_iou": _certain(mask.score),
        "stability_score": _certain(mask.stability),
        "point_coords": [[x - 0.5, y - 0.5]],
        "crop_box": _xywh(crop),
    }


def _certain(score: float) -> float:
    """Return a score; what a person drew has none, and the format wants one."""
    return score if math.isfinite(score) else 1.0


def _xywh(box: Sequence[float]) -> list[float]:
    y0, x0, y1, x1 = box
    return [float(x0), float(y0), float(x1 - x0), float(y1 - y0)]


def _deepest(mask: BoolArray, corner: tuple[int, int]) -> tuple[float, float]:
    """Return the centre of the pixel that is farthest from the mask's outside."""
    from scipy import ndimage

    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(y) + corner[0] + 0.5, float(x) + corner[1] + 0.5
