"""µSAM's instance decoder: from SAM's features to foreground and two distances.

Archit et al. 2025, "Segment Anything for Microscopy". The network is the decoder of
torch-em's `UNETR` as micro-sam builds it: convolutions that go from SAM's 64 × 64
features to 1024 × 1024 twice, once with a shortcut at every scale. The names of the
modules are those of the tensors in its checkpoints.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_sam.models.lane import checkpoint
from napari_sam.models.sam1.build import load

if TYPE_CHECKING:
    from collections.abc import Mapping

CHANNELS: Final = 3  # foreground, distance to the centre, distance to the outline
_EMBEDDING = 256  # channels of SAM's features
_ENCODER = "encoder."  # some files carry it a second time
_WIDTH = "out_conv.weight"  # (CHANNELS, features of the finest level, 1, 1)
_SAMPLERS = "decoder.samplers."


class InstanceDecoder(nn.Module):
    """Tells for every pixel whether it is an object's, and how far from its middle.

    Parameters
    ----------
    width : int
        Features of the finest level.
    transposed : bool
        Enlarge with transposed convolutions instead of interpolation.
    """

    def __init__(self, width: int = 64, *, transposed: bool = False) -> None:
        super().__init__()
        enlarge = _Transposed if transposed else _Enlarge
        levels = [width * 8, width * 4, width * 2, width]
        inputs = [_EMBEDDING, *levels[:-1]]
        self.base = _Convolutions(_EMBEDDING, levels[0])
        self.deconv1, self.deconv2, self.deconv3, self.deconv4 = (
            _Shortcut(enlarge, before, after)
            for before, after in zip(inputs, levels, strict=True)
        )
        self.decoder = nn.Module()
        pairs = list(pairwise(levels))
        self.decoder.samplers = nn.ModuleList(enlarge(*pair) for pair in pairs)
        self.decoder.blocks = nn.ModuleList(_Convolutions(*pair) for pair in pairs)
        self.deconv_out = enlarge(width, width)
        self.decoder_head = _Convolutions(2 * width, width)
        self.out_conv = nn.Conv2d(width, CHANNELS, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Decode features (1, 256, h, w) to (1, 3, 16 h, 16 w), each from 0 to 1."""
        at, shortcuts = features, []
        for shortcut in (self.deconv1, self.deconv2, self.deconv3, self.deconv4):
            checkpoint()
            at = shortcut(at)
            shortcuts.append(at)
        found = self.base(features)
        parts: Any = self.decoder
        for enlarge, block, beside in zip(
            parts.samplers, parts.blocks, shortcuts, strict=False
        ):
            checkpoint()
            found = enlarge(found)
            found = block(torch.cat([found, _middle(beside, found.shape[1])], 1))
        checkpoint()
        found = torch.cat([self.deconv_out(found), shortcuts[-1]], 1)
        answer: Tensor = self.out_conv(self.decoder_head(found)).sigmoid()
        return answer


def _middle(maps: Tensor, channels: int) -> Tensor:
    """Return channels from the middle: torch-em crops them as it does pixels."""
    first = (maps.shape[1] - channels) // 2
    return maps[:, first : first + channels]


class _Enlarge(nn.Module):
    """Twice the size, by interpolation, and a mixture of the channels.

    The channels are mixed first: it is the same, and a quarter of the work.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, 1)

    def forward(self, maps: Tensor) -> Tensor:
        return F.interpolate(self.conv(maps), scale_factor=2, mode="bilinear")


class _Transposed(nn.Module):
    """Twice the size, by a transposed convolution."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.block = nn.ConvTranspose2d(before, after, 2, 2)

    def forward(self, maps: Tensor) -> Tensor:
        enlarged: Tensor = self.block(maps)
        return enlarged


class _Named(nn.Module):
    """A convolution that the checkpoints call `block`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        found: Tensor = self.block(maps)
        return found


class _Shortcut(nn.Module):
    def __init__(self, enlarge: type[nn.Module], before: int, after: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            enlarge(before, after),
            _Named(after),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        )

    def forward(self, maps: Tensor) -> Tensor:
        found: Tensor = self.block(maps)
        return found


class _Convolutions(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.InstanceNorm2d(before),
            nn.Conv2d(before, after, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.InstanceNorm2d(after),
            nn.Conv2d(after, after, 3, padding=1),
            nn.ReLU(inplace=True),
        )

    def forward(self, maps: Tensor) -> Tensor:
        found: Tensor = self.block(maps)
        return found


def build_instances(
    tensors: Mapping[str, Tensor], *, source: str = ""
) -> InstanceDecoder:
    """Build the decoder and give it its weights.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        micro-sam's `decoder_state`, of any float dtype.
    source : str
        What errors call the checkpoint: its path.

    Returns
    -------
    InstanceDecoder
        float32, for evaluation, without gradients.

    Raises
    ------
    ModelError
        If a tensor is missing, has another shape, or is not part of the network.
    """
    own = {k: t for k, t in tensors.items() if not k.startswith(_ENCODER)}
    transposed = any(k.startswith(_SAMPLERS) and ".block." in k for k in own)
    shape = own[_WIDTH].shape if _WIDTH in own else (CHANNELS, 64, 1, 1)
    with torch.device("meta"):
        network = InstanceDecoder(shape[1], transposed=transposed)
    where = f"{source}: " if source else ""
    load(network, own, what=f"{where}this looks like SAM 1 with µSAM's decoder")
    return network
