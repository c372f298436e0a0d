"""GeoJSON as QuPath reads it: one feature for each object on each plane."""

from __future__ import annotations

import json
import math
import uuid
from typing import TYPE_CHECKING, Any, Final

from napari_sam.records.files import atomic_file
from napari_sam.records.formats.base import (
    Format,
    Page,
    Sink,
    Target,
    shape_text,
    with_ending,
)
from napari_sam.records.rings import Piece, Ring, pieces_of

if TYPE_CHECKING:
    import contextlib
    from pathlib import Path, PurePosixPath

# What QuPath shows in its table of measurements.
_MEASURED: Final = ("score", "detection_score", "stability")
_SPACE: Final = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # of names of URLs


class GeoJson(Format):
    """A file for each input; outlines run along the edges of pixels."""

    name = "geojson"

    def places(self, folder: Path, relative: PurePosixPath) -> tuple[Path, ...]:
        """Return the file of an input."""
        return (folder / with_ending(relative, ".geojson"),)

    def open(self, target: Target, files: contextlib.ExitStack) -> Sink:
        """Write features as planes come."""
        file = files.enter_context(atomic_file(target.file(".geojson")))
        # Programs pass over what they do not know; read again, it says the shape.
        about = json.dumps(shape_text(target.stack), separators=(",", ":"))
        head = f'{{"type":"FeatureCollection","image":{about},"features":['
        file.write(head.encode())
        files.callback(file.write, b"\n]}\n")
        before = b"\n"

        def write(page: Page) -> None:
            nonlocal before
            places = target.places(page.index)
            for row in range(len(page)):
                feature = _feature(page, row, target.image, places)
                text = json.dumps(feature, separators=(",", ":"), ensure_ascii=False)
                file.write(before + text.encode())
                before = b",\n"

        return write


def _feature(
    page: Page, row: int, image: str, places: dict[str, int]
) -> dict[str, Any]:
    mask = page.mask(row)
    number = int(page.objects["id"][row])
    name = str(page.objects["class_name"][row])
    scores = {one: float(page.objects[one][row]) for one in _MEASURED}
    known = {one: round(v, 4) for one, v in scores.items() if math.isfinite(v)}
    properties: dict[str, Any] = {
        "objectType": "detection",
        "name": str(number),
        "measurements": {"object_id": number, **known},
    }
    if name:
        properties["classification"] = {"name": name}
    geometry = geometry_of(pieces_of(mask.data, mask.box[:2]))
    if places:
        # QuPath's -1 is: of all channels.
        plane = {"c": -1, "z": places.get("z", 0), "t": places.get("t", 0)}
        geometry["plane"] = plane
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(_SPACE, f"{image} {places} {number}")),
        "geometry": geometry,
        "properties": properties,
    }


def geometry_of(pieces: list[Piece]) -> dict[str, Any]:
    """Return outlines as a Polygon or a MultiPolygon, positions (x, y)."""
    polygons = [[_closed(ring) for ring in piece.rings] for piece in pieces]
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def _closed(ring: Ring) -> list[list[int]]:
    # Ours run clockwise on the screen, which is the way round that GeoJSON wants them
    # in coordinates that grow downwards.
    points: list[list[int]] = ring[:, ::-1].tolist()
    return [*points, points[0]]
