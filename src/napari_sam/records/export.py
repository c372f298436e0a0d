"""From finished planes to result files, one plane in memory at a time."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_sam.records import coco, sa1b, tables, yolo
from napari_sam.records.files import atomic_file, explained, write_text
from napari_sam.records.labels import label_dtype, write_labels
from napari_sam.segment.link import Linked
from napari_sam.segment.result import PlaneResult

if TYPE_CHECKING:
    from pathlib import Path, PurePosixPath

    from napari_sam.images import ImageStack
    from napari_sam.records.layout import Layout
    from napari_sam.records.work import InputWork
    from napari_sam.segment.number import Numbers

Planes = Iterator[tuple[PlaneResult, Linked]]
"""Finished planes in the stack's order, with what their ids are in the stack."""

_Sink = Callable[[PlaneResult, Linked], None]


@dataclass(frozen=True, slots=True)
class Export:
    """What the result files of one input need to know.

    Attributes
    ----------
    stack : ImageStack
    relative : PurePosixPath
    image : str
        Name in tables.
    layout : Layout
    work : InputWork
        Where fragments of the shared files go.
    numbers : Numbers
        Of all planes.
    """

    stack: ImageStack
    relative: PurePosixPath
    image: str
    layout: Layout
    work: InputWork
    numbers: Numbers

    def write(self, planes: Planes) -> Path:
        """Write all files of this input; return the label image's path."""
        path = self.layout.labels(self.relative)
        with contextlib.ExitStack() as files:
            sinks = [self._table_sink(files)]
            if "yolo" in self.layout.formats:
                self.layout.remove_yolo(self.relative)
                sinks.append(self._write_yolo)
            if "coco" in self.layout.formats:
                sinks.append(self._coco_sink(files))
            if "sa1b" in self.layout.formats:
                self.layout.remove_sa1b(self.relative)
                sinks.append(self._write_sa1b)
            shown = _feed(planes, sinks)
            dtype = label_dtype(self.numbers.highest_id)
            if not self.stack.label_axes.endswith("YX"):
                shown = self._turned(shown, dtype, files)
            write_labels(
                path,
                shown,
                axes=self.stack.label_axes,
                shape=self.stack.label_shape,
                dtype=dtype,
                pixel_size=self.stack.pixel_size,
            )
        return path

    def _places(self, index: tuple[int, ...]) -> dict[str, int]:
        axes = self.stack.stack_axes.lower()
        return dict(zip(axes, (int(i) for i in index), strict=True))

    def _table_sink(self, files: contextlib.ExitStack) -> _Sink:
        file = files.enter_context(atomic_file(self.work.table))
        names = tables.columns(
            self.stack.stack_axes, self.stack.pixel_size, self.numbers.columns
        )
        writer = tables.TableWriter(file, names)
        files.callback(writer.detach)

        def write(result: PlaneResult, linked: Linked) -> None:
            found = tables.rows(
                result.renumbered(linked).objects,
                image=self.image,
                places=self._places(result.index),
                pixel_size=self.stack.pixel_size,
                truncated=result.truncated,
            )
            writer.add(found)

        return write

    def _coco_sink(self, files: contextlib.ExitStack) -> _Sink:
        file = files.enter_context(atomic_file(self.work.coco))

        def write(result: PlaneResult, linked: Linked) -> None:
            coco.write_plane(
                file,
                image=self.image,
                places=self._places(result.index),
                labels=result.labels,
                plane_ids=result.objects["id"].tolist(),
                objects=result.renumbered(linked).objects,
            )

        return write

    def _write_yolo(self, result: PlaneResult, linked: Linked) -> None:
        path = self.layout.yolo_plane(self.relative, self._places(result.index))
        rows = yolo.yolo_rows(
            result.labels, result.objects["id"].tolist(), result.objects
        )
        text = "".join(f"{row}\n" for row in rows)
        write_text(path, text, durable=False)

    def _write_sa1b(self, result: PlaneResult, linked: Linked) -> None:
        places = self._places(result.index)
        sa1b.write_sa1b(
            self.layout.sa1b_plane(self.relative, places),
            list(sa1b.masks_of(result)),
            self.stack.plane_shape,
            image=self.image,
            clicks=result.clicks,
            ids=linked.ids[result.objects["id"]].tolist(),
            places=places,
        )

    def _turned(
        self,
        planes: Iterator[npt.NDArray[Any]],
        dtype: npt.DTypeLike,
        files: contextlib.ExitStack,
    ) -> Iterator[npt.NDArray[Any]]:
        """Bring planes into a file whose last axes are not Y and X.

        Its pages cut across all planes, so these are collected in a file of
        the size of the whole, not in memory.
        """
        stack = self.stack
        with explained(self.work.folder):
            self.work.folder.mkdir(parents=True, exist_ok=True)
            file = files.enter_context(tempfile.TemporaryFile(dir=self.work.folder))
            _reserve(file.fileno(), stack.label_shape, dtype)
            whole = np.memmap(file, dtype, "r+", shape=stack.label_shape)
        transposed = stack.label_axes.index("X") < stack.label_axes.index("Y")
        for index, plane in zip(stack.indices(), planes, strict=True):
            whole[stack.label_key(index)] = plane.T if transposed else plane
        for place in np.ndindex(*stack.label_shape[:-2]):
            yield whole[place]


def _reserve(file: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
    size = math.prod(shape) * np.dtype(dtype).itemsize
    os.ftruncate(file, size)
    if hasattr(os, "posix_fallocate"):
        # A mapped file that finds the disk full kills the process: ask first.
        os.posix_fallocate(file, 0, size)


def _feed(planes: Planes, sinks: list[_Sink]) -> Iterator[npt.NDArray[Any]]:
    for result, linked in planes:
        for sink in sinks:
            sink(result, linked)
        yield linked.ids[result.labels]
