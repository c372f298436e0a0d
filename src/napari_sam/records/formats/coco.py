"""COCO annotations, with masks as run-lengths or, where they can be, as polygons."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from napari_sam.records import coco
from napari_sam.records.files import atomic_file
from napari_sam.records.formats.base import Format, Page, Shared, Sink, Target

if TYPE_CHECKING:
    import contextlib
    from pathlib import Path


class Coco(Format):
    """One file for all inputs."""

    name = "coco"
    training = True
    polygons: ClassVar[bool] = False

    def shared(self, folder: Path) -> tuple[Path, ...]:
        """Return the annotation file."""
        return (folder / "annotations.json",)

    def open(self, target: Target, files: contextlib.ExitStack) -> Sink:
        """Write the lines of this input."""
        file = files.enter_context(atomic_file(target.fragment, durable=False))

        def write(page: Page) -> None:
            known = page.only_known()
            if known is not None:
                coco.write_plane(
                    file,
                    known,
                    image=target.image,
                    places=target.places(page.index),
                    polygons=self.polygons,
                )

        return write

    def join(self, shared: Shared) -> None:
        """Put the lines of all inputs together."""
        (path,) = self.shared(shared.folder)
        coco.join_fragments(path, shared.fragments, shared.class_names)


class CocoPolygons(Coco):
    """The same with polygons; an object with a hole stays a run-length mask."""

    name = "coco-polygons"
    polygons = True
