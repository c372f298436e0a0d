"""FastSAM behind the protocol that every promptable model answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final

from napari_sam.models.fastsam.choosing import choose
from napari_sam.models.fastsam.packing import masks_in, packed_masks
from napari_sam.models.lane import checkpoint
from napari_sam.models.options import DetectorOptions
from napari_sam.models.tiles import TiledModel, Tiling, View
from napari_sam.models.yolo.loading import load_yolo
from napari_sam.types import Candidates, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_sam.models.cache import Packed
    from napari_sam.models.protocol import ModelInfo
    from napari_sam.models.yolo.detector import YoloDetector
    from napari_sam.types import Embedding, Mask, Prompt

# Objects lie in each other (a nucleus in its cell), so boxes may overlap a lot; and
# what nobody asks for does no harm, so little is left out. (FastSAM's own example has
# 0.4, for showing everything at once.)
OPTIONS: Final = DetectorOptions(conf=0.1, iou=0.9, max_det=1000)
_SEVERAL: Final = 3
TILING: Final = Tiling(side=1024, whole=3072, small=32.0, large=256.0, most=4.0)


class FastSamModel(TiledModel):
    """Everything is outlined when a plane is encoded; prompts choose among it.

    Where nothing was outlined a prompt is answered with an empty mask: there is
    nothing that could be asked.

    Parameters
    ----------
    segmenter : YoloDetector
        With one class, and with masks.
    """

    tiling: ClassVar[Tiling] = TILING

    def __init__(self, segmenter: YoloDetector) -> None:
        self._segmenter = segmenter

    @property
    def info(self) -> ModelInfo:
        """Which model this is."""
        return self._segmenter.info

    @property
    def way(self) -> str:
        """How pixels become features; see `TiledModel`."""
        return f"FastSAM, {OPTIONS}, 1"

    def _pack(self, features: tuple[Mask, ...]) -> Packed:
        return packed_masks(features)

    def _unpack(self, packed: Packed) -> tuple[Mask, ...]:
        return masks_in(packed)

    def _look(self, view: View) -> tuple[Mask, ...]:
        (found,) = self._segmenter.detect([view.plane])
        masks = found.masks or ()
        return masks if view.step == 1 else tuple(_grown(m, view.step) for m in masks)

    def _answer(
        self, embedding: Embedding, prompts: Sequence[Prompt], multimask: bool | None
    ) -> list[Candidates]:
        """Choose for every prompt.

        An object is meant if all points say so. Among those it is the one most like
        the mask, the previous answer or the box; without any of these, the one of
        which the model is surest.
        """
        masks: tuple[Mask, ...] = self.features(embedding)
        boxed = any(prompt.box is not None for prompt in prompts)
        areas = [mask.area for mask in masks] if boxed else None
        answers = []
        for prompt in prompts:
            checkpoint()
            several = _is_one_click(prompt) if multimask is None else multimask
            most = _SEVERAL if several else 1
            answers.append(Candidates(choose(masks, prompt, most, areas)))
        return answers


def load_fastsam(path: Path, device: str) -> FastSamModel:
    """Load a segmenter that knows one class as a model that can be prompted.

    Parameters
    ----------
    path : Path
        Of an ultralytics segmenter, .pt; nothing in it is executed.
    device : str
        As for `load_model`.

    Raises
    ------
    ModelError
        If it is something else.
    """
    segmenter = load_yolo(path, OPTIONS, device=device, examples=True)
    if not segmenter.segments or len(segmenter.class_names) != 1:
        raise ModelError(
            f"{path}: this is an ultralytics detector, not a model that outlines what "
            "is clicked; use it as a detector (--detector). Of ultralytics' segmenters "
            "those with one class, such as FastSAM, can be models, too"
        )
    return FastSamModel(segmenter)


def _grown(mask: Mask, step: int) -> Mask:
    """Return a mask each of whose pixels stands for step × step."""
    y0, x0, y1, x1 = mask.box
    data = mask.data.repeat(step, 0).repeat(step, 1)
    return replace(mask, box=(y0 * step, x0 * step, y1 * step, x1 * step), data=data)


def _is_one_click(prompt: Prompt) -> bool:
    alone = prompt.box is None and prompt.mask is None and prompt.previous is None
    return alone and len(prompt.points) == 1
