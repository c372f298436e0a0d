"""SAM's mask decoder, made for many prompts on one image.

Upstream repeats the image for every prompt and projects it again and again. Here what
prompts share is computed once per image, and the rest by cheaper orders of the same
products (`attention`, `transformer`, `upscaling`), a few prompts at a time: those of
one prompt fit into the cache, those of a hundred do not. On a CPU every thread takes
prompts of its own (`crew`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from napari_sam.models.crew import Crew
from napari_sam.models.sam1.transformer import SharedImage, TwoWay
from napari_sam.models.sam1.upscaling import Finer, Upscaler
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
    shared : SharedImage, optional
        Opaque; 15 MB. None where prompts share only the finer maps.
    finer : Finer, optional
        SAM 2's finer maps; 12 MB.
    """

    tokens: Tensor
    shared: SharedImage | None
    finer: Finer | None = None


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
    token : float32 Tensor, shape (n, 256)
        The token behind the best candidate; the first one's where one was asked for.
    present : float32 Tensor, shape (n,), optional
        Logit of SAM 2 for there being an object at all.
    """

    first: int
    logits: Tensor
    iou: Tensor
    token: Tensor
    present: Tensor | None = None


class FastDecoder:
    """Decode prompts with the weights of ultralytics' modules of SAM 1 or SAM 2.

    Equal to upstream's mask decoder up to rounding.

    Parameters
    ----------
    prompt_encoder, mask_decoder : nn.Module
        float32, on their device; their weights must not change afterwards.
    """

    @torch.inference_mode()
    def __init__(self, prompt_encoder: nn.Module, mask_decoder: nn.Module) -> None:
        encoder: Any = prompt_encoder
        decoder: Any = mask_decoder
        self._decoder = decoder
        self._no_mask: Tensor = encoder.no_mask_embed.weight
        positions = _as_tokens(encoder.get_dense_pe()[0])
        side = math.isqrt(len(positions))
        self._upscaler = Upscaler(decoder.output_upscaling, side)
        self._two_way = TwoWay(
            decoder.transformer,
            positions,
            self._upscaler.weight,
            self._upscaler.bias,
        )
        self._spare: list[Workspace] = []
        tokens = [decoder.iou_token.weight, decoder.mask_tokens.weight]
        presence = getattr(decoder, "obj_score_token", None)
        self._tells_presence = presence is not None
        if presence is not None:
            tokens.insert(0, presence.weight)
        self._output_tokens = torch.cat(tokens)
        self._falls_back = getattr(decoder, "dynamic_multimask_via_stability", False)

    @torch.inference_mode()
    def prepare(
        self, embedding: Tensor, finer: tuple[Tensor, Tensor] | None = None
    ) -> Prepared:
        """Compute what all prompts of an image share.

        Parameters
        ----------
        embedding : float32 Tensor, shape (1, 256, 64, 64)
        finer : pair of float32 Tensors, optional
            SAM 2's, of the shapes (1, 64, 128, 128) and (1, 32, 256, 256).
        """
        tokens = _as_tokens(embedding[0])
        maps = None
        if finer is not None:
            maps = self._upscaler.finer(*(each[0] for each in finer))
        return Prepared(tokens, self._two_way.share(tokens + self._no_mask), maps)

    @torch.inference_mode()
    def prepare_apart(self, finer: tuple[Tensor, Tensor]) -> Prepared:
        """As `prepare` where each prompt comes with an embedding of its own.

        It is given in `dense`, with the prompt's own dense part added.
        """
        maps = self._upscaler.finer(*(each[0] for each in finer))
        return Prepared(finer[0].new_zeros(()), None, maps)

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
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        own = self._output_tokens.expand(len(sparse), -1, -1)
        image: SharedImage | Tensor | None = prepared.shared
        if dense is not None:
            image = prepared.tokens + dense.flatten(2).mT
        assert image is not None
        try:
            work = self._spare.pop()
        except IndexError:
            work = Workspace(sparse.device)
        prompts = torch.cat([own, sparse], 1)
        tokens, upscaled = self._two_way.run(prompts, image, work)
        present = None
        if self._tells_presence:
            present = self._decoder.pred_obj_score_head(tokens[:, 0])[:, 0]
            tokens = tokens[:, 1:]
        iou: Tensor = self._decoder.iou_prediction_head(tokens[:, 0])
        # The first mask is the answer to a prompt that is not ambiguous.
        networks = self._decoder.output_hypernetworks_mlps
        one = [networks[0](tokens[:, 1])]
        rest = [networks[i](tokens[:, 1 + i]) for i in range(1, len(networks))]
        hyper = torch.stack(rest if multimask else one, 1)
        side = 4 * self._upscaler.side
        logits = hyper.new_empty((*hyper.shape[:2], side, side))
        scores = iou[:, 1:] if multimask else iou[:, :1].clone()
        for i, each in enumerate(upscaled):
            draw = partial(self._upscaler.masks, each, work=work, finer=prepared.finer)
            draw(hyper=hyper[i], out=logits[i])
            if self._falls_back and not multimask and not self._stable(logits[i]):
                best = int(iou[i, 1:].argmax())
                draw(hyper=rest[best][i, None], out=logits[i])
                scores[i] = iou[i, 1 + best]
        self._spare.append(work)
        token = tokens[:, 1]
        if multimask:
            token = tokens[torch.arange(len(tokens)), 2 + scores.argmax(1)]
        return logits, scores, token, present

    def _stable(self, logits: Tensor) -> bool:
        """Tell whether moving the threshold hardly changes a mask, as SAM 2 does."""
        delta = self._decoder.dynamic_multimask_stability_delta
        inner, outer = (
            (logits > at).sum(dtype=torch.float32) for at in (delta, -delta)
        )
        stability = inner / outer if outer > 0 else 1.0
        return bool(stability >= self._decoder.dynamic_multimask_stability_thresh)


def _as_tokens(image: Tensor) -> Tensor:
    """Turn (D, 64, 64) into tokens (4096, D)."""
    return image.flatten(1).T.contiguous()
