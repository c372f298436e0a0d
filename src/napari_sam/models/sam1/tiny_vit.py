"""MobileSAM's encoder, made faster without changing its values."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_sam.models.fused import Convolution, Linear, Mlp, quicken, strips


def accelerate(network: Any) -> None:
    """Replace parts of the encoder by faster ones."""
    fold_norms(network)
    first, _, second = network.patch_embed.seq
    network.patch_embed.seq = nn.Sequential(
        Convolution(first.c, gelu=True), Convolution(second.c)
    )
    for layer in network.layers:
        for block in layer.blocks:
            if hasattr(block, "attn"):
                mlp = block.mlp
                block.attn = WindowAttention(block.attn)
                block.mlp = nn.Sequential(mlp.norm, Mlp(mlp.fc1, mlp.fc2))
            else:
                _with_gelu(block)
                block.act3 = InPlaceGelu()
        if layer.downsample is not None:
            _with_gelu(layer.downsample)
    quicken(network)


def _with_gelu(module: Any) -> None:
    """Let the first two of three convolutions do the activation themselves."""
    module.conv1 = Convolution(module.conv1.c, gelu=True)
    module.conv2 = Convolution(module.conv2.c, gelu=True)
    for name in ("act", "act1", "act2"):
        if hasattr(module, name):
            setattr(module, name, nn.Identity())


class InPlaceGelu(nn.Module):
    """The activation, for what nobody else has."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the same tensor."""
        found: Tensor = torch.ops.aten.gelu_(x)
        return found


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
