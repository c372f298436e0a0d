"""The last part of SAM's mask decoder: from tokens to sixteen logits for each.

PIXELS is their number: 64 × 64, of SAM 3 72 × 72.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from napari_sam.models.sam1.workspace import Workspace

_ROWS = 8  # tokens' rows at a time: what they become stays in a core's cache


@dataclass(frozen=True, slots=True, eq=False)
class LowRank:
    """Tokens of an image as a sum: scale · shared + weights.T @ terms.

    Attributes
    ----------
    scale : Tensor, shape (PIXELS, 1)
    shared : Tensor, shape (PIXELS, 256)
        The same for all prompts.
    weights : Tensor, shape (K, PIXELS)
    terms : Tensor, shape (K, 256)
    """

    scale: Tensor
    shared: Tensor
    weights: Tensor
    terms: Tensor

    def rows(self, part: slice, out: Tensor) -> Tensor:
        """Write some of the tokens into `out` and return it."""
        torch.mul(self.shared[part], self.scale[part], out=out)
        return out.addmm_(self.weights[:, part].T, self.terms)


@dataclass(frozen=True, slots=True, eq=False)
class Finer:
    """Finer maps of an image that SAM 2 adds after each transposed convolution.

    Attributes
    ----------
    first : Tensor, shape (PIXELS, 4 · 64)
        Of twice as many pixels along a side, as rows of tokens.
    second : Tensor, shape (4 · PIXELS, 4 · 32)
        Of four times as many, as rows of the pixels of `first`; with the bias added.
    """

    first: Tensor
    second: Tensor


class Upscaler:
    """Two transposed convolutions as matrix products, and the masks from them.

    Both have a stride that equals their kernel, so that the 2 × 2 pixels a token
    becomes depend on nothing else.

    Parameters
    ----------
    layers : nn.Sequential
        Upstream's.
    side : int
        Tokens along a side of the image.
    """

    def __init__(self, layers: Any, side: int) -> None:
        self.side = side
        first, norm, _, second, _ = layers
        self._norm = _as_layer_norm(norm)
        self.weight = _as_matrix(first.weight)
        self.bias = first.bias.repeat(4)
        self._second = _as_matrix(second.weight)
        self._second_bias = second.bias.repeat(4)

    def finer(self, low: Tensor, high: Tensor) -> Finer:
        """Lay out finer maps as the convolutions lay out their results.

        Parameters
        ----------
        low : Tensor, shape (64, 2 · side, 2 · side)
        high : Tensor, shape (32, 4 · side, 4 · side)
        """
        side, pixels = self.side, self.side**2
        first = low.view(-1, side, 2, side, 2).permute(1, 3, 2, 4, 0)
        second = high.view(-1, side, 2, 2, side, 2, 2).permute(1, 4, 2, 5, 3, 6, 0)
        rows = second.reshape(4 * pixels, -1) + self._second_bias
        return Finer(first.reshape(pixels, -1), rows)

    def masks(
        self,
        tokens: LowRank | Tensor,
        hyper: Tensor,
        work: Workspace,
        out: Tensor,
        finer: Finer | None = None,
    ) -> None:
        """Write logits into `out`.

        Parameters
        ----------
        tokens : LowRank or Tensor, shape (PIXELS, D)
            After the first convolution.
        hyper : Tensor, shape (C, 32)
            Weights of each mask, from its token.
        work : Workspace
        out : Tensor, shape (C, 4 · side, 4 · side)
        finer : Finer, optional
        """
        side = self.side
        for row in range(0, side, _ROWS):
            part = slice(row * side, (row + _ROWS) * side)
            width = self.weight.shape[1]
            if isinstance(tokens, LowRank):
                up = tokens.rows(part, work.take("strip", _ROWS * side, width))
            elif finer is None:
                up = tokens[part]
            else:
                up = work.take("strip", _ROWS * side, width).copy_(tokens[part])
            bias = self._second_bias
            if finer is not None:
                up.add_(finer.first[part])
                bias = finer.second[4 * part.start : 4 * part.stop]
            strip = out[:, 4 * row : 4 * (row + _ROWS)]
            _unfold(strip, side).copy_(self._strip(up, bias, hyper, work))

    def _strip(
        self, tokens: Tensor, bias: Tensor, hyper: Tensor, work: Workspace
    ) -> Tensor:
        """Return logits, the sixteen pixels of a token beside each other."""
        x = self._norm(tokens.view(-1, len(self._norm.weight)))
        torch.ops.aten.gelu_(x)
        pixels = work.take("pixels", len(x), self._second.shape[1])
        torch.addmm(bias, x, self._second, out=pixels)
        x = torch.ops.aten.gelu_(pixels).view(-1, hyper.shape[1])
        # A product with few columns is slower than one vector after the other.
        flat = work.take("flat", len(hyper), len(x))
        for weights, mask in zip(hyper, flat, strict=True):
            torch.mv(x, weights, out=mask)
        return flat.view(len(hyper), _ROWS, self.side, 2, 2, 2, 2)


def _as_layer_norm(norm: Any) -> nn.LayerNorm:
    """Return a norm over channels for pixels that are rows."""
    same = nn.LayerNorm(len(norm.weight), norm.eps, device=norm.weight.device)
    same.weight, same.bias = norm.weight, norm.bias
    return same


def _as_matrix(weight: Tensor) -> Tensor:
    """Turn (in, out, 2, 2) into (in, 4 · out), the channel last."""
    return weight.permute(0, 2, 3, 1).flatten(1).contiguous()


def _unfold(strip: Tensor, side: int) -> Tensor:
    """View (C, 4 · rows, 4 · side) as (C, row, column, and the halves y, x, y, x)."""
    pixels = strip.view(len(strip), -1, 2, 2, side, 2, 2)
    return pixels.permute(0, 1, 4, 2, 5, 3, 6)
