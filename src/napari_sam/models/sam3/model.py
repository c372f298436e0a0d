"""SAM 3 behind the protocol that every promptable model answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from napari_sam.models.sam1.geometry import Frame
from napari_sam.models.sam2.encoder import ImageEncoder
from napari_sam.models.sam2.planes import Sam2Planes
from napari_sam.models.sam3.vision import accelerate

if TYPE_CHECKING:
    import torch
    from torch import nn

SIDE: Final = 1008  # of the encoder's input
LOW: Final = 288  # of the low-resolution masks
_GREY: Final = (0.5, 0.5, 0.5)  # mean and deviation; white is 1
BLOCKS: Final = "vision_backbone.trunk.blocks"


class Sam3Model(Sam2Planes):
    """SAM 3 for clicks, boxes and masks on planes; see `Sam2Planes`."""

    def frame(self, shape: tuple[int, int]) -> Frame:
        """Return how a plane of this shape lies in the model's input."""
        return Frame.stretched(shape, SIDE, LOW)

    def _encoder_of(self, network: nn.Module, device: torch.device) -> ImageEncoder:
        accelerate(network)
        return ImageEncoder(
            network,
            device,
            blocks=f"image_encoder.{BLOCKS}",
            side=SIDE,
            mean=_GREY,
            deviation=_GREY,
        )
