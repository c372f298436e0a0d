"""What every Segment Anything model has in common behind the protocol."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from napari_sam.images import Normalization, Plane, make_plane
from napari_sam.models.lane import checkpoint
from napari_sam.models.sam1.masks import part_of, to_mask
from napari_sam.models.sam1.memory import Memory
from napari_sam.models.sam1.prompts import batches
from napari_sam.types import (
    Candidates,
    Embedding,
    FloatArray,
    IntBox,
    Mask,
    ModelError,
    Prompt,
    Tile,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from napari_sam.models.protocol import ModelInfo
    from napari_sam.models.sam1.decoder import FastDecoder, Prepared
    from napari_sam.models.sam1.geometry import Frame
    from napari_sam.models.sam1.prompts import Batch


@dataclass(frozen=True, slots=True, eq=False)
class LowResolution:
    """What the network itself answers to one prompt, in its own order.

    Attributes
    ----------
    logits : float32 array, shape (C, 256, 256)
        Of 4×4 pixels of the 1024×1024 input each; `full_logits` in
        `napari_sam.models.sam1.masks` takes them to the plane.
    scores : float32 array, shape (C,)
        Predicted IoU.
    present : float, optional
        Logit for there being an object at all, from models that tell.
    """

    logits: FloatArray
    scores: FloatArray
    present: float | None = None


class SamModel(ABC):
    """Encode a plane once, then answer any number of prompts on it.

    Parameters
    ----------
    info : ModelInfo
    prompt_encoder : nn.Module
    decoder : FastDecoder
    device : torch.device
        Where both are.
    """

    # Of a logit that is remembered for refining an answer.
    most: ClassVar[float] = np.inf

    def __init__(
        self,
        info: ModelInfo,
        prompt_encoder: Any,
        decoder: FastDecoder,
        device: torch.device,
    ) -> None:
        self._info, self._device = info, device
        self._prompt_encoder, self._decoder = prompt_encoder, decoder
        # What all prompts of one image share takes several times the memory of
        # the embedding, so only that of the last one is kept.
        self._prepared: tuple[Any, Prepared] | None = None

    @property
    def info(self) -> ModelInfo:
        """Which model this is."""
        return self._info

    @abstractmethod
    def frame(self, shape: tuple[int, int]) -> Frame:
        """Return how a plane of this shape lies in the model's input."""

    @abstractmethod
    def _features(self, plane: Plane) -> Any:
        """Run the encoder."""

    @abstractmethod
    def _share(self, features: Any) -> Prepared:
        """Compute what all prompts share."""

    @abstractmethod
    def _sparse(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Run the prompt encoder: sparse (N, T, 256), dense (N, 256, 64, 64)."""

    def encode(
        self,
        image: npt.NDArray[Any] | Plane,
        normalization: Normalization | None = None,
    ) -> Embedding:
        """Encode one plane.

        Parameters
        ----------
        image : array, shape (H, W) or (H, W, C) with C <= 4, or Plane
            Any real dtype.
        normalization : Normalization, optional
            Contrast for an array; by default its own percentiles.

        Returns
        -------
        Embedding
            With one tile.
        """
        plane = image if isinstance(image, Plane) else make_plane(image, normalization)
        height, width = plane.shape
        tile = Tile((0, 0, height, width), self._features(plane))
        return Embedding(self._info.sha256, (height, width), (tile,))

    def encode_batch(self, images: Sequence[Plane]) -> list[Embedding]:
        """Encode several planes, one after the other: on a CPU that is as fast."""
        return [self.encode(image) for image in images]

    def decode(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompt],
        *,
        multimask: bool | None = None,
    ) -> list[Candidates]:
        """Answer every prompt, in order, none dropped.

        Parameters
        ----------
        embedding : Embedding
            From this model.
        prompts : sequence of Prompt
            Points, a box, a mask, a previous answer, or any mix. Refining an
            answer of this model on such a plane is what Meta's `mask_input` does.
        multimask : bool, optional
            Three candidates (True) or one (False) for each prompt; by default
            three where there is only one click.

        Returns
        -------
        list of Candidates
            Best predicted IoU first. An answer may be an empty mask; its score
            is 0 then.

        Raises
        ------
        ModelError
            If the embedding is another model's.
        PromptError
            If a mask or a previous answer does not fit the plane.
        """
        frame = self.frame(embedding.shape)
        answers: dict[int, Candidates] = {}
        for number, low in self._answers(embedding, prompts, multimask):
            masks = [
                self._mask(frame, logits, float(score))
                for logits, score in zip(low.logits, low.scores, strict=True)
            ]
            answers[number] = Candidates(tuple(sorted(masks, key=_worse)))
        return [answers[number] for number in range(len(prompts))]

    def _mask(self, frame: Frame, logits: FloatArray, score: float) -> Mask:
        kept = np.clip(logits, -self.most, self.most)
        memory = Memory.of(self._info.sha256, frame.shape, kept)
        return to_mask(frame, logits, score, memory)

    def probability(
        self, mask: Mask, shape: tuple[int, int], box: IntBox
    ) -> FloatArray | None:
        """Return how likely pixels are the object's; see `SoftModel`."""
        memory = mask.memory
        if not isinstance(memory, Memory) or not memory.fits(self._info.sha256, shape):
            return None
        return part_of(self.frame(shape), memory.logits.astype(np.float32), box)

    def decode_logits(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompt],
        *,
        multimask: bool | None = None,
    ) -> list[LowResolution]:
        """Answer every prompt with logits instead of masks.

        Parameters and errors are those of `decode`.
        """
        answers = dict(self._answers(embedding, prompts, multimask))
        return [answers[number] for number in range(len(prompts))]

    def _answers(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompt],
        multimask: bool | None,
    ) -> Iterator[tuple[int, LowResolution]]:
        """Yield the number of a prompt and its answer, in the decoder's order."""
        features = self._known(embedding)
        frame = self.frame(embedding.shape)
        for batch in batches(frame, prompts, multimask, self._info.sha256):
            sparse, dense = self._encoded(batch)
            prepared = self._prepare(features)
            chunks = self._decoder.chunks(
                prepared, sparse, dense, multimask=batch.multimask
            )
            for chunk in chunks:
                logits, scores = chunk.logits.cpu().numpy(), chunk.iou.cpu().numpy()
                there = None if chunk.present is None else chunk.present.tolist()
                for i, pair in enumerate(zip(logits, scores, strict=True)):
                    present = None if there is None else there[i]
                    yield batch.numbers[chunk.first + i], LowResolution(*pair, present)
                checkpoint()

    def _known(self, embedding: Embedding) -> Any:
        if embedding.model != self._info.sha256:
            raise ModelError(
                f'this embedding is not from the model "{self._info.name}"; '
                "encode the plane again"
            )
        (tile,) = embedding.tiles
        return tile.features

    @torch.inference_mode()
    def _encoded(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Run the prompt encoder; without masks its dense part is left out."""
        sparse, dense = self._sparse(batch)
        return sparse, None if batch.masks is None else dense

    def _prepare(self, features: Any) -> Prepared:
        last = self._prepared
        if last is not None and last[0] is features:
            return last[1]
        prepared = self._share(features)
        self._prepared = features, prepared
        return prepared


def _worse(mask: Mask) -> float:
    return -mask.score
