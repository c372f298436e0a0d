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

    Colour = tuple[float, float, float]

_MEAN = (0.485, 0.456, 0.406)  # of ImageNet, white is 1
_STD = (0.229, 0.224, 0.225)
_BLOCKS = "image_encoder.trunk.blocks"


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What the encoder makes of a plane; 16 MB, of SAM 3 21 MB.

    Attributes
    ----------
    top : float32 Tensor, shape (1, 256, n, n)
        n is 64, of SAM 3 72.
    low : float32 Tensor, shape (1, 64, 2 n, 2 n)
    high : float32 Tensor, shape (1, 32, 4 n, 4 n)
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
    blocks : str
        Where in the network the encoder's blocks are.
    side : int
        Of the square to which planes are stretched.
    mean, deviation : tuple of float
        Of the colours that it was trained with; white is 1.
    """

    def __init__(
        self,
        network: nn.Module,
        device: torch.device,
        *,
        blocks: str = _BLOCKS,
        side: int = INPUT,
        mean: Colour = _MEAN,
        deviation: Colour = _STD,
    ) -> None:
        self._network: Any = network
        self._device, self.side = device, side
        self._mean = torch.tensor(mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(deviation, device=device).view(1, 3, 1, 1)
        for block in network.get_submodule(blocks).children():
            block.register_forward_pre_hook(_between)

    @torch.inference_mode()
    def __call__(self, pixels: npt.NDArray[np.uint8]) -> Features:
        """Encode a plane's pixels (H, W, 3), RGB."""
        image = torch.tensor(pixels, device=self._device).permute(2, 0, 1)[None]
        square = F.interpolate(
            image.float() / 255,
            (self.side, self.side),
            mode="bilinear",
            antialias=True,
        )
        found = self._network.forward_image((square - self._mean) / self._std)
        high, low, top = found["backbone_fpn"]
        return Features(top, low, high)


def _between(block: nn.Module, arguments: Any) -> None:
    """Let a more urgent request run, or end here if nobody waits any more."""
    checkpoint()
