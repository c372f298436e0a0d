"""What a µSAM model finds by itself, as a detector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from napari_sam.models.musam.watershed import find_instances, masks_of
from napari_sam.models.options import DEFAULTS, DetectorOptions
from napari_sam.models.sam1.geometry import INPUT
from napari_sam.models.sam1.model import Sam1Model
from napari_sam.types import Detections, Embedding, FloatArray, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.images import Plane
    from napari_sam.models.protocol import ModelInfo, PromptableModel


class InstanceDetector:
    """The objects that a µSAM model's own decoder outlines.

    Parameters
    ----------
    model : PromptableModel
        Its embeddings are read; a plane that it has encoded is not encoded again.
    options : DetectorOptions
        `conf` is the least mean foreground of an object, 0 to 1.

    Raises
    ------
    ModelError
        If the model has no such decoder.
    """

    class_names = ("object",)

    def __init__(
        self, model: PromptableModel | None, options: DetectorOptions = DEFAULTS
    ) -> None:
        decoder = model.instances if isinstance(model, Sam1Model) else None
        if decoder is None or not isinstance(model, Sam1Model):
            name = "no model" if model is None else f'the model "{model.info.name}"'
            raise ModelError(
                "only µSAM's models find objects by themselves, and only where their "
                f"file has the decoder for it, but this is {name}: choose such a "
                "model, or another detector"
            )
        self._model, self._decoder, self._options = model, decoder, options

    @property
    def info(self) -> ModelInfo:
        """The model whose decoder it is."""
        return self._model.info

    def reads(self, model: PromptableModel) -> bool:
        """Whether `model` makes embeddings that can be read here."""
        return isinstance(model, Sam1Model) and model.info == self.info

    def detect(self, planes: Sequence[Plane]) -> list[Detections]:
        """Find objects on planes that are not encoded yet."""
        return self.detect_embedded(self._model.encode_batch(planes))

    def detect_embedded(self, embeddings: Sequence[Embedding]) -> list[Detections]:
        """Find objects on encoded planes; their masks are the answer."""
        return [self._detect(embedding) for embedding in embeddings]

    @torch.inference_mode()
    def maps(self, embedding: Embedding) -> FloatArray:
        """Return what the decoder sees: foreground, distance to centre and outline.

        Returns
        -------
        float32 array, shape (3, H, W)
            From 0 to 1.
        """
        seen = self._decoder(self._model.features_of(embedding))
        height, width = self._model.frame(embedding.shape).inner
        if seen.shape[2:] != (INPUT, INPUT):
            seen = F.interpolate(seen, (INPUT, INPUT), mode="bilinear")
        seen = F.interpolate(
            seen[..., :height, :width], embedding.shape, mode="bilinear"
        )
        maps: FloatArray = seen[0].float().cpu().numpy()
        return maps

    def _detect(self, embedding: Embedding) -> Detections:
        maps = self.maps(embedding)
        masks = masks_of(find_instances(maps), maps[0])
        sure = [mask for mask in masks if mask.score >= self._options.conf]
        kept = tuple(sure[: self._options.max_det])
        return Detections(
            np.array([mask.box for mask in kept], np.float32).reshape(-1, 4),
            np.array([mask.score for mask in kept], np.float32),
            np.zeros(len(kept), np.int64),
            truncated=len(sure) > len(kept),
            masks=kept,
            outlined=True,
        )
