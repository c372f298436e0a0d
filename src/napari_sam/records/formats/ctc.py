"""The layout of the Cell Tracking Challenge, for objects followed through time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.records import ctc
from napari_sam.records.formats.base import Format, Load, Target

if TYPE_CHECKING:
    from pathlib import Path, PurePosixPath


class Ctc(Format):
    """A folder `01_RES` for each input; it needs all tracks before the first frame."""

    name = "ctc"
    tracks = True

    def places(self, folder: Path, relative: PurePosixPath) -> tuple[Path, ...]:
        """Return the folder of the sequence."""
        return (folder / relative,)

    def finish(self, target: Target, load: Load) -> None:
        """Write the frames and the table of tracks."""
        folder = target.folder / target.relative
        ctc.write_tracks(folder, load, target.numbers, target.stack)
