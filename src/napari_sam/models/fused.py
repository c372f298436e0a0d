"""Layers with their values unchanged and fewer steps between memory and processor.

What most of an encoder's time goes into are matrix products, and in between the
results, tens of megabytes each, are written and read again for the bias and the
activation. oneDNN, which comes with torch, does these while a product is in the cache.
And where rows have nothing to do with each other, they are taken in strips that stay
there. On a graphics card everything is done at once.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Iterator

# Rows of a strip: with four times as many channels in between, some megabytes.
ROWS = 2048


class Linear(nn.Module):
    """A linear layer, with GELU where wanted.

    Parameters
    ----------
    layer : nn.Linear
        Its weights are used, not copied.
    gelu : bool
        The exact one follows.
    """

    def __init__(self, layer: Any, *, gelu: bool = False) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self._gelu = gelu

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output for rows (..., D)."""
        if _fuses(x, self.weight):
            name = "gelu" if self._gelu else "none"
            found: Tensor = torch.ops.mkldnn._linear_pointwise(
                x, self.weight, self.bias, name, [], "none"
            )
            return found
        found = F.linear(x, self.weight, self.bias)
        return F.gelu(found) if self._gelu else found


class Convolution(nn.Module):
    """A convolution, with GELU where wanted.

    Parameters
    ----------
    layer : nn.Conv2d
        Padded with zeros, if at all; its weights are used, not copied.
    gelu : bool
        The exact one follows.
    """

    def __init__(self, layer: Any, *, gelu: bool = False) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self._how = layer.stride, layer.padding, layer.dilation, layer.groups
        self._gelu = gelu

    @property
    def reach(self) -> Reach:
        """Of which rows above and below a row of the output is made."""
        return Reach(self.weight.shape[2], self._how[0][0], self._how[1][0])

    def forward(self, x: Tensor, border: tuple[int, int] | None = None) -> Tensor:
        """Return the layer's output for maps (B, C, H, W).

        Parameters
        ----------
        x : Tensor
        border : (int, int), optional
            Rows of zeros above and below, where these are some rows of a map.
        """
        stride, padding, dilation, groups = self._how
        if border is not None:
            x, padding = with_border(x, border), (0, padding[1])
        # torch would ask oneDNN, too, but not for 1 × 1 pixels on one thread.
        if _fuses(x, self.weight):
            name = "gelu" if self._gelu else "none"
            found: Tensor = torch.ops.mkldnn._convolution_pointwise(
                *(x, self.weight, self.bias, padding, stride, dilation, groups),
                *(name, [], "none"),
            )
            return found
        found = F.conv2d(x, self.weight, self.bias, stride, padding, dilation, groups)
        return F.gelu(found) if self._gelu else found


class Reach(NamedTuple):
    """Rows that a convolution looks at."""

    kernel: int
    stride: int
    padding: int

    def size(self, rows: int) -> int:
        """Return how many rows come of so many."""
        return (rows + 2 * self.padding - self.kernel) // self.stride + 1

    def needed(self, begin: int, end: int, rows: int) -> Needed:
        """Return what of a map of so many rows the rows begin..end-1 are made of."""
        first = begin * self.stride - self.padding
        last = (end - 1) * self.stride - self.padding + self.kernel
        border = max(0, -first), max(0, last - rows)
        return Needed(max(0, first), min(last, rows), border)


class Needed(NamedTuple):
    """Rows of a map, and rows of zeros above and below them."""

    begin: int
    end: int
    border: tuple[int, int]


class Mlp(nn.Module):
    """Two linear layers with GELU between them.

    Parameters
    ----------
    first, second : nn.Linear
        Their weights are used, not copied.
    """

    def __init__(self, first: Any, second: Any) -> None:
        super().__init__()
        self.first, self.second = Linear(first, gelu=True), Linear(second)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output for rows (..., D)."""
        rows = x.reshape(-1, x.shape[-1])
        found = [self.second(self.first(rows[part])) for part in strips(rows)]
        whole = found[0] if len(found) == 1 else torch.cat(found)
        return whole.view(*x.shape[:-1], -1)


def multiply(rows: Tensor, others: Tensor) -> Tensor:
    """Return the products (N, M) of all rows (N, D) with all others (M, D)."""
    if _fuses(rows, others):
        found: Tensor = torch.ops.mkldnn._linear_pointwise(
            rows, others, None, "none", [], "none"
        )
        return found
    return rows @ others.T


def with_border(x: Tensor, border: tuple[int, int]) -> Tensor:
    """Add rows of zeros to maps (B, C, H, W)."""
    return F.pad(x, (0, 0, *border)) if any(border) else x


def strips(rows: Tensor, width: int = 1) -> Iterator[slice]:
    """Yield parts of rows that are worked on together.

    Parameters
    ----------
    rows : Tensor
        Its first axis is cut.
    width : int
        How many rows of a product each of these stands for.
    """
    size = max(1, ROWS // width) if rows.is_cpu else max(1, len(rows))
    for start in range(0, len(rows), size):
        yield slice(start, start + size)


def join(first: Any, second: Any) -> nn.Conv2d:
    """Make one convolution of two, the second of 1 × 1 pixels.

    Parameters
    ----------
    first, second : nn.Conv2d
        With biases, and nothing between them.
    """
    then = second.weight[:, :, 0, 0]
    both = nn.Conv2d(
        first.in_channels,
        second.out_channels,
        first.kernel_size,
        padding=first.padding,
        device="meta",
    )
    both.weight = nn.Parameter(torch.tensordot(then, first.weight, 1), False)
    both.bias = nn.Parameter(then @ first.bias + second.bias, False)
    return both


def quicken(network: nn.Module) -> None:
    """Replace layers, and pairs of linear ones with GELU between, by those here."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            pair = _mlp(child)
            if pair is not None:
                setattr(module, name, Mlp(*pair))
            elif type(child) is nn.Linear:
                setattr(module, name, Linear(child))
            elif type(child) is nn.Conv2d:
                setattr(module, name, Convolution(child))


def _mlp(module: Any) -> tuple[nn.Linear, nn.Linear] | None:
    """Return the layers of what timm or Meta call an MLP, if it is one with GELU."""
    act = getattr(module, "act", None)
    if not isinstance(act, nn.GELU) or act.approximate != "none":
        return None
    if isinstance(getattr(module, "norm", None), nn.LayerNorm):
        return None
    for names in (("fc1", "fc2"), ("lin1", "lin2")):
        first, second = (getattr(module, name, None) for name in names)
        if type(first) is nn.Linear and type(second) is nn.Linear:
            return first, second
    return None


def _fuses(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN can do it; not where numbers are rounded on purpose."""
    return (
        x.is_cpu
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and _has_onednn()
    )


@cache
def _has_onednn() -> bool:
    """Whether this torch was built with it, and with these two of its functions."""
    functions: Any = torch.ops.mkldnn
    names = ("_linear_pointwise", "_convolution_pointwise")
    onednn: Any = torch.backends.mkldnn
    return bool(onednn.is_available()) and all(hasattr(functions, n) for n in names)
