"""Attention between a few prompt tokens and the many tokens of an image.

SAM projects the image's 4,096 tokens to keys, queries and values for every prompt.
A prompt has about seven tokens, so it is cheaper, and the same up to rounding, to
multiply the weights with the prompt's tokens instead and to leave the image's tokens
as they are. Rows of what is made here go through the heads first, then the tokens:
row h · T + t belongs to head h and token t.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch import nn

    from napari_sam.models.sam1.workspace import Workspace


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Projected tokens of n prompts, and what they look for in the image.

    Attributes
    ----------
    heads : Tensor, shape (n, heads, T, d)
        The tokens' projections; they meet the projected positions.
    absorbed : Tensor, shape (n, heads · T, D)
        The same, multiplied with the image's projection; they meet its tokens.
    """

    heads: Tensor
    absorbed: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class SharedKeys:
    """An image's projections where they are the same for all prompts.

    Attributes
    ----------
    keys : Tensor, shape (heads, d, pixels)
    values : Tensor, shape (heads, pixels, d)
    """

    keys: Tensor
    values: Tensor


class _Cross:
    """What both directions need; `image` names the projection of the image."""

    def __init__(self, attention: Any, positions: Tensor, image: nn.Linear) -> None:
        self._heads: int = attention.num_heads
        inner: int = attention.internal_dim
        scale = (inner // self._heads) ** -0.5
        self._weight = split_rows(image.weight * scale, self._heads)
        self._bias = image.bias * scale
        projected = positions @ (image.weight * scale).T + self._bias
        self._positions = self._split(projected[None])[0].mT.contiguous()

    def _split(self, tokens: Tensor) -> Tensor:
        """Turn (n, T, heads · d) into (n, heads, T, d)."""
        return tokens.view(*tokens.shape[:2], self._heads, -1).transpose(1, 2)

    def _absorb(self, tokens: Tensor) -> Asked:
        heads = self._split(tokens)
        return Asked(heads, (heads @ self._weight).flatten(1, 2))

    def _project(self, keys: Tensor) -> Tensor:
        """Project an image (pixels, D), positions included: (heads, d, pixels)."""
        return (self._weight @ keys.T).add_(self._positions)

    def _scores(self, asked: Asked, i: int, keys: Tensor, work: Workspace) -> Tensor:
        """Return scores (heads, T, pixels) of prompt i on its image (pixels, D)."""
        absorbed = asked.absorbed[i]
        scores = work.take("scores", len(absorbed), len(keys))
        torch.mm(absorbed, keys.T, out=scores)
        by_head = scores.view(self._heads, -1, len(keys))
        return by_head.baddbmm_(asked.heads[i], self._positions)


class TokensToImage(_Cross):
    """Tokens ask, the image answers (upstream's `…_token_to_image`)."""

    def __init__(self, attention: Any, positions: Tensor) -> None:
        super().__init__(attention, positions, attention.k_proj)
        self._query = attention.q_proj
        self._value = split_rows(attention.v_proj.weight, self._heads).mT.contiguous()
        self._value_bias = attention.v_proj.bias
        self._out = attention.out_proj

    def ask(self, tokens: Tensor) -> Asked:
        """Project tokens (n, T, D)."""
        return self._absorb(self._query(tokens))

    def look(self, asked: Asked, i: int, keys: Tensor, work: Workspace) -> Tensor:
        """Return what prompt i finds in its image (pixels, D): (heads · T, D)."""
        scores = self._scores(asked, i, keys, work)
        weights = work.take("weights", *scores.shape)
        torch.softmax(scores, -1, out=weights)
        return weights.flatten(0, 1) @ keys

    def tell(self, found: Tensor) -> Tensor:
        """Turn what prompts found, (n, heads · T, D), into tokens (n, T, D)."""
        # Weights of an attention sum to one, so the values' bias is added once.
        by_head = found.view(len(found), self._heads, -1, found.shape[2])
        values = by_head @ self._value
        return self._join(values)

    def share(self, keys: Tensor) -> SharedKeys:
        """Project an image (pixels, D) that is the same for all prompts."""
        values = (keys @ self._value).contiguous()
        return SharedKeys(self._project(keys), values)

    def look_shared(self, tokens: Tensor, image: SharedKeys) -> Tensor:
        """Let tokens (n, T, D) of all prompts look at a shared image: (n, T, D)."""
        asked = self._split(self._query(tokens)).transpose(0, 1)
        weights = (asked.flatten(1, 2) @ image.keys).softmax(-1)
        values = (weights @ image.values).view(self._heads, *tokens.shape[:2], -1)
        return self._join(values.transpose(0, 1))

    def _join(self, values: Tensor) -> Tensor:
        joined = values.transpose(1, 2).flatten(2)
        out: Tensor = self._out(joined.add(self._value_bias))
        return out


class ImageToTokens(_Cross):
    """The image asks, tokens answer (upstream's `…_image_to_token`)."""

    def __init__(self, attention: Any, positions: Tensor) -> None:
        super().__init__(attention, positions, attention.q_proj)
        self._key = attention.k_proj
        self._value = attention.v_proj
        self._out = split_rows(attention.out_proj.weight.T, self._heads)
        # A head's weights sum to one: each head brings its part of the bias.
        self._out_bias = attention.out_proj.bias / self._heads

    def offer(self, keys: Tensor) -> Asked:
        """Project tokens (n, T, D) with their own positions added."""
        return self._absorb(self._key(keys))

    def values(self, tokens: Tensor) -> Tensor:
        """Return what each token adds to a pixel per weight, (n, heads · T, D)."""
        values = self._split(self._value(tokens)) @ self._out
        return values.add_(self._out_bias).flatten(1, 2)

    def share(self, keys: Tensor) -> Tensor:
        """Project an image (pixels, D) that is the same for all prompts."""
        return self._project(keys)

    def weigh(
        self, asked: Asked, i: int, keys: Tensor, work: Workspace, out: Tensor
    ) -> None:
        """Write the weights of prompt i's tokens into `out`, (heads · T, pixels)."""
        scores = self._scores(asked, i, keys, work)
        torch.softmax(scores, 1, out=out.view_as(scores))

    def weigh_shared(
        self, asked: Asked, i: int, image: Tensor, work: Workspace, out: Tensor
    ) -> None:
        """Do the same for a shared image, (heads, d, pixels)."""
        scores = work.take("scores", *asked.heads[i].shape[:2], image.shape[2])
        torch.bmm(asked.heads[i], image, out=scores)
        torch.softmax(scores, 1, out=out.view_as(scores))


def split_rows(weight: Tensor, heads: int) -> Tensor:
    """Turn a weight (heads · d, D) into (heads, d, D)."""
    return weight.reshape(heads, -1, weight.shape[1])
