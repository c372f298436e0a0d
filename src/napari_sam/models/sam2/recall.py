"""Memory attention: a plane's cells look at themselves, and at what is remembered.

The values of a memory are projections of its 64 channels to 256, and what comes of them
is projected again: cheaper, and the same up to rounding, is to collect the 64 channels
themselves and to project what was found once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_sam.models.fused import Linear, multiply

_ROWS = 256  # cells that look at once, at up to 29,000 others


class Layer:
    """One layer of memory attention.

    Parameters
    ----------
    layer : nn.Module
        Ultralytics' `MemoryAttentionLayer`, with one head; its weights are used.
    grid : int
        Cells along a side of a plane.
    """

    def __init__(self, layer: Any, grid: int) -> None:
        self._norms = layer.norm1, layer.norm2, layer.norm3
        self._own = layer.self_attn
        cross = layer.cross_attn_image
        self._query, self._key = Linear(cross.q_proj), Linear(cross.k_proj)
        value, out = cross.v_proj, cross.out_proj
        self._value = out.weight @ value.weight
        self._bias = out.weight @ value.bias + out.bias
        self._first, self._second = Linear(layer.linear1), Linear(layer.linear2)
        self._turns: Tensor = cross.compute_cis(end_x=grid, end_y=grid)
        self._turns = self._turns.to(self._bias.device)
        self._scale = float(cross.internal_dim) ** -0.5

    def look(self, x: Tensor) -> Tensor:
        """Let the cells (B, N, D) look at each other."""
        normed = self._norms[0](x)
        found: Tensor = x + self._own(normed, normed, normed)
        return found

    def recall(self, x: Tensor, memory: Tensor, places: Tensor, words: int) -> Tensor:
        """Let the cells look at what is remembered.

        Parameters
        ----------
        x : Tensor, shape (N, D)
        memory, places : Tensor, shape (M, 64)
            Maps of N cells each, and words; `places` says where and when they are.
        words : int
            How many of the last rows are on no place of the plane.
        """
        query = self._turned(self._query(self._norms[1](x)).mul_(self._scale))
        keys = self._key(memory + places)
        cells = len(keys) - words
        keys[:cells] = self._turned(keys[:cells])
        columns = memory.T.contiguous()
        found = torch.empty(len(x), memory.shape[1], device=x.device)
        step = _ROWS if x.is_cpu else len(x)
        for start in range(0, len(x), step):
            part = slice(start, start + step)
            weights = multiply(query[part], keys)
            torch.softmax(weights, 1, out=weights)
            found[part] = multiply(weights, columns)
        return x + F.linear(found, self._value, self._bias)

    def digest(self, x: Tensor) -> Tensor:
        """Work on each cell (N, D)."""
        wide = self._first(self._norms[2](x)).relu_()
        found: Tensor = x + self._second(wide)
        return found

    def _turned(self, x: Tensor) -> Tensor:
        """Turn pairs of channels by where cells (k · N, D) are."""
        pairs = torch.view_as_complex(x.view(-1, *self._turns.shape, 2))
        return torch.view_as_real(pairs * self._turns).view(x.shape)
