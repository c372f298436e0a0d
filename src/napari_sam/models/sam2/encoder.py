"""The image encoder: a plane's pixels in, features at three resolutions out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_sam.models.lane import checkpoint
from napari_sam.models.sam1.geometry import INPUT

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_MEAN = (0.485, 0.456, 0.406)  # of ImageNet, white is 1
_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What the encoder makes of a plane; 16 MB.

    Attributes
    ----------
    top : float32 Tensor, shape (1, 256, 64, 64)
    low : float32 Tensor, shape (1, 64, 128, 128)
    high : float32 Tensor, shape (1, 32, 256, 256)
        Finer maps, projected for the decoder.
    """

    top: Tensor
    low: Tensor
    high: Tensor


class ImageEncoder:
    """Run the encoder in steps that can be interrupted.

    Parameters
    ----------
    network : nn.Module
        From `build`.
    device : torch.device
        Where the network is.
    """

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self._network: Any = network
        self._device = device
        self._mean = torch.tensor(_MEAN, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(_STD, device=device).view(1, 3, 1, 1)
        for block in network.get_submodule("image_encoder.trunk.blocks").children():
            block.register_forward_pre_hook(_between)

    @torch.inference_mode()
    def __call__(self, pixels: npt.NDArray[np.uint8]) -> Features:
        """Encode a plane's pixels (H, W, 3), RGB."""
        image = torch.tensor(pixels, device=self._device).permute(2, 0, 1)[None]
        square = F.interpolate(
            image.float() / 255, (INPUT, INPUT), mode="bilinear", antialias=True
        )
        found = self._network.forward_image((square - self._mean) / self._std)
        high, low, top = found["backbone_fpn"]
        return Features(top, low, high)


def _between(block: nn.Module, arguments: Any) -> None:
    """Let a more urgent request run, or end here if nobody waits any more."""
    checkpoint()
