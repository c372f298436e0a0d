"""Which member of the SAM 2 family a checkpoint is, read from its tensors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam.models.sam1.architecture import Shaped


class Size(Enum):
    """The sizes; their values are what Meta calls them."""

    TINY = "tiny"
    SMALL = "small"
    BASE_PLUS = "base_plus"
    LARGE = "large"


@dataclass(frozen=True, slots=True)
class Architecture:
    """A size of SAM 2 or 2.1.

    Attributes
    ----------
    size : Size
    newer : bool
        It is SAM 2.1, which knows more about objects that come and go in a stack.
    """

    size: Size
    newer: bool

    @property
    def name(self) -> str:
        """What Meta calls it, for example "sam2.1_hiera_tiny"."""
        return f"sam{'2.1' if self.newer else '2'}_hiera_{self.size.value}"


_PATCH = "image_encoder.trunk.patch_embed.proj.weight"
_DECODER = "sam_mask_decoder.iou_token.weight"
_NEWER = "no_obj_embed_spatial"
_BLOCK = re.compile(r"image_encoder\.trunk\.blocks\.(\d+)\.")
# Width of the first stage and number of blocks.
_SIZES = {
    (96, 12): Size.TINY,
    (96, 16): Size.SMALL,
    (112, 24): Size.BASE_PLUS,
    (144, 48): Size.LARGE,
}


def detect(tensors: Mapping[str, Shaped]) -> Architecture | None:
    """Tell which architecture a flat state dict belongs to.

    Parameters
    ----------
    tensors : mapping of str to tensors
        With Meta's names; only the shapes are looked at.

    Returns
    -------
    Architecture or None
        None where this is no SAM 2 model. Whether all tensors are there is for
        `build` to check.
    """
    if _PATCH not in tensors or _DECODER not in tensors:
        return None
    shape = tuple(tensors[_PATCH].shape)
    blocks = {int(found[1]) for name in tensors if (found := _BLOCK.match(name))}
    size = _SIZES.get((shape[0] if shape else 0, len(blocks)))
    return None if size is None else Architecture(size, _NEWER in tensors)
