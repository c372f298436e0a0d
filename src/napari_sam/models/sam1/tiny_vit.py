"""MobileSAM's encoder, made faster without changing its values."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval


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
        self.norm, self.qkv, self.proj = attention.norm, attention.qkv, attention.proj
        self._heads: int = attention.num_heads
        self._sizes = [attention.key_dim, attention.key_dim, attention.d]
        self._scale: float = attention.scale
        self.register_buffer("bias", attention.ab.detach()[None].contiguous())

    def forward(self, x: Tensor) -> Tensor:
        """Attend within each of the windows (B, N, C)."""
        count, pixels, _ = x.shape
        qkv = self.qkv(self.norm(x)).view(count, pixels, self._heads, -1)
        query, key, value = torch.split(qkv.transpose(1, 2), self._sizes, dim=3)
        bias = self.bias.to(query.dtype).expand(count, -1, -1, -1)
        attended = F.scaled_dot_product_attention(
            query, key, value, attn_mask=bias, scale=self._scale
        )
        result: Tensor = self.proj(attended.transpose(1, 2).reshape(count, pixels, -1))
        return result
