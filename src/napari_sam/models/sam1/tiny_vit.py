"""MobileSAM's encoder, made faster without changing its values."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_sam.models.fused import Convolution, Linear, Mlp, Reach, quicken, strips

# Rows of the stem's output at a time: what becomes of them takes 20 MB, not 200.
_ROWS = 16


def accelerate(network: Any) -> None:
    """Replace parts of the encoder by faster ones."""
    fold_norms(network)
    stem = Stem(network.patch_embed, network.layers[0])
    network.patch_embed, network.layers[0] = stem, _Done(stem.blocks)
    for layer in network.layers[1:]:
        for block in layer.blocks:
            mlp = block.mlp
            block.attn = WindowAttention(block.attn)
            block.mlp = nn.Sequential(mlp.norm, Mlp(mlp.fc1, mlp.fc2))
        if layer.downsample is not None:
            layer.downsample.conv1 = Convolution(layer.downsample.conv1.c, gelu=True)
            layer.downsample.conv2 = Convolution(layer.downsample.conv2.c, gelu=True)
            layer.downsample.act = nn.Identity()
    quicken(network)


class Stem(nn.Module):
    """All convolutions before the first attention, a few rows at a time.

    Parameters
    ----------
    patches, layer : nn.Module
        Ultralytics' `PatchEmbed` and `ConvLayer`; their weights are used, not copied.
    """

    def __init__(self, patches: Any, layer: Any) -> None:
        super().__init__()
        first, _, second = patches.seq
        self.blocks = nn.ModuleList(_Bottleneck(block) for block in layer.blocks)
        merging = layer.downsample
        parts = [
            Convolution(first.c, gelu=True),
            Convolution(second.c),
            *self.blocks,
            Convolution(merging.conv1.c, gelu=True),
            Convolution(merging.conv2.c, gelu=True),
            Convolution(merging.conv3.c),
        ]
        self.parts = nn.ModuleList(parts)

    def forward(self, pixels: Tensor) -> Tensor:
        """Turn pixels (B, 3, 4 h, 4 w) into maps (B, C, h / 2, w / 2)."""
        parts: list[Any] = list(self.parts)
        sizes = [pixels.shape[2]]
        for part in parts:
            sizes.append(part.reach.size(sizes[-1]))
        step = _ROWS if pixels.is_cpu else sizes[-1]
        found = []
        for begin in range(0, sizes[-1], step):
            rows = begin, min(begin + step, sizes[-1])
            borders = []
            for part, size in zip(reversed(parts), reversed(sizes[:-1]), strict=True):
                *rows, border = part.reach.needed(*rows, size)
                borders.append(border)
            x = pixels[:, :, slice(*rows)]
            for part, border in zip(parts, reversed(borders), strict=True):
                x = part(x, border)
            found.append(x)
        return torch.cat(found, 2)


class _Bottleneck(nn.Module):
    """Ultralytics' `MBConv` for some rows of a map."""

    reach = Reach(3, 1, 1)

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.wide = Convolution(block.conv1.c, gelu=True)
        self.depthwise = Convolution(block.conv2.c, gelu=True)
        self.narrow = Convolution(block.conv3.c)

    def forward(self, x: Tensor, border: tuple[int, int]) -> Tensor:
        """Return the rows that have neighbours, or zeros beyond the map's border."""
        above, below = (1 - zeros for zeros in border)
        found = self.narrow(self.depthwise(self.wide(x), border))
        found += x[:, :, above : x.shape[2] - below]
        gelu: Tensor = torch.ops.aten.gelu_(found)
        return gelu


class _Done(nn.Module):
    """In the place of a layer that the stem has done: maps become tokens."""

    downsample = None

    def __init__(self, blocks: nn.ModuleList) -> None:
        super().__init__()
        self.blocks = blocks

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens (B, N, C) of maps (B, C, H, W)."""
        return x.flatten(2).transpose(1, 2)


def fold_norms(network: nn.Module) -> None:
    """Fold each batch norm into the convolution before it."""
    for module in network.modules():
        convolution, norm = getattr(module, "c", None), getattr(module, "bn", None)
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            module.c = fuse_conv_bn_eval(convolution, norm)
            module.bn = nn.Identity()


class WindowAttention(nn.Module):
    """Self-attention within windows, with a bias for each offset.

    Parameters
    ----------
    attention : nn.Module
        Ultralytics' `Attention` of TinyViT after `eval()`; its weights are
        used, not copied.
    """

    bias: Tensor

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.norm = attention.norm
        self.qkv, self.proj = Linear(attention.qkv), Linear(attention.proj)
        self._heads: int = attention.num_heads
        self._sizes = [attention.key_dim, attention.key_dim, attention.d]
        self._scale: float = attention.scale
        self.register_buffer("bias", attention.ab.detach()[None].contiguous())

    def forward(self, x: Tensor) -> Tensor:
        """Attend within each of the windows (B, N, C)."""
        return torch.cat([self._strip(x[part]) for part in strips(x, x.shape[1])])

    def _strip(self, x: Tensor) -> Tensor:
        count, pixels, _ = x.shape
        qkv = self.qkv(self.norm(x)).view(count, pixels, self._heads, -1)
        query, key, value = torch.split(qkv.transpose(1, 2), self._sizes, dim=3)
        bias = self.bias.to(query.dtype).expand(count, -1, -1, -1)
        attended = F.scaled_dot_product_attention(
            query, key, value, attn_mask=bias, scale=self._scale
        )
        result: Tensor = self.proj(attended.transpose(1, 2).reshape(count, pixels, -1))
        return result
