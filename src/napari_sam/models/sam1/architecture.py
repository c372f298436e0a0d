"""Which member of the SAM 1 family a checkpoint is, read from its tensors."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Shaped(Protocol):
    """Anything with a shape: a tensor, an array, an entry of a file's header."""

    @property
    def shape(self) -> Sequence[int]:
        """Size along each axis."""


class Architecture(Enum):
    """The members of the family; their values are Meta's and MobileSAM's names."""

    VIT_B = "vit_b"
    VIT_L = "vit_l"
    VIT_H = "vit_h"
    VIT_T = "vit_t"


_VIT = "image_encoder.patch_embed.proj.weight"
_TINY_VIT = "image_encoder.patch_embed.seq.0.c.weight"
_DECODER = "mask_decoder.iou_token.weight"
_PATCH = 16
_VITS = {
    768: Architecture.VIT_B,
    1024: Architecture.VIT_L,
    1280: Architecture.VIT_H,
}
_TINY_WIDTH = 32


def detect(tensors: Mapping[str, Shaped]) -> Architecture | None:
    """Tell which architecture a flat state dict belongs to.

    File names say nothing: "sam_vit_b_01ec64.pth", "sam_b.pt" and "vit_b_lm.pt"
    are all the same network.

    Parameters
    ----------
    tensors : mapping of str to tensors
        With Meta's names, for example "mask_decoder.iou_token.weight"; only
        the shapes are looked at.

    Returns
    -------
    Architecture or None
        None where this is no SAM 1 model. Whether all tensors are there is for
        `build` to check.
    """
    if _DECODER not in tensors:
        return None
    if _VIT in tensors:
        shape = tuple(tensors[_VIT].shape)
        fits = len(shape) == 4 and shape[1:] == (3, _PATCH, _PATCH)
        return _VITS.get(shape[0]) if fits else None
    if _TINY_VIT in tensors:
        shape = tuple(tensors[_TINY_VIT].shape)
        return Architecture.VIT_T if shape == (_TINY_WIDTH, 3, 3, 3) else None
    return None
