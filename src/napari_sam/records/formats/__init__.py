"""The formats that results are written in; a further one is one file and a line here.

Formats that hold the same as another (label TIFFs, `objects.csv`) are written by
`napari_sam.records.export` itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from napari_sam.records.formats.coco import Coco, CocoPolygons
from napari_sam.records.formats.ctc import Ctc
from napari_sam.records.formats.dataset import YoloDetect, YoloSeg
from napari_sam.records.formats.geojson import GeoJson
from napari_sam.records.formats.masks import Cellpose, StarDist
from napari_sam.records.formats.omezarr import OmeZarr
from napari_sam.records.formats.parquet import Parquet
from napari_sam.records.formats.roi import Roi
from napari_sam.records.formats.sa1b import Sa1bRecords
from napari_sam.records.formats.yolo import YoloRows
from napari_sam.types import OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.records.formats.base import Format

TIFF: Final = "tiff"
_ALL: Final[dict[str, Format]] = {
    one.name: one
    for one in (
        YoloRows(),
        YoloSeg(),
        YoloDetect(),
        Coco(),
        CocoPolygons(),
        Sa1bRecords(),
        Ctc(),
        OmeZarr(),
        Cellpose(),
        StarDist(),
        Roi(),
        GeoJson(),
        Parquet(),
    )
}
NAMES: Final = (TIFF, *_ALL)


def check_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of formats in one order, each once.

    Raises
    ------
    OutputError
        If there is no such format, or a package that it needs is missing.
    """
    wanted = {name.strip().lower() for name in names}
    for name in sorted(wanted - set(NAMES)):
        raise OutputError(
            f"there is no format {name!r}: choose from {', '.join(NAMES)}"
        )
    chosen = tuple(name for name in NAMES if name in wanted)
    for one in of(chosen):
        one.check()
    return chosen


def of(names: Sequence[str]) -> tuple[Format, ...]:
    """Return the formats of these names; label TIFFs are none of them."""
    return tuple(_ALL[name] for name in names if name in _ALL)
