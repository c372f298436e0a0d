"""SAM 2 behind the protocol that every promptable model answers."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from napari_sam.models.device import resolve_device
from napari_sam.models.protocol import ModelInfo
from napari_sam.models.sam1.base import SamModel
from napari_sam.models.sam1.decoder import Decoded, FastDecoder, Prepared
from napari_sam.models.sam1.geometry import Frame
from napari_sam.models.sam1.prompts import Batch, batches
from napari_sam.models.sam2.encoder import Features, ImageEncoder
from napari_sam.models.sam2.follow import Sam2Follower
from napari_sam.models.sam2.memory import ObjectMemory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from napari_sam.images import Plane
    from napari_sam.models.protocol import Embed, Follower
    from napari_sam.types import Embedding, Mask, Prompt

_CORNERS = (2, 3)  # labels of a box's first and second corner


class Sam2Model(SamModel):
    """SAM 2 and 2.1 of any size, for planes and stacks.

    Parameters
    ----------
    network : nn.Module
        From `build`; it is moved to the device and belongs to this model then.
    name : str
        Catalog name, or the checkpoint's file name.
    version : str
        The architecture, or what the catalog says.
    sha256 : str
        Hash of the checkpoint.
    device : str
        "auto", "cpu", "cuda", "cuda:1" or "mps".
    """

    most = 32.0  # as Meta's predictor

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str,
        version: str,
        sha256: str,
        device: str = "auto",
    ) -> None:
        where = resolve_device(device)
        network = network.to(where)
        prompts, decoder = (
            network.get_submodule(part)
            for part in ("sam_prompt_encoder", "sam_mask_decoder")
        )
        self._network: Any = network
        self._encoder = ImageEncoder(network, where)
        info = ModelInfo(name, version, sha256, str(where))
        super().__init__(info, prompts, FastDecoder(prompts, decoder), where)

    def frame(self, shape: tuple[int, int]) -> Frame:
        """Return how a plane of this shape lies in the model's input."""
        return Frame.stretched(shape)

    def _features(self, plane: Plane) -> Features:
        return self._encoder(plane.pixels)

    def follow(self, embed: Embed, count: int) -> Follower:
        """Follow objects through a stack; see `StackModel`."""
        return Sam2Follower(self, embed, count)

    @cached_property
    def memory(self) -> ObjectMemory:
        """What makes and uses memories of objects."""
        return ObjectMemory(self._network)

    @torch.inference_mode()
    def alone(self, features: Features) -> Tensor:
        """Return a plane (1, 256, 64, 64) as it is where nothing is remembered."""
        alone: Tensor = features.top + self._network.no_mem_embed.view(1, -1, 1, 1)
        return alone

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
        features: Features = self._known(embedding)
        return features

    def batch_of(self, shape: tuple[int, int], prompt: Prompt) -> Batch:
        """Return one prompt as the prompt encoder takes it."""
        (batch,) = batches(self.frame(shape), [prompt], None, self._info.sha256)
        return batch

    def _share(self, features: Features) -> Prepared:
        finer = features.low, features.high
        return self._decoder.prepare(self.alone(features), finer)

    def _sparse(self, batch: Batch) -> tuple[Tensor, Tensor]:
        points, labels = [], []
        if batch.boxes is not None:  # as two points, before all others
            points.append(batch.boxes.view(-1, 2, 2))
            labels.append(torch.tensor(_CORNERS).expand(len(batch.boxes), -1))
        if batch.points is not None and batch.labels is not None:
            points.append(batch.points)
            labels.append(batch.labels)
        clicks = None
        if points:
            clicks = (
                torch.cat(points, 1).to(self._device),
                torch.cat(labels, 1).to(self._device),
            )
        masks = None if batch.masks is None else batch.masks.to(self._device)
        sparse, dense = self._prompt_encoder(points=clicks, boxes=None, masks=masks)
        return sparse, dense
