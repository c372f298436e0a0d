"""What every Segment Anything model has in common behind the protocol."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from napari_sam.models.lane import checkpoint
from napari_sam.models.sam1.masks import part_of, to_mask
from napari_sam.models.sam1.memory import Memory
from napari_sam.models.sam1.prompts import batches
from napari_sam.models.tiles import PartMemory, TiledModel, Tiling, View, seen_on
from napari_sam.types import Candidates, Embedding, FloatArray, IntBox, Mask, Prompt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sam.images import Plane
    from napari_sam.models.protocol import ModelInfo
    from napari_sam.models.sam1.decoder import FastDecoder, Prepared
    from napari_sam.models.sam1.geometry import Frame
    from napari_sam.models.sam1.prompts import Batch

# Its input has 1024 pixels and its masks 256, so objects should have 32 at least; a
# plane of three times that is seen in one piece where nobody says how large they are.
TILING = Tiling(side=1024, whole=3072, small=32.0, large=256.0, most=4.0)


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


class SamModel(TiledModel):
    """Encode a plane once, then answer any number of prompts on it.

    Parameters
    ----------
    info : ModelInfo
    prompt_encoder : nn.Module
    decoder : FastDecoder
    device : torch.device
        Where both are.
    """

    tiling = TILING
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

    def _look(self, view: View) -> Any:
        # Whatever its size, the encoder brings it to its own.
        return self._features(view.plane)

    def _answer(
        self, embedding: Embedding, prompts: Sequence[Prompt], multimask: bool | None
    ) -> list[Candidates]:
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
        if isinstance(memory, PartMemory):
            on_part = partial(self._probability, memory.memory, memory.part.shape)
            return seen_on(memory.part, box, on_part)
        return self._probability(memory, shape, box)

    def _probability(
        self, memory: Any, shape: tuple[int, int], box: IntBox
    ) -> FloatArray | None:
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

        Parameters and errors are those of `decode`; of a large plane the overview
        answers.
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
        features = self.features(embedding)
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
