"""Regions of interest of ImageJ, one zip for each input."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.records.files import atomic_file
from napari_sam.records.formats.base import (
    Format,
    Page,
    Sink,
    Target,
    plane_name,
    shape_text,
    with_ending,
)
from napari_sam.records.rings import Piece, pieces_of
from napari_sam.types import OutputError

if TYPE_CHECKING:
    import contextlib
    from pathlib import Path, PurePosixPath

_MOVE, _LINE, _CLOSE = 0.0, 1.0, 4.0  # of java.awt.geom.PathIterator
_HIGHEST = 32767  # the largest number that a corner of a rectangle can have


class Roi(Format):
    """A zip for ImageJ's ROI Manager; objects with holes or pieces are composite."""

    name = "roi"

    def places(self, folder: Path, relative: PurePosixPath) -> tuple[Path, ...]:
        """Return the file of an input."""
        return (folder / with_ending(relative, ".zip"),)

    def open(self, target: Target, files: contextlib.ExitStack) -> Sink:
        """Write regions as planes come."""
        path = target.file(".zip")
        if max(target.stack.plane_shape) > _HIGHEST:
            raise OutputError(
                f"{path} cannot be written: ImageJ's regions lie within {_HIGHEST} "
                "pixels, this image is larger: leave roi out of --format"
            )
        file = files.enter_context(atomic_file(path))
        pack = files.enter_context(zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED))
        # ImageJ passes over it; read again, it says the shape.
        pack.comment = json.dumps(shape_text(target.stack)).encode()

        def write(page: Page) -> None:
            places = target.places(page.index)
            for row in range(len(page)):
                mask = page.mask(row)
                name = f"id{int(page.objects['id'][row]):05d}"
                name = "_".join(filter(None, (name, plane_name(places))))
                region = region_of(pieces_of(mask.data, mask.box[:2]), name, places)
                # A date would make each time another file of the same objects.
                pack.writestr(zipfile.ZipInfo(f"{name}.roi"), region.tobytes())

        return write


def region_of(pieces: list[Piece], name: str, places: dict[str, int]) -> Any:
    """Return outlines as a region of interest, on its slice and frame."""
    from roifile import ROI_TYPE, ImagejRoi

    rings = [ring[:, ::-1] for piece in pieces for ring in piece.rings]
    if len(rings) == 1:
        region = ImagejRoi.frompoints(rings[0], name=name)
        region.roitype = ROI_TYPE.TRACED
        # The box of corners, which is the box of the pixels: frompoints adds one.
        region.right, region.bottom = (int(n) for n in rings[0].max(0))
    else:
        path: list[float] = []
        for ring in rings:
            for step, (x, y) in enumerate(ring.tolist()):
                path += (_LINE if step else _MOVE, x, y)
            path.append(_CLOSE)
        left, top = np.min([ring.min(0) for ring in rings], 0).tolist()
        right, bottom = np.max([ring.max(0) for ring in rings], 0).tolist()
        region = ImagejRoi(
            roitype=ROI_TYPE.RECT,
            name=name,
            left=left,
            top=top,
            right=right,
            bottom=bottom,
            shape_roi_size=len(path),
            multi_coordinates=np.array(path, np.float32),
        )
    region.z_position = places["z"] + 1 if "z" in places else 0
    region.t_position = places["t"] + 1 if "t" in places else 0
    if len(places) == 1:
        # Programs that know of no hyperstacks count slices.
        region.position = next(iter(places.values())) + 1
    return region
