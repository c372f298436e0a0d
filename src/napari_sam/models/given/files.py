"""Boxes or labels from files, each input's own found by its name."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from napari_sam.images import find_inputs
from napari_sam.images.inputs import SUFFIXES
from napari_sam.models.given.detector import (
    NAMES,
    GivenDetector,
    Index,
)
from napari_sam.models.given.labels import from_file
from napari_sam.models.given.rows import BoxTable, read_yolo, yolo_names
from napari_sam.models.given.sa1b import is_sa1b, read_sa1b
from napari_sam.models.protocol import ModelInfo
from napari_sam.types import Detections, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam.images import ImageStack, Plane

Kind = Literal["table", "rows", "records", "labels"]
_NO_OBJECTS = ("classes.txt", "zarr.json")


def is_given(path: Path) -> bool:
    """Tell whether a file or folder can hold boxes or labels."""
    suffix = path.suffix.lower()
    return path.is_dir() or suffix in (".txt", ".csv", ".json", *SUFFIXES)


class GivenFiles:
    """The user's own boxes or labels in files, as a detector.

    Parameters
    ----------
    path : Path
        One of

        - a table like `objects.csv`: its `image` says which input a row belongs
          to; without that column the rows belong to every input;
        - YOLO rows: one `.txt`, or a folder with `<input>.txt`; for a stack a
          folder `<input>` with one file per plane, `t0002_z0010.txt`;
        - records in SA-1B's format: as YOLO rows, but `.json`;
        - labels: one image, or a folder with `<input>.tif`;
        - a folder that `annotate` wrote.

        In folders `<input>` is the input's relative path without its suffix.
    conf, max_det, classes
        See `GivenDetector`.

    Raises
    ------
    ModelError
        If nothing of this is there.
    """

    def __init__(
        self,
        path: Path,
        *,
        conf: float = 0.0,
        max_det: int | None = None,
        classes: Sequence[int] | None = None,
    ) -> None:
        self._path = path
        self._conf, self._max_det, self._classes = conf, max_det, classes
        self._table: BoxTable | None = None
        self._kind, self._files = self._look()
        self._info = ModelInfo(path.name, "", self._stamp(), "cpu")
        self._names = self._find_names()

    @property
    def info(self) -> ModelInfo:
        """The file or folder; its hash changes when a file in it does."""
        return self._info

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in all files."""
        return self._names

    def detect(self, planes: Sequence[Plane]) -> list[Detections]:
        """Refuse: which objects are meant depends on the input.

        Raises
        ------
        ModelError
            Always; `for_input` returns the detector to ask.
        """
        raise ModelError(
            f"{self._path}: objects from files belong to an image: annotate a file, or "
            "use GivenDetector for arrays"
        )

    def for_input(self, relative: str, stack: ImageStack) -> GivenDetector:
        """Return the detector for one input.

        Parameters
        ----------
        relative : str
            The input's relative path without suffix, "/" between folders.
        stack : ImageStack
            The opened input.

        Raises
        ------
        ModelError
            If there is nothing for this input, or it does not fit.
        """
        find: Callable[[Index], Detections]
        if self._kind == "labels":
            find = self._labels(relative, stack)
        elif self._kind == "records":
            find = self._per_plane(relative, stack, "records", _read_record)
        elif self._table is None:
            find = self._per_plane(relative, stack, "YOLO rows", read_yolo)
        else:
            find = self._table.finder(relative, stack.stack_axes)
        return GivenDetector.reading(
            find,
            conf=self._conf,
            max_det=self._max_det,
            classes=self._classes,
            class_names=self._names,
            info=self._info,
        )

    def _look(self) -> tuple[Kind, dict[str, Path]]:
        """Find out what is there; files by relative path without suffix."""
        path = self._path
        if not path.exists():
            raise ModelError(f"{path}: there is no such file or folder: check the path")
        suffix = path.suffix.lower()
        if path.is_file() and suffix == ".csv":
            self._table = BoxTable(path)
            return "table", {}
        if path.is_file():
            kinds: dict[str, Kind] = {".txt": "rows", ".json": "records"}
            return kinds.get(suffix, "labels"), {"": path}
        if (path / "labels").is_dir() and (path / "objects.csv").is_file():
            self._table = BoxTable(path / "objects.csv")
            return "labels", _images(path / "labels")
        if rows := _texts(path, ".txt"):
            return "rows", rows
        records = _texts(path, ".json")
        if records and is_sa1b(next(iter(records.values()))):
            return "records", records
        if images := _images(path):
            return "labels", images
        raise ModelError(
            f"{path}: there are neither YOLO rows (.txt), SA-1B records (.json) nor "
            "labels (.tif) in this folder: check the path"
        )

    def _stamp(self) -> str:
        """Return a hash of names, sizes and times: labels can be gigabytes."""
        files = [self._path] if self._path.is_file() else list(self._files.values())
        if self._table is not None:
            files.append(self._table.path)
        digest = hashlib.sha256()
        for file in files:
            about = file.stat()
            place = file.relative_to(self._path.parent).as_posix()
            digest.update(f"{place} {about.st_size} {about.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def _find_names(self) -> tuple[str, ...]:
        if self._table is not None:
            return self._table.class_names
        if self._kind == "rows":
            folder = self._path if self._path.is_dir() else self._path.parent
            return yolo_names(folder, list(self._files.values()))
        return NAMES

    def _file(self, name: str, what: str) -> Path:
        single = self._files.get("")
        if single is not None:
            return single
        if name not in self._files:
            raise ModelError(
                f"{self._path / name}: there are no {what} for this image: an image "
                "without objects needs them too, empty"
            )
        return self._files[name]

    def _per_plane(
        self,
        relative: str,
        stack: ImageStack,
        what: str,
        read: Callable[[Path, tuple[int, int]], Detections],
    ) -> Callable[[Index], Detections]:
        axes = stack.stack_axes.lower()
        if axes and "" in self._files:
            raise ModelError(
                f"{self._path}: one file of {what} cannot describe a stack of "
                f"{len(stack)} planes: give a folder with a file for each"
            )

        def find(index: Index) -> Detections:
            place = "_".join(f"{a}{i:04d}" for a, i in zip(axes, index, strict=True))
            name = f"{relative}/{place}" if place else relative
            return read(self._file(name, what), stack.plane_shape)

        if not axes:
            find(())  # says now what is wrong with it
        return find

    def _labels(
        self, relative: str, stack: ImageStack
    ) -> Callable[[Index], Detections]:
        path, table = self._file(relative, "labels"), self._table
        if table is None or "id" not in table.columns:
            return from_file(path, stack, {})
        planes = table.of(relative, stack.stack_axes)
        classes = {index: table.classes(rows) for index, rows in planes.items()}
        return from_file(path, stack, classes)


def _texts(folder: Path, suffix: str) -> dict[str, Path]:
    return {
        str(PurePosixPath(*file.relative_to(folder).parts).with_suffix("")): file
        for file in sorted(folder.rglob(f"*{suffix}"))
        if file.name not in _NO_OBJECTS
    }


def _read_record(path: Path, shape: tuple[int, int]) -> Detections:
    return read_sa1b(path, shape).detections()


def _images(folder: Path) -> dict[str, Path]:
    found = find_inputs([folder])
    return {str(item.relative): item.path for item in found if item.error is None}
