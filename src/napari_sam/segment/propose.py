"""One plane in two steps: run the models, then decide what counts.

Only the first step is slow. Whoever keeps what it gave, a `Proposals`, can apply
other thresholds without running anything again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_sam.models.protocol import Detector, EmbeddingDetector, PromptableModel
from napari_sam.segment.compose import compose
from napari_sam.segment.result import PlaneResult
from napari_sam.segment.table import empty_table, make_table
from napari_sam.types import (
    Detections,
    Embedding,
    FloatArray,
    IntArray,
    Mask,
    Prompt,
)

if TYPE_CHECKING:
    from napari_sam.images import Plane
    from napari_sam.segment.recipe import Recipe

NO_CONTRAST = "the plane has no contrast, so nothing can be found on it"


@dataclass(frozen=True, slots=True, eq=False)
class Proposals:
    """What the models found on one plane, before anything is decided.

    Attributes
    ----------
    index : tuple of int
        Position of the plane along the stack axes.
    shape : (H, W)
    masks : tuple of Mask
        One for each box; they may overlap, and one may be empty.
    scores : float32 array, shape (N,)
        The detector's, in any order.
    classes : int64 array, shape (N,)
        Indices into `class_names`.
    class_names : tuple of str
    truncated : bool
        The detector stopped at its limit.
    has_contrast : bool
        False for a plane of one colour: no model ran.
    """

    index: tuple[int, ...]
    shape: tuple[int, int]
    masks: tuple[Mask, ...]
    scores: FloatArray
    classes: IntArray
    class_names: tuple[str, ...]
    truncated: bool = False
    has_contrast: bool = True

    def __len__(self) -> int:
        return len(self.masks)

    def chosen(self, recipe: Recipe) -> Proposals:
        """Keep what a detector with the recipe's options would have found.

        Parameters
        ----------
        recipe : Recipe
            Its `conf`, `classes` and `max_det` are used. They can only narrow
            what is here: what the detector left out is not known.

        Returns
        -------
        Proposals
            Those of a run with these options, up to rounding, provided that the
            detector ran with a `conf` not higher, a `max_det` not lower, the same
            `iou`, and these `classes` among its own. `truncated` says whether
            such a run would have stopped at the limit.
        """
        likely = self.scores >= recipe.conf
        keep = likely.copy()
        if recipe.classes is not None:
            keep &= np.isin(self.classes, recipe.classes)
        kept = np.flatnonzero(keep)
        best = kept[np.argsort(-self.scores[kept], kind="stable")][: recipe.max_det]
        # What lies beyond the detector's limit is less likely than all of these.
        beyond = self.truncated and bool(likely.all())
        return replace(
            self,
            masks=tuple(self.masks[i] for i in best),
            scores=self.scores[best],
            classes=self.classes[best],
            truncated=beyond or len(kept) > recipe.max_det,
        )


def propose_plane(
    plane: Plane, model: PromptableModel, detector: Detector
) -> Proposals:
    """Run the models on one plane: every box that is found prompts one mask.

    The plane is encoded once when the detector reads the model's embedding. On
    a plane of one colour nothing is run. Boxes beside the plane are left out.

    Parameters
    ----------
    plane : Plane
    model : PromptableModel
    detector : Detector
        It applies the options that it was made with.

    Raises
    ------
    ModelError
        If a model cannot run here.
    """
    names = tuple(detector.class_names)
    if (plane.pixels == plane.pixels[0, 0]).all():
        nothing = np.empty(0, np.float32), np.empty(0, np.int64)
        return Proposals(
            plane.index, plane.shape, (), *nothing, names, has_contrast=False
        )
    detections, embedding = _detect(plane, model, detector)
    prompts, kept = _prompts(detections, plane.shape)
    masks = _decode(plane, model, embedding, prompts)
    return Proposals(
        plane.index,
        plane.shape,
        tuple(masks),
        detections.scores[kept],
        detections.classes[kept],
        names,
        detections.truncated,
    )


def settle(proposals: Proposals, recipe: Recipe) -> PlaneResult:
    """Turn proposals into objects that do not overlap; no model runs.

    Where masks overlap, the object with the higher detection score × predicted
    IoU has the pixel, see `compose`.

    Parameters
    ----------
    proposals : Proposals
        All of them count: see `Proposals.chosen` for fewer.
    recipe : Recipe
        Its cleaning rules are used, and `max_det` in the warning.

    Returns
    -------
    PlaneResult
        With ids 1..n of this plane, best object first.
    """
    if not proposals.has_contrast:
        labels = np.zeros(proposals.shape, np.uint32)
        return PlaneResult(
            proposals.index, labels, empty_table(), False, (NO_CONTRAST,)
        )
    masks = proposals.masks
    scores = proposals.scores * np.array([mask.score for mask in masks], np.float64)
    labels, objects, sources = compose(masks, scores, proposals.shape, recipe)
    table = make_table(
        objects,
        classes=proposals.classes[sources],
        detection_scores=proposals.scores[sources],
        class_names=proposals.class_names,
    )
    # A detector that stops at the limit cannot tell whether there was more.
    truncated = proposals.truncated or len(proposals) == recipe.max_det
    notes = (_limit(recipe.max_det),) if truncated else ()
    return PlaneResult(proposals.index, labels, table, truncated, notes)


def _detect(
    plane: Plane, model: PromptableModel, detector: Detector
) -> tuple[Detections, Embedding | None]:
    if isinstance(detector, EmbeddingDetector) and detector.reads(model):
        embedding = model.encode(plane)
        return detector.detect_embedded([embedding])[0], embedding
    return detector.detect([plane])[0], None


def _prompts(
    detections: Detections, shape: tuple[int, int]
) -> tuple[list[Prompt], npt.NDArray[np.int64]]:
    """Return a prompt for every box that lies on the plane, and which ones do."""
    height, width = shape
    boxes = np.clip(detections.boxes, 0, [height, width, height, width])
    on_plane = (boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])
    kept = np.flatnonzero(on_plane)
    return [Prompt(box=box) for box in boxes[kept].tolist()], kept.astype(np.int64)


def _decode(
    plane: Plane,
    model: PromptableModel,
    embedding: Embedding | None,
    prompts: list[Prompt],
) -> list[Mask]:
    if not prompts:
        return []
    embedding = embedding or model.encode(plane)
    answers = model.decode(embedding, prompts, multimask=False)
    return [candidates.best for candidates in answers]


def _limit(max_det: int) -> str:
    return (
        f"the limit of {max_det} objects was reached, what else there is was left out "
        "(raise max_det to keep more)"
    )
