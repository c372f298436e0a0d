"""YOLO rows beside nothing else: what `auto_annotate` of ultralytics writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.records.files import write_text
from napari_sam.records.formats.base import (
    Format,
    Page,
    Shared,
    Sink,
    Target,
    plane_file,
    remove_planes,
)
from napari_sam.records.yolo import write_classes, yolo_rows

if TYPE_CHECKING:
    import contextlib
    from pathlib import Path, PurePosixPath


class YoloRows(Format):
    """A text file for each plane; there is no image in it."""

    name = "yolo"
    training = True
    by_plane = True

    def places(self, folder: Path, relative: PurePosixPath) -> tuple[Path, ...]:
        """Return the file of a single image and the folder of a stack."""
        return plane_file(folder, relative, {}, ".txt"), folder / relative

    def remove(self, folder: Path, relative: PurePosixPath) -> None:
        """Remove the rows of an earlier run, which may have had other planes."""
        remove_planes(folder, relative, ".txt")

    def open(self, target: Target, files: contextlib.ExitStack) -> Sink:
        """Write rows as planes come."""

        def write(page: Page) -> None:
            if page.known is not None:
                return  # without the image there is nothing to crop
            rows = yolo_rows(page.labels, page.values.tolist(), page.objects)
            text = "".join(f"{row}\n" for row in rows)
            path = target.plane_file(page.index, ".txt")
            write_text(path, text, durable=False)

        return write

    def join(self, shared: Shared) -> None:
        """Write the names of the classes."""
        write_classes(shared.folder / "classes.yaml", shared.class_names)
