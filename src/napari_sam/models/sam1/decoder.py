"""SAM's mask decoder, made for many prompts on one image.

Upstream repeats the image for every prompt and projects it again and again. Here what
prompts share is computed once per image, and the rest by cheaper orders of the same
products (`attention`, `transformer`, `upscaling`), a few prompts at a time: those of
one prompt fit into the cache, those of a hundred do not. On a CPU every thread takes
prompts of its own (`crew`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from napari_sam.models.crew import Crew
from napari_sam.models.sam1.transformer import SharedImage, TwoWay
from napari_sam.models.sam1.upscaling import LOGITS, Upscaler
from napari_sam.models.sam1.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

# Prompts that a thread takes at once: fewer read the tokens' weights more often, more
# keep an urgent request waiting longer.
CHUNK = 4


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What all prompts of one image share.

    Attributes
    ----------
    tokens : Tensor, shape (4096, 256)
        The embedding.
    shared : SharedImage
        Opaque; 15 MB.
    """

    tokens: Tensor
    shared: SharedImage


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """The answers to some consecutive prompts.

    Attributes
    ----------
    first : int
        Index of the first of these prompts.
    logits : float32 Tensor, shape (n, C, 256, 256)
        Candidates in the decoder's order.
    iou : float32 Tensor, shape (n, C)
        The IoU that the decoder predicts for each.
    """

    first: int
    logits: Tensor
    iou: Tensor


class FastDecoder:
    """Decode prompts with the weights of ultralytics' SAM 1 module.

    Equal to upstream's mask decoder up to rounding.

    Parameters
    ----------
    sam : nn.Module
        With `prompt_encoder` and `mask_decoder`, float32, on its device; its weights
        must not change afterwards.
    """

    @torch.inference_mode()
    def __init__(self, sam: nn.Module) -> None:
        encoder: Any = sam.prompt_encoder
        decoder: Any = sam.mask_decoder
        self._decoder = decoder
        self._no_mask: Tensor = encoder.no_mask_embed.weight
        positions = _as_tokens(encoder.get_dense_pe()[0])
        self._upscaler = Upscaler(decoder.output_upscaling)
        self._two_way = TwoWay(
            decoder.transformer,
            positions,
            self._upscaler.weight,
            self._upscaler.bias,
        )
        self._spare: list[Workspace] = []
        self._output_tokens = torch.cat(
            [decoder.iou_token.weight, decoder.mask_tokens.weight]
        )

    @torch.inference_mode()
    def prepare(self, embedding: Tensor) -> Prepared:
        """Compute what all prompts of an image share.

        Parameters
        ----------
        embedding : float32 Tensor, shape (1, 256, 64, 64)
        """
        tokens = _as_tokens(embedding[0])
        return Prepared(tokens, self._two_way.share(tokens + self._no_mask))

    def chunks(
        self,
        prepared: Prepared,
        sparse: Tensor,
        dense: Tensor | None = None,
        *,
        multimask: bool,
    ) -> Iterator[Decoded]:
        """Yield answers for a few prompts at a time, in order.

        Parameters
        ----------
        prepared : Prepared
        sparse : float32 Tensor, shape (N, T, 256)
            Points and box corners, from the prompt encoder.
        dense : float32 Tensor, shape (N, 256, 64, 64), optional
            Mask prompts, from the prompt encoder; None where there are none.
        multimask : bool
            Three candidates for each prompt, or one.
        """

        def decode(part: slice) -> Decoded:
            masks = None if dense is None else dense[part]
            found = self._decode(prepared, sparse[part], masks, multimask)
            return Decoded(part.start, *found)

        with Crew(sparse.device) as crew:
            together = CHUNK * crew.size
            for begin in range(0, len(sparse), together):
                yield from crew.share(decode, begin, min(begin + together, len(sparse)))

    def __call__(
        self,
        prepared: Prepared,
        sparse: Tensor,
        dense: Tensor | None = None,
        *,
        multimask: bool,
    ) -> tuple[Tensor, Tensor]:
        """Return all answers: logits (N, C, 256, 256) and predicted IoU (N, C)."""
        parts = list(self.chunks(prepared, sparse, dense, multimask=multimask))
        return torch.cat([p.logits for p in parts]), torch.cat([p.iou for p in parts])

    @torch.inference_mode()
    def _decode(
        self, prepared: Prepared, sparse: Tensor, dense: Tensor | None, multimask: bool
    ) -> tuple[Tensor, Tensor]:
        own = self._output_tokens.expand(len(sparse), -1, -1)
        image: SharedImage | Tensor = prepared.shared
        if dense is not None:
            image = prepared.tokens + dense.flatten(2).mT
        try:
            work = self._spare.pop()
        except IndexError:
            work = Workspace(sparse.device)
        prompts = torch.cat([own, sparse], 1)
        tokens, upscaled = self._two_way.run(prompts, image, work)
        # The first mask is the answer to a prompt that is not ambiguous.
        chosen = range(1, len(own[0]) - 1) if multimask else range(1)
        networks = self._decoder.output_hypernetworks_mlps
        hyper = torch.stack([networks[i](tokens[:, 1 + i]) for i in chosen], 1)
        logits = hyper.new_empty((*hyper.shape[:2], LOGITS, LOGITS))
        for each, weights, masks in zip(upscaled, hyper, logits, strict=True):
            self._upscaler.masks(each, weights, work, masks)
        self._spare.append(work)
        iou = self._decoder.iou_prediction_head(tokens[:, 0])
        return logits, iou[:, chosen.start : chosen.stop]


def _as_tokens(image: Tensor) -> Tensor:
    """Turn (D, 64, 64) into tokens (4096, D)."""
    return image.flatten(1).T.contiguous()
