"""Images with masks beside them, as Cellpose and StarDist train with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tifffile

from napari_sam.records.files import atomic_file
from napari_sam.records.formats.training import MASKS, TrainingFolder
from napari_sam.records.labels import label_dtype

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    import numpy.typing as npt

    from napari_sam.records.formats.base import Page, Target
    from napari_sam.types import IntBox


class _Masks(TrainingFolder):
    def write(self, target: Target, name: str, page: Page, box: IntBox) -> None:
        """Write the pixels as they are, and the ids."""
        (images, end), (masks, mask_end) = self.kinds
        pixels = target.image_stack.read(page.index, box)
        _write(target.folder / images / f"{name}{end}", pixels)
        labels = page.numbered
        highest = int(labels.max(initial=0))
        path = target.folder / masks / f"{name}{mask_end}"
        _write(path, labels.astype(label_dtype(highest)))


class Cellpose(_Masks):
    """One folder: `<name>.tif`, `<name>_masks.tif`."""

    name = "cellpose"
    kinds = (("", ".tif"), ("", f"{MASKS}.tif"))


class StarDist(_Masks):
    """Two folders, `images` and `masks`, with the same names."""

    name = "stardist"
    kinds = (("images", ".tif"), ("masks", ".tif"))


def _write(path: Path, pixels: npt.NDArray[Any]) -> None:
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    colour = channels == 3 and pixels.dtype == np.uint8
    axes = "YX" if channels == 1 else "YXS" if colour else "CYX"
    if axes == "CYX":
        pixels = np.moveaxis(pixels, -1, 0)
    with atomic_file(path, durable=False) as file:
        tifffile.imwrite(
            file,
            np.ascontiguousarray(pixels),
            photometric="rgb" if colour else "minisblack",
            planarconfig="contig" if colour else None,
            compression="zlib",
            metadata={"axes": axes},
        )
