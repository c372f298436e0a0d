"""From finished planes to result files, one plane in memory at a time."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_sam.records import tables
from napari_sam.records.files import atomic_file, explained
from napari_sam.records.formats import TIFF
from napari_sam.records.formats.base import Target
from napari_sam.records.labels import label_dtype, write_labels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import PurePosixPath

    from napari_sam.images import ImageStack, Normalization
    from napari_sam.records.formats.base import Format, Load, Page, Sink
    from napari_sam.records.layout import Layout
    from napari_sam.records.work import InputWork
    from napari_sam.segment.number import Numbers


@dataclass(frozen=True, slots=True)
class Export:
    """What the result files of one input need to know.

    Attributes
    ----------
    stack : ImageStack
        Of the image, or of its labels: what the axes are.
    relative : PurePosixPath
    image : str
        Name in tables.
    layout : Layout
    work : InputWork
        Where fragments of the shared files go.
    numbers : Numbers
        Of all planes.
    pixels : ImageStack, optional
        The image.
    class_names : sequence of str
    contrast : Normalization, optional
        How the image becomes eight bits.
    """

    stack: ImageStack
    relative: PurePosixPath
    image: str
    layout: Layout
    work: InputWork
    numbers: Numbers
    pixels: ImageStack | None = None
    class_names: Sequence[str] = ()
    contrast: Normalization | None = None

    def write(self, pages: Iterator[Page]) -> None:
        """Write all files of this input; pages come in the stack's order."""
        with contextlib.ExitStack() as files:
            sinks = [self._table_sink(files)]
            for one in self.layout.further:
                one.remove(self.layout.folder(one.name), self.relative)
                sink = one.open(self._target(one), files)
                if sink is not None:
                    sinks.append(sink)
            shown = _feed(pages, sinks)
            if TIFF in self.layout.formats:
                self._write_labels(shown, files)
            else:
                for _ in shown:
                    pass

    def finish(self, load: Load) -> None:
        """Write what needs all planes again; `load` gives their labels."""
        for one in self.layout.further:
            one.finish(self._target(one), load)

    def _target(self, one: Format) -> Target:
        return Target(
            self.layout.folder(one.name),
            self.relative,
            self.image,
            self.stack,
            self.pixels,
            self.numbers,
            self.class_names,
            self.work.fragment(one.name),
            self.contrast,
        )

    def _write_labels(
        self, shown: Iterator[npt.NDArray[Any]], files: contextlib.ExitStack
    ) -> None:
        dtype = label_dtype(self.numbers.highest_id)
        if not self.stack.label_axes.endswith("YX"):
            shown = self._turned(shown, dtype, files)
        write_labels(
            self.layout.labels(self.relative),
            shown,
            axes=self.stack.label_axes,
            shape=self.stack.label_shape,
            dtype=dtype,
            pixel_size=self.stack.pixel_size,
        )

    def _table_sink(self, files: contextlib.ExitStack) -> Sink:
        file = files.enter_context(atomic_file(self.work.table, durable=False))
        axes = self.stack.stack_axes.lower()
        names = tables.columns(
            self.stack.stack_axes, self.stack.pixel_size, self.numbers.columns
        )
        writer = tables.TableWriter(file, names)
        files.callback(writer.detach)

        def write(page: Page) -> None:
            found = tables.rows(
                page.objects,
                image=self.image,
                places=dict(zip(axes, (int(i) for i in page.index), strict=True)),
                pixel_size=self.stack.pixel_size,
                truncated=page.truncated,
            )
            writer.add(found)

        return write

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


def _feed(pages: Iterator[Page], sinks: list[Sink]) -> Iterator[npt.NDArray[Any]]:
    for page in pages:
        for sink in sinks:
            sink(page)
        yield page.numbered
