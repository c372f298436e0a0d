"""Where the labels of one window lie: in memory, or on the disk where they are large.

What lies on the disk for this is only worked on there. What must not be lost is in the
journal, which is restored into an array of its own.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam.live.disk.keeping import home
from napari_sam.records.ondisk.array import DiskLabels
from napari_sam.records.ondisk.chunks import discard_unused
from napari_sam.records.ondisk.memory import available

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_sam.live.labels.access import LabelArray

# Labels that would take more of the memory that is free are on the disk: the image,
# the models and the viewer want some, too.
SHARE: Final = 0.25
_SUFFIX: Final = ".zarr"


def new_labels(
    shape: Sequence[int],
    *,
    dtype: npt.DTypeLike = np.uint32,
    on_disk: bool = False,
    root: Path | None = None,
) -> LabelArray:
    """Return labels without objects; takes no time.

    Parameters
    ----------
    shape : sequence of int
    dtype : numpy dtype
    on_disk : bool
        Also where there is memory for them.
    root : Path, optional
        The folder of all that we keep, see `keeping.home`.
    """
    if on_disk or too_large(shape, dtype):
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}{_SUFFIX}"
        return DiskLabels(_folder(root) / name, shape, dtype)
    return np.zeros(tuple(shape), dtype)


def too_large(shape: Sequence[int], dtype: npt.DTypeLike = np.uint32) -> bool:
    """Whether such labels would take too much of the memory that is free now."""
    free = available()
    wanted = float(np.prod(shape, dtype=np.float64)) * np.dtype(dtype).itemsize
    return free is not None and wanted > SHARE * free


def tidy(root: Path | None = None) -> None:
    """Remove what windows that are closed have left; not for the thread that draws."""
    discard_unused(_folder(root), _SUFFIX)


def _folder(root: Path | None) -> Path:
    return home(root).parent / "labels"
