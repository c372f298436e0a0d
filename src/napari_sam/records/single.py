"""Labels in memory as one file, in the format that its name says."""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from napari_sam.images import open_image
from napari_sam.records import formats
from napari_sam.records.deliver import numbers_of, pages_of
from napari_sam.records.export import Export
from napari_sam.records.files import explained, sync_folder
from napari_sam.records.formats.base import Shared
from napari_sam.records.layout import Layout
from napari_sam.records.sources import LabelSource
from napari_sam.records.work import InputWork
from napari_sam.types import OutputError

if TYPE_CHECKING:
    from napari_sam.records.labels import PixelSize

# Ending to format, and where that lies in an output folder.
_KINDS: Final = {
    ".tif": ("tiff", "labels/{}.tif"),
    ".tiff": ("tiff", "labels/{}.tif"),
    ".zarr": ("omezarr", "omezarr/{}.ome.zarr"),
    ".geojson": ("geojson", "geojson/{}.geojson"),
    ".zip": ("roi", "roi/{}.zip"),
    ".json": ("coco", "coco/annotations.json"),
}
_NAME: Final = "labels"


def write_single(
    path: Path,
    labels: Any,
    *,
    axes: str,
    name: str,
    pixel_size: PixelSize | None = None,
) -> None:
    """Write labels; the file appears when it is complete, and replaces an older one.

    Parameters
    ----------
    path : Path
        Its ending says the format: .tif, .zarr (OME-Zarr), .geojson, .zip (regions of
        ImageJ), .json (COCO).
    labels : array-like, shape (…, H, W)
        Read plane by plane.
    axes : str
        One letter for each axis: of "TZ", then "YX".
    name : str
        What the image is called.
    pixel_size : mapping of axis to (size, unit), optional
        In micrometres and seconds.

    Raises
    ------
    NapariSamError
        If there is no such format, it cannot hold the labels, or cannot be written.
    """
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        endings = ", ".join(_KINDS)
        raise OutputError(f"{path}: no format has this ending: choose one of {endings}")
    if path.is_dir():
        raise OutputError(
            f"{path} is there already: choose another name, folders are not replaced"
        )
    stack = open_image(labels, axes=axes, name=name)
    stack.pixel_size = {a: s for a, s in (pixel_size or {}).items() if a in axes}
    source = LabelSource(stack)
    with (
        explained(path),
        tempfile.TemporaryDirectory(dir=path.parent, prefix=".saving-") as folder,
    ):
        layout = Layout(Path(folder), formats.check_names([kind[0]]))
        work = InputWork(layout.output / "work")
        numbers = numbers_of(source)
        export = Export(
            stack,
            PurePosixPath(_NAME),
            name,
            layout,
            work,
            numbers,
            class_names=["object"],
        )
        export.write(pages_of(source, numbers))
        for one in layout.further:
            fragments = [work.fragment(one.name)]
            place = layout.folder(one.name)
            one.join(Shared(place, fragments, [work.table], ["object"]))
        (layout.output / kind[1].format(_NAME)).replace(path)
        sync_folder(path.parent)
