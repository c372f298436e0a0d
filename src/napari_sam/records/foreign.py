"""Labels in files of other programs, as sources of `napari-sam export`."""

from __future__ import annotations

import glob
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam.images import ImageStack, find_inputs, open_image, stem_of
from napari_sam.images.inputs import SUFFIXES
from napari_sam.images.readers import is_zarr
from napari_sam.records.formats.training import MASKS
from napari_sam.records.reading import TEXTS, files, meant, parts, yolo
from napari_sam.records.sources import NO_CLASS, LabelSource, Source, find_sources
from napari_sam.types import ImageError, NapariSamError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from napari_sam.models.given.rows import Row
    from napari_sam.records.reading import Read

_ABSOLUTE: Final = re.compile(r"[\\/]|[A-Za-z]:|\w+://")


def find_labels(given: Sequence[str | Path], *, complete: bool) -> list[Source]:
    """Find the labels that files and folders stand for, whoever wrote them.

    In a folder label images come first; one without any is searched for files of other
    programs.

    Parameters
    ----------
    given : sequence of str or Path
        As for `find_sources`, and what `records.reading` can read.
    complete : bool
        As for `find_sources`.

    Raises
    ------
    NapariSamError
        As for `find_sources`.
    """
    found: dict[tuple[Path, str], Source] = {}
    for one in given:
        path = meant(Path(one))
        sources = list(_others(path)) or find_sources([path], complete=complete)
        for source in sources:
            # What two patterns name is taken once, as with images.
            found.setdefault((source.path.resolve(), source.image), source)
    return list(found.values())


def _others(path: Path) -> Iterator[Source]:
    """Yield what is no plain label image; nothing where that is all there is."""
    if is_zarr(path):
        yield from _zarr_group(path)
    elif path.is_file():
        if path.suffix.lower() in TEXTS:
            yield from _of_file(path, path.parent)
    elif path.is_dir():
        yield from _in_folder(path)
    elif glob.has_magic(str(path)):
        for name in sorted(glob.glob(str(path), recursive=True)):
            match = Path(name)
            if match.is_file() and match.suffix.lower() in TEXTS:
                yield from _of_file(match, match.parent)


def _in_folder(folder: Path) -> Iterator[Source]:
    if files.is_kept(folder):
        return
    if files.is_ctc(folder):
        yield from _of_file(folder, folder.parent)
        return
    rows = folder / "labels"
    if rows.is_dir() and yolo.is_yolo_folder(folder):
        for path in yolo.row_files(folder):
            yield from _of_file(path, rows)
        return
    images = [item for item in find_inputs([folder]) if item.error is None]
    masks = [item for item in images if item.relative.name.endswith(MASKS)]
    for item in masks:  # images lie beside them
        name = item.relative.name.removesuffix(MASKS)
        yield Source(item.path, item.relative.with_name(name))
    if not images:
        for path in sorted(folder.rglob("*")):
            hidden = any(
                part.startswith(".") for part in path.relative_to(folder).parts
            )
            named = path.suffix.lower() in TEXTS and path.name not in yolo.NO_ROWS
            if named and not hidden and path.is_file():
                yield from _of_file(path, folder)


def _zarr_group(path: Path) -> Iterator[Source]:
    """Yield the labels of an OME-Zarr folder `labels`; one alone is an image."""
    for name in files.label_names(path):
        for item in find_inputs([path / name]):
            error = "" if item.error is None else str(item.error)
            yield Source(item.path, item.relative, error=error)


def _of_file(path: Path, root: Path) -> Iterator[Source]:
    folder = PurePosixPath(*path.parent.relative_to(root).parts)
    plain = Path(path.name if path.is_dir() else stem_of(path))
    if plain.suffix.lower() in SUFFIXES:  # QuPath calls its file a.tif.geojson
        plain = Path(stem_of(plain))
    own = folder / plain.name
    try:
        for part in parts(path):
            name = _place(part.image)
            relative = own if name is None else name.with_name(stem_of(name))
            yield Source(path, relative, load=part.load, image=str(name or own))
    except NapariSamError as error:
        yield Source(path, own, error=str(error))


def _place(name: str) -> PurePosixPath | None:
    """Return what a file calls an image, as a place that is never outside of ours."""
    steps = [step for step in re.split(r"[\\/]", name) if step not in ("", ".", "..")]
    if not steps:
        return None
    return PurePosixPath(*(steps[-1:] if _ABSOLUTE.match(name) else steps))


def drawn(
    source: Source,
    classes: list[str],
    image: ImageStack | None,
    *,
    complete: bool = False,
) -> tuple[LabelSource, tuple[str, ...]]:
    """Read labels of another program.

    Parameters
    ----------
    source : Source
        With `load`.
    classes : list of str
        Those that are known; the file's are added. Classes of one name are one.
    image : ImageStack, optional
        The image that they belong to.
    complete : bool
        The labels are the truth everywhere.

    Returns
    -------
    LabelSource
    notes : tuple of str
        What a person should know.

    Raises
    ------
    NapariSamError
        If they cannot be read, nobody knows how large the image is, or they do not lie
        on it.
    """
    assert source.load is not None
    shape = None if image is None else (*image.stack_shape, *image.plane_shape)
    read = source.load(shape)
    if read.fitted and image is None:
        raise ImageError(
            f"{source.path}: it does not say how large its image is: say where the "
            "image is with --images"
        )
    order = read.axes if image is None else f"{image.stack_axes}YX"
    axes = read.axes
    if len(axes) == len(order) == 3:
        axes = order  # many programs have only one kind of stack
    same = sorted(axes) == sorted(order)
    turn = [axes.index(axis) for axis in order] if same else list(range(len(axes)))
    labels = read.labels.transpose(turn)
    if image is not None and labels.shape != shape:
        raise ImageError(
            f"{source.path}: its labels have the shape {read.labels.shape}, its image "
            f"{image.path} has {shape} without channels: they must be the same"
        )
    axes = order if same else axes
    stack = open_image(labels, axes=axes, name=source.image)
    stack.pixel_size = {a: s for a, s in read.pixel_size.items() if a in axes}
    known = None
    if read.known is not None and not complete:
        known = open_image(read.known.transpose(turn), axes=axes, name=source.image)
    rows = _rows(read, classes)
    planes = dict.fromkeys(stack.indices(), rows)
    parents = "parent" in read.features
    made = LabelSource(stack, classes, known=known, rows=planes, parents=parents)
    return made, read.notes


def _rows(read: Read, classes: list[str]) -> list[Row]:
    """Return what is known about each object, as a table has it."""
    for name in read.class_names:
        _number(name, classes)
    about = read.features
    usual = read.class_names[0] if len(read.class_names) == 1 else ""
    places = {int(label): row for row, label in enumerate(about.get("index", ()))}
    rows = []
    for label in _ids(read.labels):
        row = {"id": str(label)}
        name = usual
        if label in places:
            known = {key: about[key][places[label]] for key in about}
            name = known.get("class_name", usual)
            row |= {key: str(known[key]) for key in ("parent", "score") if key in known}
        rows.append({**row, "class_id": str(_number(name, classes))})
    return rows


def _ids(labels: npt.NDArray[Any]) -> list[int]:
    planes = labels.reshape(-1, *labels.shape[-2:])
    found = {int(label) for plane in planes for label in np.unique(plane)}
    return sorted(found - {0})


def _number(name: str, classes: list[str]) -> int:
    plain = name or NO_CLASS
    if plain not in classes:
        classes.append(plain)
    return classes.index(plain)
