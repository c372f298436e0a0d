"""Labels that others wrote, as arrays; the other way round is `records.formats`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.images.readers import is_zarr
from napari_sam.records.reading.base import Part, Read
from napari_sam.types import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["TEXTS", "Part", "Read", "can_read", "meant", "parts", "read"]

# Files that stand for the folder in which they lie.
_OF_FOLDERS = ("zarr.json", "prompts.json", "res_track.txt", "man_track.txt")
TEXTS = (".json", ".geojson", ".txt", ".zip", ".roi")


def can_read(path: Path) -> bool:
    """Whether a file or folder may hold labels, as far as its name says; quickly."""
    from napari_sam.records.reading import files, yolo

    path = meant(path)
    if is_zarr(path):
        return files.is_label_zarr(path)
    if path.is_dir():
        return files.is_kept(path) or files.is_ctc(path) or yolo.is_yolo_folder(path)
    name = path.name.lower()
    return name.endswith((*TEXTS, "_masks.tif", "_masks.tiff"))


def meant(path: Path) -> Path:
    """Return the folder that is meant where one of its files is named."""
    return path.parent if path.name in _OF_FOLDERS else path


def read(path: Path, shape: Sequence[int] | None = None) -> list[Read]:
    """Read labels.

    Parameters
    ----------
    path : Path
        A label image, OME-Zarr labels, COCO, a record of SA-1B, GeoJSON, regions of
        ImageJ, YOLO rows or a folder of them, a folder of the Cell Tracking Challenge,
        one that `napari-sam` wrote.
    shape : sequence of int, optional
        Of the image that they belong to, for files that do not say it.

    Raises
    ------
    NapariSamError
        If it cannot be read; in one line.
    """
    from napari_sam.records.reading import coco, files, geojson, roi, yolo

    path = meant(path)
    suffix = path.suffix.lower()
    if not path.exists():
        raise ImageError(f"{path}: there is no such file or folder: check the name")
    if is_zarr(path):
        labelled = files.is_label_zarr(path)
        return files.read_label_zarr(path) if labelled else [files.read_labels(path)]
    if path.is_dir():
        if files.is_kept(path):
            return files.read_kept(path)
        if files.is_ctc(path):
            return [files.read_ctc(path)]
        return yolo.read_yolo_folder(path, shape)
    if suffix == ".geojson":
        return [geojson.read_geojson(path, shape)]
    if suffix in (".zip", ".roi"):
        return [roi.read_rois(path, shape)]
    if suffix == ".txt":
        return [yolo.read_yolo_labels(path, shape)]
    if suffix != ".json":
        return [files.read_labels(path)]
    if files.is_geojson(path):
        return [geojson.read_geojson(path, shape)]
    if files.is_sa1b_record(path):
        return [files.read_record(path)]
    return coco.read_coco(path)


def parts(path: Path) -> list[Part]:
    """Return the images of a file or folder, which are read when they are wanted.

    Raises
    ------
    NapariSamError
        If it cannot be read.
    """
    from napari_sam.records.reading import coco, files

    path = meant(path)
    foreign = path.suffix.lower() == ".json" and path.is_file()
    if foreign and not (files.is_geojson(path) or files.is_sa1b_record(path)):
        return coco.coco_parts(path)
    return [Part("", lambda shape: read(path, shape)[0])]
