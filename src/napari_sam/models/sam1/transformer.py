"""SAM's two-way transformer and upscaling, with what prompts share done once.

Both norms of the image's tokens only scale and shift them, and attention only adds a
few rows' multiples, so the image's tokens x of a prompt always are

    x = scale · (the image's own) + (weights of the prompt's tokens) @ (few rows).

A linear map of x, like the first transposed convolution, is then the map of the image's
own tokens, which all prompts share, and a product with few rows: exact up to rounding,
and for seven tokens less than half of the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from napari_sam.models.sam1.attention import (
    Asked,
    ImageToTokens,
    SharedKeys,
    TokensToImage,
)
from napari_sam.models.sam1.upscaling import LowRank

if TYPE_CHECKING:
    from napari_sam.models.sam1.workspace import Workspace

_PART = 512  # pixels at a time


@dataclass(frozen=True, slots=True, eq=False)
class SharedImage:
    """An image without mask prompts, as the first layer and the end see it.

    Attributes
    ----------
    keys : Tensor, shape (PIXELS, D)
        With the embedding for "no mask" added.
    first : SharedKeys
        For the first token-to-image attention.
    queries : Tensor, shape (heads, d, PIXELS)
        For the first image-to-token attention.
    upscaled : Tensor, shape (PIXELS, D)
        Its share of what the first transposed convolution returns.
    """

    keys: Tensor
    first: SharedKeys
    queries: Tensor
    upscaled: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class _Offer:
    """What tokens of n prompts have for the image.

    Attributes
    ----------
    asked : Asked
    values : Tensor, shape (n, heads · T, D)
    """

    asked: Asked
    values: Tensor


class _Layer:
    """One two-way layer; the tokens' part of it is upstream's own modules."""

    def __init__(self, block: Any, positions: Tensor) -> None:
        self._block = block
        self.to_image = TokensToImage(block.cross_attn_token_to_image, positions)
        self.to_tokens = ImageToTokens(block.cross_attn_image_to_token, positions)
        self.norm = block.norm4

    def among(self, tokens: Tensor, prompts: Tensor) -> Tensor:
        """Let the tokens (n, T, D) of each prompt look at each other."""
        attend = self._block.self_attn
        if self._block.skip_first_layer_pe:
            tokens = attend(q=tokens, k=tokens, v=tokens)
        else:
            asking = tokens + prompts
            tokens = tokens + attend(q=asking, k=asking, v=tokens)
        normed: Tensor = self._block.norm1(tokens)
        return normed

    def digest(self, tokens: Tensor, told: Tensor) -> Tensor:
        """Add what the image told to the tokens (n, T, D)."""
        tokens = self._block.norm2(tokens + told)
        normed: Tensor = self._block.norm3(tokens + self._block.mlp(tokens))
        return normed

    def offer(self, tokens: Tensor, prompts: Tensor) -> _Offer:
        """Prepare tokens (n, T, D) for the image's look at them."""
        attention = self.to_tokens
        return _Offer(attention.offer(tokens + prompts), attention.values(tokens))


class _Ending:
    """The first transposed convolution of the tokens after both layers, by parts."""

    def __init__(self, first: Any, second: Any, weight: Tensor, bias: Tensor) -> None:
        # What a norm does to its input's parts: centre them, multiply each channel.
        self.second = _centred(second.weight[:, None] * weight)
        self.first = _centred(first.weight[:, None] * self.second)
        self._constant = torch.stack(
            [first.bias @ self.second, second.bias @ weight + bias]
        )

    def combine(self, shared: Tensor, answer: _Answer) -> LowRank:
        """Return the result for one prompt; its weights are scaled in place."""
        one, two = answer.scales
        scale, weights, rows = one * two, answer.weights, answer.rows
        weights[:rows].mul_(scale)
        weights[rows:-2].mul_(two)
        weights[-2] = two
        weights[-1] = 1
        terms = [answer.values[0] @ self.first, answer.values[1] @ self.second]
        return LowRank(
            scale[:, None], shared, weights, torch.cat([*terms, self._constant])
        )


class _Answer:
    """The image of one prompt on its way through both layers.

    Attributes
    ----------
    keys : Tensor, shape (PIXELS, D)
        After the first layer, and then of use as memory only.
    weights : Tensor, shape (2 · heads · T + 2, PIXELS)
        Those of both layers' image-to-token attention, and two rows more.
    rows : int
        heads · T.
    scales : Tensor, shape (2, PIXELS)
        The factors of both layers' norms.
    values : list of Tensor, shape (heads · T, D)
        What the layers added by these weights.
    """

    def __init__(self, slot: int, like: Tensor, pixels: int, work: Workspace) -> None:
        self._work = work
        rows, width = like.shape
        self.rows = rows
        self.keys = work.take(f"keys {slot}", pixels, width)
        self.weights = work.take(f"weights {slot}", 2 * rows + 2, pixels)
        self.scales = work.take(f"scales {slot}", 2, pixels)
        self.values: list[Tensor] = []

    def next_weights(self) -> Tensor:
        """Return where the next layer's weights belong, (heads · T, PIXELS)."""
        start = self.rows * len(self.values)
        return self.weights[start : start + self.rows]

    def add(self, keys: Tensor, values: Tensor, norm: Any) -> Tensor:
        """Add values by the weights to keys (PIXELS, D), and normalize."""
        weights, layer = self.next_weights(), len(self.values)
        self.values.append(values)
        total = self._work.take("total", *keys.shape)
        if layer:  # nobody needs those after the first layer any more
            total, out = keys.addmm_(weights.T, values), total
        else:
            torch.addmm(keys, weights.T, values, out=total)
            out = self.keys
        _normalize(total, norm, out, self.scales[layer])
        return out


