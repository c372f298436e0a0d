"""The built-in model's own proposals: peaks of its dense head."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F
from torchvision.ops import nms

from napari_sam.models.options import DEFAULTS, DetectorOptions
from napari_sam.models.pocket.geometry import read_boxes
from napari_sam.models.pocket.model import PocketModel
from napari_sam.models.pocket.network import STRIDE
from napari_sam.models.tiles import LargeEmbedding
from napari_sam.types import Detections, Embedding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.images import Plane
    from napari_sam.models.protocol import ModelInfo, PromptableModel

# Centre-ness to this power is the confidence, so that the default confidence of all
# detectors, 0.25, means centre-ness above 0.54, about where F1 is highest on images of
# the train and validation parts (docs/models.md).
_POWER = 2.25


class PocketDetector:
    """Objects where the dense head sees a centre.

    Parameters
    ----------
    model : PocketModel
        Its embeddings are read; a plane that it has encoded costs no more.
    options : DetectorOptions
        `conf` is the least confidence of a peak, 0 to 1.
    """

    class_names = ("nucleus",)

    def __init__(self, model: PocketModel, options: DetectorOptions = DEFAULTS) -> None:
        self._model, self._options = model, options

    @property
    def info(self) -> ModelInfo:
        """The model whose head is read."""
        return self._model.info

    def reads(self, model: PromptableModel) -> bool:
        """Whether `model` makes embeddings that can be read here."""
        return isinstance(model, PocketModel) and model.info == self.info

    def detect(self, planes: Sequence[Plane]) -> list[Detections]:
        """Find objects on planes that are not encoded yet."""
        return self.detect_embedded(self._model.encode_batch(planes))

    def detect_embedded(self, embeddings: Sequence[Embedding]) -> list[Detections]:
        """Find objects on encoded planes."""
        return [
            self._on_tiles(embedding)
            if isinstance(embedding, LargeEmbedding)
            else self._peaks(embedding)
            for embedding in embeddings
        ]

    def _on_tiles(self, embedding: LargeEmbedding) -> Detections:
        """Find on each tile what has its middle in the tile's core."""
        found = []
        for part, core in zip(embedding.grid.parts, embedding.grid.cores, strict=True):
            here = self._peaks(self._model.part(embedding, part))
            boxes = here.boxes + np.tile(np.array(part.corner, np.float32), 2)
            middle = (boxes[:, :2] + boxes[:, 2:]) / 2
            own = ((middle >= core[:2]) & (middle < core[2:])).all(1)
            found.append(replace(here, boxes=boxes).take(np.flatnonzero(own)))
        together = Detections(
            np.concatenate([here.boxes for here in found]),
            np.concatenate([here.scores for here in found]),
            np.concatenate([here.classes for here in found]),
            truncated=any(here.truncated for here in found),
        )
        return together.take(np.argsort(-together.scores, kind="stable"))

    @torch.inference_mode()
    def _peaks(self, embedding: Embedding) -> Detections:
        features = self._model.features(embedding)
        dense = features.dense[0]
        height, width = embedding.shape
        centre = dense[0].sigmoid() ** _POWER
        peak = centre == F.max_pool2d(centre[None], 3, 1, 1)[0]
        rows, columns = (peak & (centre >= self._options.conf)).nonzero(as_tuple=True)
        scores = centre[rows, columns]
        points = (torch.stack([rows, columns], 1) + 0.5) * STRIDE
        boxes = read_boxes(dense, points) / features.zoom
        limit = boxes.new_tensor([height, width, height, width])
        boxes = torch.minimum(boxes.clamp(min=0), limit)
        sides = boxes[:, 2:] - boxes[:, :2]
        solid = (sides > 0.5).all(1)
        boxes, scores = boxes[solid], scores[solid]
        keep = nms(boxes, scores, self._options.iou)
        best = keep[: self._options.max_det]
        return Detections(
            boxes[best].float().cpu().numpy(),
            scores[best].float().cpu().numpy(),
            torch.zeros(len(best), dtype=torch.int64).numpy(),
            truncated=len(keep) > self._options.max_det,
        )
