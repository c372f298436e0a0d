"""FastSAM behind the protocol that every promptable model answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from napari_sam.images import Normalization, Plane, make_plane
from napari_sam.models.fastsam.choosing import choose
from napari_sam.models.lane import checkpoint
from napari_sam.models.options import DetectorOptions
from napari_sam.models.yolo.loading import load_yolo
from napari_sam.types import Candidates, Embedding, ModelError, Tile, check_prompts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_sam.models.protocol import ModelInfo
    from napari_sam.models.yolo.detector import YoloDetector
    from napari_sam.types import Mask, Prompt

# Objects lie in each other (a nucleus in its cell), so boxes may overlap a lot; and
# what nobody asks for does no harm, so little is left out. (FastSAM's own example has
# 0.4, for showing everything at once.)
OPTIONS: Final = DetectorOptions(conf=0.1, iou=0.9, max_det=1000)
_SEVERAL: Final = 3


class FastSamModel:
    """Everything is outlined when a plane is encoded; prompts choose among it.

    Where nothing was outlined a prompt is answered with an empty mask: there is
    nothing that could be asked.

    Parameters
    ----------
    segmenter : YoloDetector
        With one class, and with masks.
    """

    def __init__(self, segmenter: YoloDetector) -> None:
        self._segmenter = segmenter

    @property
    def info(self) -> ModelInfo:
        """Which model this is."""
        return self._segmenter.info

    def encode(
        self,
        image: npt.NDArray[Any] | Plane,
        normalization: Normalization | None = None,
    ) -> Embedding:
        """Outline everything on one plane.

        Parameters
        ----------
        image : array, shape (H, W) or (H, W, C) with C <= 4, or Plane
            Any real dtype.
        normalization : Normalization, optional
            Contrast for an array; by default its own percentiles.
        """
        plane = image if isinstance(image, Plane) else make_plane(image, normalization)
        (found,) = self._segmenter.detect([plane])
        height, width = plane.shape
        tile = Tile((0, 0, height, width), found.masks or ())
        return Embedding(self.info.sha256, (height, width), (tile,))

    def encode_batch(self, images: Sequence[Plane]) -> list[Embedding]:
        """Encode several planes, one after the other: they may differ in size."""
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
            An object is meant if all points say so. Among those it is the one most
            like the mask, the previous answer or the box; without any of these, the
            one of which the model is surest.
        multimask : bool, optional
            Up to three candidates (True) or one (False) for each prompt; by default
            three where there is only one click.

        Returns
        -------
        list of Candidates
            An answer may be an empty mask; its score is 0 then. Other scores are how
            sure the model is of the object.

        Raises
        ------
        ModelError
            If the embedding is another model's.
        PromptError
            If a mask or a previous answer does not fit the plane.
        """
        check_prompts(prompts, embedding.shape)
        if embedding.model != self.info.sha256:
            raise ModelError(
                f'this embedding is not from the model "{self.info.name}"; '
                "encode the plane again"
            )
        (tile,) = embedding.tiles
        masks: tuple[Mask, ...] = tile.features
        boxes = sum(prompt.box is not None for prompt in prompts)
        areas = [mask.area for mask in masks] if boxes else None
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
    segmenter = load_yolo(path, OPTIONS, device=device)
    if not segmenter.segments or len(segmenter.class_names) > 1:
        raise ModelError(
            f"{path}: this is an ultralytics detector, not a model that outlines what "
            "is clicked; use it as a detector (--detector). Of ultralytics' segmenters "
            "those with one class, such as FastSAM, can be models, too"
        )
    return FastSamModel(segmenter)


def _is_one_click(prompt: Prompt) -> bool:
    alone = prompt.box is None and prompt.mask is None and prompt.previous is None
    return alone and len(prompt.points) == 1
