"""The built-in model's own proposals: peaks of its dense head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F
from torchvision.ops import nms

from napari_sam.models.options import DEFAULTS, DetectorOptions
from napari_sam.models.pocket.geometry import read_boxes
from napari_sam.models.pocket.model import PocketModel
from napari_sam.models.pocket.network import STRIDE
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
        return [self._peaks(embedding) for embedding in embeddings]

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
