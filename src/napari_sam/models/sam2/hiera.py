"""SAM 2's image encoder, made faster without changing its values.

Windows do not see each other, so blocks work on a few rows of windows at a time, from
the first norm to the end: what is in between stays in the processor's cache, and takes
a fraction of the memory. The blocks that see everything do so as before.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_sam.models.fused import ROWS, Linear, Mlp, join
from napari_sam.models.sam1.geometry import INPUT


def accelerate(network: Any) -> None:
    """Replace parts of a network of SAM 2 by faster ones with the same values."""
    encoder, decoder = network.image_encoder, network.sam_mask_decoder
    encoder.trunk = Trunk(encoder.trunk)
    encoder.neck = Neck(encoder.neck, decoder.conv_s0, decoder.conv_s1)
    decoder.conv_s0, decoder.conv_s1 = nn.Identity(), nn.Identity()


class Trunk(nn.Module):
    """The blocks, from pixels to maps of four sizes.

    Parameters
    ----------
    trunk : nn.Module
        Ultralytics' `Hiera`; its weights are used, not copied.
    """

    positions: Tensor

    def __init__(self, trunk: Any) -> None:
        super().__init__()
        self.patch_embed = trunk.patch_embed
        self.blocks = nn.ModuleList(Block(each) for each in trunk.blocks)
        side = INPUT // 4
        self.register_buffer("positions", trunk._get_pos_embed((side, side)).detach())
        self._ends: list[int] = trunk.stage_ends

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Return maps (B, H, W, C), the finest first."""
        x = self.patch_embed(pixels) + self.positions
        maps = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self._ends:
                maps.append(x)
        return maps


class Neck(nn.Module):
    """Maps of one width, the finer ones as the mask decoder wants them.

    Nothing lies between the neck's layers of those and the decoder's, so each pair is
    one.

    Parameters
    ----------
    neck : nn.Module
        Ultralytics' `FpnNeck`.
    finest, finer : nn.Conv2d
        The decoder's, of 1 × 1 pixels.
    """

    def __init__(self, neck: Any, finest: Any, finer: Any) -> None:
        super().__init__()
        self.position_encoding = neck.position_encoding
        coarsest, coarse, third, fourth = (each.conv for each in neck.convs)
        self.coarsest, self.coarse = _as_linear(coarsest), _as_linear(coarse)
        self.finer = _as_linear(join(third, finer))
        self.finest = _as_linear(join(fourth, finest))

    def forward(self, maps: list[Tensor]) -> tuple[list[Tensor], list[None]]:
        """Return maps (B, C, H, W), the finest first, and no positions of them."""
        finest, finer, coarse, coarsest = maps
        above = _as_maps(self.coarsest(coarsest))
        top = _as_maps(self.coarse(coarse)) + F.interpolate(above, scale_factor=2.0)
        fine = _as_maps(self.finest(finest)), _as_maps(self.finer(finer))
        return [*fine, top, above], [None] * len(maps)


class Block(nn.Module):
    """Attention within windows, or of everything, and an MLP.

    Parameters
    ----------
    block : nn.Module
        Ultralytics' `MultiScaleBlock`; its weights are used, not copied.
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.norm1, self.norm2 = block.norm1, block.norm2
        self.qkv, self.proj = Linear(block.attn.qkv), Linear(block.attn.proj)
        self.mlp = Mlp(*block.mlp.layers)
        # Those that halve the map's sides widen it, too.
        halves = block.q_stride is not None
        self.shortcut = Linear(block.proj) if halves else None
        self._step = 2 if halves else 1
        self._width: int = block.dim_out
        self._heads: int = block.attn.num_heads
        self._window: int = block.window_size

    def forward(self, x: Tensor) -> Tensor:
        """Return a map (B, H, W, C), of half the size where this block halves it."""
        count, height, width, _ = x.shape
        window, step = self._window or height, self._step
        rows = height
        if x.is_cpu:
            rows = window * max(1, round(ROWS / (window * width)))
        out = x.new_empty(count, height // step, width // step, self._width)
        for top in range(0, height, rows):
            end = min(top + rows, height)
            out[:, top // step : end // step] = self._strip(x[:, top:end], window)
        return out

    def _strip(self, x: Tensor, window: int) -> Tensor:
        normed = self.norm1(x)
        if self.shortcut is not None:
            x = _halved(self.shortcut(normed))
        windows = _cut(normed, window)
        query, key, value = self.qkv(windows).chunk(3, -1)
        if self.shortcut is not None:
            maps = query.view(len(query), window, window, -1)
            query = _halved(maps).flatten(1, 2)
        attended = F.scaled_dot_product_attention(
            self._split(query), self._split(key), self._split(value)
        )
        told = self.proj(attended.transpose(1, 2).flatten(2))
        x = x + _joined(told, window // self._step, x.shape)
        return x.add_(self.mlp(self.norm2(x)))

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.view(*tokens.shape[:2], self._heads, -1).transpose(1, 2)


def _cut(x: Tensor, window: int) -> Tensor:
    """Cut maps (B, H, W, C) into windows (N, window², C), zeros fill up."""
    count, height, width, channels = x.shape
    if height % window or width % window:
        x = F.pad(x, (0, 0, 0, -width % window, 0, -height % window))
    down, right = -(-height // window), -(-width // window)
    windows = x.view(count, down, window, right, window, channels).transpose(2, 3)
    return windows.reshape(-1, window * window, channels)


def _joined(windows: Tensor, window: int, shape: torch.Size) -> Tensor:
    """Put windows (N, window², C) together to maps of a shape (B, H, W, C)."""
    count, height, width, channels = shape
    down, right = -(-height // window), -(-width // window)
    maps = windows.view(count, down, right, window, window, channels).transpose(2, 3)
    whole = maps.reshape(count, down * window, right * window, channels)
    return whole[:, :height, :width]


def _halved(x: Tensor) -> Tensor:
    """Keep the largest of each 2 × 2 pixels of maps (B, H, W, C)."""
    rows = torch.maximum(x[:, ::2], x[:, 1::2])
    return torch.maximum(rows[:, :, ::2], rows[:, :, 1::2])


def _as_linear(layer: nn.Conv2d) -> Linear:
    """Turn a convolution of 1 × 1 pixels into a layer for channels that are last."""
    same: Any = nn.Module()
    same.weight = nn.Parameter(layer.weight[:, :, 0, 0], requires_grad=False)
    same.bias = layer.bias
    return Linear(same)


def _as_maps(x: Tensor) -> Tensor:
    """Turn maps (B, H, W, C) into (B, C, H, W)."""
    return x.permute(0, 3, 1, 2).contiguous()
