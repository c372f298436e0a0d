"""Records as in SA-1B, one for each plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.records.formats.base import (
    Format,
    Page,
    Sink,
    Target,
    plane_file,
    remove_planes,
)
from napari_sam.records.sa1b import write_sa1b

if TYPE_CHECKING:
    import contextlib
    from pathlib import Path, PurePosixPath


class Sa1bRecords(Format):
    """A JSON file for each plane. Who learns from it learns of no background.

    So of planes that are not complete the objects that are known are written.
    """

    name = "sa1b"
    training = True
    by_plane = True

    def places(self, folder: Path, relative: PurePosixPath) -> tuple[Path, ...]:
        """Return the file of a single image and the folder of a stack."""
        return plane_file(folder, relative, {}, ".json"), folder / relative

    def remove(self, folder: Path, relative: PurePosixPath) -> None:
        """Remove the records of an earlier run, which may have had other planes."""
        remove_planes(folder, relative, ".json")

    def open(self, target: Target, files: contextlib.ExitStack) -> Sink:
        """Write records as planes come."""

        def write(page: Page) -> None:
            known = page.only_known()
            if known is None:
                return
            write_sa1b(
                target.plane_file(page.index, ".json"),
                list(known.masks()),
                page.labels.shape,
                image=target.image,
                clicks=known.clicks,
                ids=known.objects["id"].tolist(),
                places=target.places(page.index),
            )

        return write
