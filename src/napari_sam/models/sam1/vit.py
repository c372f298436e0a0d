"""SAM b/l/h's attention in a fraction of its memory.

As published, a global block holds the attention between all 4,096 patches for
every head at once, and three copies of it while the relative positions are
added: gigabytes. Here a few rows are worked on at a time. The values are the
same up to rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_sam.models.fused import quicken

if TYPE_CHECKING:
    from collections.abc import Iterator

_ON_CPU, _ELSEWHERE = 2**20, 2**26  # attention weights at once


def accelerate(network: Any) -> None:
    """Replace parts of the encoder by faster ones."""
    for block in network.blocks:
        block.attn = RelativeAttention(block.attn)
    quicken(network)


class RelativeAttention(nn.Module):
    """Self-attention with decomposed relative positions.

    Parameters
    ----------
    attention : nn.Module
        Ultralytics' `REAttention`; its weights are used, not copied.
    """

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.qkv, self.proj = attention.qkv, attention.proj
        self.rel_pos_h, self.rel_pos_w = attention.rel_pos_h, attention.rel_pos_w
        self._heads: int = attention.num_heads
        self._scale: float = attention.scale

    def forward(self, x: Tensor) -> Tensor:
        """Attend within each of the maps (B, H, W, C)."""
        count, height, width, channels = x.shape
        pixels = height * width
        qkv = self.qkv(x).view(count, pixels, 3, self._heads, -1)
        qkv = qkv.permute(2, 0, 3, 1, 4).reshape(3, count * self._heads, pixels, -1)
        query, key, value = qkv.unbind(0)
        maps = query.view(-1, height, width, query.shape[-1])
        rows = torch.einsum("bhwc,hkc->bhwk", maps, _relative(self.rel_pos_h, height))
        columns = torch.einsum("bhwc,wkc->bhwk", maps, _relative(self.rel_pos_w, width))
        rows, columns = rows.flatten(1, 2), columns.flatten(1, 2)
        out = torch.empty_like(query)
        for part in _parts(len(query), pixels, _ON_CPU if x.is_cpu else _ELSEWHERE):
            bias = (rows[part][..., None] + columns[part][..., None, :]).flatten(2)
            attended = F.scaled_dot_product_attention(
                query[part][None],
                key[part[0]][None],
                value[part[0]][None],
                attn_mask=bias[None],
                scale=self._scale,
            )
            out[part] = attended[0]
        out = out.view(count, self._heads, pixels, -1).transpose(1, 2)
        result: Tensor = self.proj(out.reshape(count, height, width, channels))
        return result


def _relative(table: Tensor, size: int) -> Tensor:
    """Return the entry (size, size, C) for each pair of positions."""
    at = torch.arange(size, device=table.device)
    return table[at[:, None] - at[None, :] + size - 1]


def _parts(groups: int, pixels: int, most: int) -> Iterator[tuple[slice, slice]]:
    """Yield parts of (groups, pixels) with at most so many attention weights."""
    together = max(1, most // pixels**2)
    step = max(1, min(pixels, most // pixels))
    for group in range(0, groups, together):
        for start in range(0, pixels, step):
            yield slice(group, group + together), slice(start, start + step)