class TwoWay:
    """The transformer of one checkpoint, and the first step of upscaling.

    Parameters
    ----------
    transformer : nn.Module
        Upstream's, of two layers.
    positions : Tensor, shape (PIXELS, D)
        Positional encoding of the image's tokens.
    weight, bias : Tensor, shapes (D, D) and (D,)
        The first transposed convolution as a matrix product.
    """

    def __init__(
        self, transformer: Any, positions: Tensor, weight: Tensor, bias: Tensor
    ) -> None:
        self._pixels = len(positions)
        self._one, self._two = (_Layer(b, positions) for b in transformer.layers)
        self._final = TokensToImage(transformer.final_attn_token_to_image, positions)
        self._final_norm = transformer.norm_final_attn
        self._weight, self._bias = weight, bias
        self._ending = _Ending(self._one.norm, self._two.norm, weight, bias)

    def share(self, image: Tensor) -> SharedImage:
        """Prepare an image (PIXELS, D) for prompts without masks."""
        return SharedImage(
            image,
            self._one.to_image.share(image),
            self._one.to_tokens.share(image),
            image @ self._ending.first,
        )

    def run(
        self, prompts: Tensor, image: SharedImage | Tensor, work: Workspace
    ) -> tuple[Tensor, list[LowRank | Tensor]]:
        """Let prompts and image attend to each other.

        Parameters
        ----------
        prompts : Tensor, shape (n, T, D)
            Tokens of n prompts.
        image : SharedImage, or Tensor of shape (n, PIXELS, D)
            The same for all prompts, or one for each.
        work : Workspace

        Returns
        -------
        tokens : Tensor, shape (n, T, D)
        upscaled : list of n LowRank or Tensor (PIXELS, D)
            The image's tokens after the first transposed convolution; they live in
            the workspace.
        """
        one, two = self._one, self._two
        tokens = one.among(prompts, prompts)
        tokens = one.digest(tokens, self._first_look(tokens + prompts, image, work))
        offer = one.offer(tokens, prompts)
        tokens = two.among(tokens, prompts)
        ask = two.to_image.ask(tokens + prompts)
        answers, found = [], []
        for i in range(len(prompts)):
            answer = _Answer(i, offer.values[i], self._pixels, work)
            keys = self._first_answer(offer, i, image, answer, work)
            answers.append(answer)
            found.append(two.to_image.look(ask, i, keys, work))
        tokens = two.digest(tokens, two.to_image.tell(torch.stack(found)))
        offer, ask = two.offer(tokens, prompts), self._final.ask(tokens + prompts)
        upscaled, found = [], []
        for i, answer in enumerate(answers):
            weights = answer.next_weights()
            two.to_tokens.weigh(offer.asked, i, answer.keys, work, weights)
            keys = answer.add(answer.keys, offer.values[i], two.norm)
            found.append(self._final.look(ask, i, keys, work))
            upscaled.append(self._upscale(image, keys, answer))
        told: Tensor = self._final.tell(torch.stack(found))
        return self._final_norm(tokens + told), upscaled

    def _first_look(
        self, tokens: Tensor, image: SharedImage | Tensor, work: Workspace
    ) -> Tensor:
        attention = self._one.to_image
        if isinstance(image, SharedImage):
            return attention.look_shared(tokens, image.first)
        ask = attention.ask(tokens)
        found = [attention.look(ask, i, keys, work) for i, keys in enumerate(image)]
        return attention.tell(torch.stack(found))

    def _first_answer(
        self,
        offer: _Offer,
        i: int,
        image: SharedImage | Tensor,
        answer: _Answer,
        work: Workspace,
    ) -> Tensor:
        attention, weights = self._one.to_tokens, answer.next_weights()
        if isinstance(image, SharedImage):
            keys = image.keys
            attention.weigh_shared(offer.asked, i, image.queries, work, weights)
        else:
            keys = image[i]
            attention.weigh(offer.asked, i, keys, work, weights)
        return answer.add(keys, offer.values[i], self._one.norm)

    def _upscale(
        self, image: SharedImage | Tensor, keys: Tensor, answer: _Answer
    ) -> LowRank | Tensor:
        if isinstance(image, SharedImage):
            return self._ending.combine(image.upscaled, answer)
        return torch.addmm(self._bias, keys, self._weight, out=answer.keys)


def _normalize(x: Tensor, norm: Any, out: Tensor, scale: Tensor) -> None:
    """Write the layer norm of x, (n, D), into `out` and its factors into `scale`."""
    # torch allocates what it returns: small parts come from memory at hand.
    affine = norm.weight, norm.bias, norm.eps
    for start in range(0, len(x), _PART):
        part = slice(start, start + _PART)
        normed, _, factors = torch.native_layer_norm(x[part], x.shape[1:], *affine)
        out[part] = normed
        scale[part] = factors[:, 0]


def _centred(weight: Tensor) -> Tensor:
    """Make a weight (D, out) blind to its inputs' mean, as a norm is."""
    return weight - weight.mean(0)
