"""SAM 2 behind the protocol that every promptable model answers."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from napari_sam.models.sam1.geometry import Frame
from napari_sam.models.sam1.prompts import Batch, batches
from napari_sam.models.sam2.encoder import ImageEncoder
from napari_sam.models.sam2.follow import Sam2Follower
from napari_sam.models.sam2.hiera import accelerate
from napari_sam.models.sam2.memory import ObjectMemory
from napari_sam.models.sam2.planes import Sam2Planes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from napari_sam.models.protocol import Embed, Follower
    from napari_sam.models.sam1.decoder import Decoded
    from napari_sam.models.sam2.encoder import Features
    from napari_sam.types import Embedding, Mask, Prompt


class Sam2Model(Sam2Planes):
    """SAM 2 and 2.1 of any size, for planes and stacks; see `Sam2Planes`."""

    def frame(self, shape: tuple[int, int]) -> Frame:
        """Return how a plane of this shape lies in the model's input."""
        return Frame.stretched(shape)

    def _encoder_of(self, network: nn.Module, device: torch.device) -> ImageEncoder:
        accelerate(network)
        return ImageEncoder(network, device)

    def follow(self, embed: Embed, count: int) -> Follower:
        """Follow objects through a stack; see `StackModel`."""
        return Sam2Follower(self, embed, count)

    @cached_property
    def memory(self) -> ObjectMemory:
        """What makes and uses memories of objects."""
        return ObjectMemory(self._network)

    @torch.inference_mode()
    def shrunk(self, mask: Tensor) -> Tensor:
        """Make of a mask (1, 1, 1024, 1024) the logits (1, 1, 256, 256) of a prompt."""
        found: Tensor = self._network.mask_downsample(mask)
        return found

    @torch.inference_mode()
    def ask(
        self, features: Features, images: Tensor, batch: Batch, *, several: bool
    ) -> Iterator[Decoded]:
        """Decode one prompt on each of some versions of a plane.

        Parameters
        ----------
        features : Features
            Of the plane.
        images : float32 Tensor, shape (N, 256, 64, 64)
            The plane, with what is remembered of N objects.
        batch : Batch
            With one prompt.
        several : bool
            Three candidates for each, or one.
        """
        sparse, dense = self._sparse(batch)
        sparse = sparse.expand(len(images), -1, -1)
        prepared = self._decoder.prepare_apart((features.low, features.high))
        yield from self._decoder.chunks(
            prepared, sparse, images + dense, multimask=several
        )

    def mask_of(self, shape: tuple[int, int], logits: Tensor, score: float) -> Mask:
        """Return logits (1, 1, 256, 256) as a mask on a plane of this shape."""
        return self._mask(self.frame(shape), logits[0, 0].cpu().numpy(), score)

    def features_of(self, embedding: Embedding) -> Features:
        """Return what the encoder made of a plane."""
        features: Features = self.features(embedding)
        return features

    def batch_of(self, shape: tuple[int, int], prompt: Prompt) -> Batch:
        """Return one prompt as the prompt encoder takes it."""
        (batch,) = batches(self.frame(shape), [prompt], None, self._info.sha256)
        return batch
