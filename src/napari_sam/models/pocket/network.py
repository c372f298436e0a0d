"""The pocket network: encoder, dense head and region decoder.

Everything is convolutional. The decoder looks at one square region for each
prompt, so a prompt's place reaches the mask directly and not only through
attention: that is what made it learn within hours on a laptop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_sam.models.pocket.backbone import OUTPUTS, Backbone, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION = 64  # mask samples along one side of a region
PROMPT_MAPS = 6  # foreground, background, box, has box, mask, has mask
STRIDE = 4  # of the dense head and of the coarse features
_COARSE, _FINE, _WIDTH, _NARROW = 64, 32, 48, 24


@dataclass(slots=True)
class Features:
    """What the encoder makes of N images.

    Attributes
    ----------
    coarse : (N, 48, H/4, W/4)
    fine : (N, 24, H/2, W/2)
    dense : (N, 6, H/4, W/4)
        Centre-ness logit, foreground logit, and the logarithms of the
        distances (pixels) from the cell's centre to the object's top, left,
        bottom and right side.
    pixels : uint8, (N, H, W, 3)
        The images themselves: an outline is finer than any map.
    zoom : float
        How many times the images were enlarged before; H and W are of the enlarged
        ones, and so are the distances.
    """

    coarse: Tensor
    fine: Tensor
    dense: Tensor
    pixels: Tensor
    zoom: float = 1.0


def _conv(inputs: int, outputs: int, kernel: int = 3, dilation: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(
            inputs,
            outputs,
            kernel,
            padding=dilation * (kernel // 2),
            dilation=dilation,
            bias=False,
        ),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Encoder(nn.Module):
    """Backbone, feature pyramid (Lin et al. 2017, arXiv:1612.03144), dense head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        half, *channels = OUTPUTS.values()
        self.lateral = nn.ModuleList(nn.Conv2d(c, _COARSE, 1) for c in channels)
        self.smooth = nn.ModuleList(_conv(_COARSE, _COARSE) for _ in channels)
        self.lateral_half = nn.Conv2d(half, _FINE, 1)
        self.to_half = nn.Conv2d(_COARSE, _FINE, 1)
        self.smooth_half = _conv(_FINE, _FINE)
        # The head sees the finer map too: sides are to be told to less than a cell.
        self.detail = _silent(nn.Conv2d(_FINE, _COARSE, 4, stride=2, padding=1))
        self.head = nn.Sequential(
            _conv(_COARSE, _COARSE), _conv(_COARSE, _COARSE, dilation=2)
        )
        self.read = nn.Conv2d(_COARSE, 6, 1)
        with torch.no_grad():
            # A rare peak, an even chance of foreground, sides 8 pixels away.
            bias = torch.tensor([-2.0, 0.0, 2.1, 2.1, 2.1, 2.1])
            self.read.bias = nn.Parameter(bias)

    def parts(self) -> Iterator[nn.Module]:
        """Yield the parts between which encoding can be interrupted."""
        for stage in self.backbone.stages:
            yield from stage.children()
        yield from self.smooth
        yield self.smooth_half
        yield from self.head.children()

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode uint8 pixels (N, 3, H, W); H and W are multiples of 32.

        Returns
        -------
        coarse (N, 64, H/4, W/4), fine (N, 32, H/2, W/2), dense (N, 6, H/4, W/4)
        """
        x = prepare(pixels).contiguous(memory_format=torch.channels_last)
        half, *maps = self.backbone(x)
        top = self.smooth[-1](self.lateral[-1](maps[-1]))
        for level in reversed(range(len(maps) - 1)):
            above = F.interpolate(top, scale_factor=2.0, mode="nearest")
            top = self.smooth[level](self.lateral[level](maps[level]) + above)
        fine = self.lateral_half(half) + F.interpolate(
            self.to_half(top), scale_factor=2.0, mode="bilinear"
        )
        fine = self.smooth_half(fine)
        return top, fine, self.read(self.head(top + self.detail(fine)))


class Decoder(nn.Module):
    """Mask logits and predicted IoU for square regions of the feature maps."""

    def __init__(self) -> None:
        super().__init__()
        self.coarse = nn.Conv2d(_COARSE, _WIDTH, 1)
        self.prompt = nn.Sequential(
            nn.Conv2d(PROMPT_MAPS, _NARROW, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(_NARROW, _WIDTH, 3, stride=2, padding=1),
        )
        self.blocks = nn.ModuleList(
            _conv(_WIDTH, _WIDTH, dilation=d) for d in (1, 2, 4, 2, 1)
        )
        self.fine = nn.Conv2d(_FINE, _NARROW, 1)
        self.fine_prompt = nn.Conv2d(PROMPT_MAPS, _NARROW, 3, padding=1)
        self.pixels = _silent(nn.Conv2d(3, _NARROW, 3, padding=1, bias=False))
        self.up = nn.Conv2d(_WIDTH, _NARROW, 1)
        self.refine = nn.Sequential(_conv(_NARROW, _NARROW), _conv(_NARROW, _NARROW))
        self.mask = nn.Conv2d(_NARROW, 1, 1)
        self.score = nn.Sequential(
            nn.Linear(3 * _WIDTH + 1, 64), nn.ReLU(inplace=True), nn.Linear(64, 1)
        )

    def project(self, coarse: Tensor, fine: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the first layers once for an image instead of in every region.

        They are linear and work on single cells, so that cutting regions before
        or after gives the same; only their bias has to wait.
        """
        return (
            F.conv2d(coarse, self.coarse.weight),
            F.conv2d(fine, self.fine.weight),
        )

    def forward(
        self, coarse: Tensor, fine: Tensor, pixels: Tensor, prompts: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Decode R regions.

        Parameters
        ----------
        coarse : (R, 48, 32, 32)
        fine : (R, 24, 64, 64)
            Cut from what `project` returned.
        pixels : (R, 3, 64, 64)
            From `crop_pixels`.
        prompts : (R, 6, 64, 64)

        Returns
        -------
        logits : (R, 64, 64)
        score : (R,)
            Logit of the predicted IoU.
        """
        x = F.relu(_biased(coarse, self.coarse) + self.prompt(prompts))
        for block in self.blocks:
            x = x + block(x)
        y = F.interpolate(self.up(x), scale_factor=2.0, mode="bilinear")
        y = y + _biased(fine, self.fine) + self.pixels(pixels)
        y = F.relu(y + self.fine_prompt(prompts))
        logits: Tensor = self.mask(self.refine(y))
        inside = F.avg_pool2d(logits.detach().sigmoid(), 2)
        area = inside.mean((2, 3))
        # The mask's mean features, the region's, and those of its clicks and box.
        pooled = (x * inside).mean((2, 3)) / (area + 1e-3)
        summary = torch.cat([pooled, x.mean((2, 3)), x.amax((2, 3)), area], 1)
        return logits[:, 0], self.score(summary)[:, 0]


def _silent(layer: nn.Conv2d) -> nn.Conv2d:
    """Make a layer add nothing until it has learned something."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _biased(projected: Tensor, layer: nn.Conv2d) -> Tensor:
    return projected if layer.bias is None else projected + layer.bias[:, None, None]


class PocketNetwork(nn.Module):
    """The whole model."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.decoder = Decoder()

    def encode(self, pixels: Tensor) -> Features:
        """Encode uint8 pixels (N, 3, H, W); H and W are multiples of 32."""
        coarse, fine, dense = self.encoder(pixels)
        images = pixels.permute(0, 2, 3, 1).contiguous()
        return Features(*self.decoder.project(coarse, fine), dense, images)

    def decode(
        self, features: Features, regions: Tensor, prompts: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Decode K regions of each of N encoded images.

        Parameters
        ----------
        features : Features
        regions : float tensor, shape (N, K, 4)
            Square regions (y0, x0, y1, x1) in pixels, not enlarged.
        prompts : (N, K, 6, 64, 64)

        Returns
        -------
        logits : (N, K, 64, 64)
        score : (N, K)
            Logit of the predicted IoU.
        """
        regions = regions * features.zoom
        coarse = crop(features.coarse, regions, STRIDE, REGION // 2)
        fine = crop(features.fine, regions, STRIDE // 2, REGION)
        pixels = crop_pixels(features.pixels, regions)
        # Otherwise sums of maps in two orders and copies between them take a third
        # as long as the convolutions.
        logits, score = self.decoder(
            *(
                part.contiguous(memory_format=torch.channels_last)
                for part in (coarse, fine, pixels, prompts.flatten(0, 1))
            )
        )
        images, count = regions.shape[:2]
        return (
            logits.view(images, count, REGION, REGION),
            score.view(images, count),
        )


def crop(maps: Tensor, regions: Tensor, stride: int, size: int) -> Tensor:
    """Sample square regions of feature maps bilinearly; outside is zero.

    The same as `roi_align` with one sample a bin, with a backward pass that
    runs several times faster on CPUs.

    Parameters
    ----------
    maps : (N, C, H, W)
    regions : (N, K, 4)
        (y0, x0, y1, x1) in pixels.
    stride : int
        Pixels per cell of `maps`.
    size : int
        Samples along one side.

    Returns
    -------
    (N * K, C, size, size)
    """
    height, width = maps.shape[-2:]
    steps = (torch.arange(size, device=maps.device) + 0.5) / size
    y0, x0, y1, x1 = (regions[..., i, None] for i in range(4))
    # grid_sample wants -1 and 1 at the outer edges of the map.
    y = (y0 + (y1 - y0) * steps) * (2 / (stride * height)) - 1  # (N, K, size)
    x = (x0 + (x1 - x0) * steps) * (2 / (stride * width)) - 1
    square = (-1, -1, size, size)
    grid = torch.stack([x[:, :, None].expand(square), y[..., None].expand(square)], -1)
    images, count = regions.shape[:2]
    sampled = F.grid_sample(maps, grid.flatten(1, 2), align_corners=False)
    # (N, C, K * size, size) -> (N * K, C, size, size)
    parted = sampled.view(images, -1, count, size, size)
    return parted.transpose(1, 2).flatten(0, 1)


def crop_pixels(images: Tensor, regions: Tensor) -> Tensor:
    """Sample square regions of images bilinearly; outside is zero.

    Only what is sampled becomes floating point: the image may be large.

    Parameters
    ----------
    images : uint8, (N, H, W, 3)
    regions : (N, K, 4)
        (y0, x0, y1, x1) in pixels.

    Returns
    -------
    (N * K, 3, 64, 64), -1 to 1
    """
    height, width = images.shape[1:3]
    count = regions.shape[1]
    number = torch.arange(len(images), device=images.device)
    number = number.repeat_interleave(count)[:, None, None]
    steps = (torch.arange(REGION, device=images.device) + 0.5) / REGION
    y0, x0, y1, x1 = (regions.flatten(0, 1)[:, i, None] for i in range(4))
    y, x = y0 + (y1 - y0) * steps, x0 + (x1 - x0) * steps  # (N * K, 64)
    inside = ((y > 0) & (y < height))[:, :, None] & ((x > 0) & (x < width))[:, None]
    (up, down), lower = _neighbours(y[:, :, None], height)
    (left, right), righter = _neighbours(x[:, None], width)
    above, below = (
        torch.lerp(
            images[number, row, left].float(),
            images[number, row, right].float(),
            righter[..., None],
        )
        for row in (up, down)
    )
    sampled = torch.lerp(above, below, lower[..., None]) / 127.5 - 1
    return (sampled * inside[..., None]).permute(0, 3, 1, 2)


def _neighbours(at: Tensor, size: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Return the pixels before and after positions, and the weight of the latter."""
    first = (at - 0.5).floor()
    indices = first.long().clamp(0, size - 1), first.long().add(1).clamp(0, size - 1)
    return indices, at - 0.5 - first
