"""SAM 3's other half as a detector: it finds what words say, or what looks alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from napari_sam.models.device import resolve_device
from napari_sam.models.lane import checkpoint
from napari_sam.models.options import DEFAULTS, DetectorOptions
from napari_sam.models.protocol import ModelInfo
from napari_sam.models.sam3.model import BLOCKS, SIDE
from napari_sam.models.ultra import load_ultralytics
from napari_sam.types import Detections, Mask, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from torch import nn

    from napari_sam.images import Plane
    from napari_sam.types import Box

LOOKS_ALIKE: Final = "visual"  # what SAM 3 was trained to read where no word is given


class Sam3Words:
    """Objects that words describe, with their outlines.

    Parameters
    ----------
    network : nn.Module
        From `build_words`; it is moved to the device and belongs to this detector then.
    words : sequence of str
        One class for each: "nucleus", "blue cell". Their numbers are the classes'.
    name : str
        The file's name.
    sha256 : str
        Hash of the checkpoint.
    options : DetectorOptions
    device : str
        "auto", "cpu", "cuda", "cuda:1" or "mps".

    Raises
    ------
    ModelError
        If there is no word.
    """

    def __init__(
        self,
        network: nn.Module,
        words: Sequence[str],
        *,
        name: str,
        sha256: str,
        options: DetectorOptions = DEFAULTS,
        device: str = "auto",
    ) -> None:
        self._words = tuple(" ".join(word.split()) for word in words)
        if not self._words or not all(self._words):
            raise ModelError(
                f'{name}: SAM 3 finds what words say: give some, such as "nucleus" '
                "(--words)"
            )
        where = resolve_device(device)
        self._network: Any = network.to(where)
        self._device, self._options = where, options
        self._info = ModelInfo(name, "sam3", sha256, str(where))
        for block in network.get_submodule(f"backbone.{BLOCKS}").children():
            block.register_forward_pre_hook(_between)

    @property
    def info(self) -> ModelInfo:
        """Which file this is."""
        return self._info

    @property
    def class_names(self) -> tuple[str, ...]:
        """The words."""
        return self._words

    def detect(self, planes: Sequence[Plane]) -> list[Detections]:
        """Find what the words say on each plane; the masks are the answer."""
        return [self._detect(plane, self._words, None) for plane in planes]

    def find_alike(
        self, plane: Plane, boxes: Sequence[Box], unlike: Sequence[Box] = ()
    ) -> Detections:
        """Find objects that look like examples; the words do not count.

        Parameters
        ----------
        plane : Plane
        boxes, unlike : sequence of (y0, x0, y1, x1)
            Around examples, and around what is not meant.

        Raises
        ------
        ModelError
            If there is no example.
        """
        if not len(boxes):
            raise ModelError("examples are boxes around objects: give at least one")
        corners = np.array([*boxes, *unlike], np.float64).reshape(-1, 2, 2)
        size = np.array(plane.shape)
        middle, sides = corners.mean(1) / size, (corners[:, 1] - corners[:, 0]) / size
        # (x, y, width, height), as parts of the plane.
        asked = np.concatenate([middle[:, ::-1], sides[:, ::-1]], 1)
        marks = [1] * len(boxes) + [0] * len(unlike)
        return self._detect(plane, (LOOKS_ALIKE,), self._examples(asked, marks))

    def _examples(self, asked: npt.NDArray[np.float64], marks: list[int]) -> Any:
        kinds = load_ultralytics("ultralytics.models.sam.sam3.geometry_encoders")
        prompt = kinds.Prompt(
            box_embeddings=torch.zeros(0, 1, 4, device=self._device),
            box_mask=torch.zeros(1, 0, device=self._device, dtype=torch.bool),
        )
        for box, mark in zip(asked, marks, strict=True):
            prompt.append_boxes(
                torch.tensor(box, dtype=torch.float32, device=self._device)[None, None],
                torch.tensor([[mark]], dtype=torch.int32, device=self._device),
            )
        return prompt

    @torch.inference_mode()
    def _detect(
        self, plane: Plane, words: tuple[str, ...], examples: Any
    ) -> Detections:
        checkpoint()
        network = self._network
        if tuple(network.names) != words:
            network.set_classes(list(words))
        numbers = torch.arange(len(words), device=self._device)
        found = network.forward_grounding(
            network.backbone.forward_image(self._image(plane)), numbers, examples
        )
        present = found["presence_logit_dec"].sigmoid()[:, None]
        scores = (found["pred_logits"].sigmoid() * present)[..., 0]
        classes = numbers[:, None].expand_as(scores)
        sure = scores > self._options.conf
        if self._options.classes is not None and examples is None:
            wanted = torch.tensor(self._options.classes, device=self._device)
            sure &= torch.isin(classes, wanted)
        boxes = _corners(found["pred_boxes"][sure], plane.shape)
        return self._finished(
            boxes, scores[sure], classes[sure], found["pred_masks"][sure], plane.shape
        )

    def _image(self, plane: Plane) -> Tensor:
        """Stretch a plane to SAM 3's square; as in Meta's code, rounded."""
        pixels = torch.tensor(plane.pixels, device=self._device).permute(2, 0, 1)[None]
        square = F.interpolate(
            pixels.float(), (SIDE, SIDE), mode="bilinear", antialias=True
        )
        return square.round().clamp(0, 255) / 127.5 - 1

    def _finished(
        self,
        boxes: Tensor,
        scores: Tensor,
        classes: Tensor,
        logits: Tensor,
        shape: tuple[int, int],
    ) -> Detections:
        from torchvision.ops import batched_nms

        keep = batched_nms(boxes, scores, classes, self._options.iou)
        best = keep[: self._options.max_det]
        size = boxes.new_tensor(shape).repeat(2)
        boxes = torch.minimum(boxes.clamp(min=0), size)
        masks = []
        for number in best:
            checkpoint()
            wide = F.interpolate(
                logits[number][None, None].float(), shape, mode="bilinear"
            )
            inside = (wide[0, 0] > 0).cpu().numpy()
            masks.append(Mask.from_array(inside, score=float(scores[number])))
        return Detections(
            boxes[best].float().cpu().numpy().reshape(-1, 4),
            scores[best].float().cpu().numpy(),
            classes[best].cpu().numpy().astype(np.int64),
            truncated=len(keep) > self._options.max_det,
            masks=tuple(masks),
            outlined=True,
        )


def _corners(boxes: Tensor, shape: tuple[int, int]) -> Tensor:
    """Turn (x, y, width, height) in parts of a plane into (y0, x0, y1, x1)."""
    middle, half = boxes[:, :2].flip(1), boxes[:, 2:].flip(1) / 2
    size = boxes.new_tensor(shape)
    return torch.cat([(middle - half) * size, (middle + half) * size], 1)


def _between(block: nn.Module, arguments: Any) -> None:
    """Let a more urgent request run, or end here if nobody waits any more."""
    checkpoint()
