"""One plane in two steps: run the models, then decide what counts.

Only the first step is slow. Whoever keeps what it gave, a `Proposals`, can apply
other thresholds without running anything again.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_sam.images import LargePlane
from napari_sam.models.everything import EverythingDetector
from napari_sam.models.lane import checkpoint, report
from napari_sam.models.protocol import (
    Detector,
    EmbeddingDetector,
    PlaneDetector,
    PromptableModel,
    WholeDetector,
)
from napari_sam.models.tiles import LargeEmbedding, TiledModel
from napari_sam.segment.compose import compose
from napari_sam.segment.everything import find_everything
from napari_sam.segment.proposals import Proposals
from napari_sam.segment.result import PlaneResult
from napari_sam.segment.seams import merge, on_plane
from napari_sam.segment.table import empty_table, make_table
from napari_sam.types import Detections, Embedding, LabelArray, Mask, Prompt

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.images import Plane
    from napari_sam.segment.recipe import Recipe
    from napari_sam.types import Box, IntBox

__all__ = ["NO_CONTRAST", "Proposals", "composed", "propose_plane", "settle"]

NO_CONTRAST = "the plane has no contrast, so nothing can be found on it"


def propose_plane(
    plane: Plane,
    model: PromptableModel,
    detector: Detector,
    *,
    embedding: Embedding | None = None,
    region: Box | None = None,
    told: Callable[[float], None] = report,
) -> Proposals:
    """Run the models on one plane: every object that is found prompts one mask.

    Its box does, together with its mask where the detector gives one. Where the
    detector's masks are the answer (`Detections.outlined`) nothing is prompted.
    The plane is encoded once when the detector reads the model's embedding. On
    a plane of one colour nothing is run. Boxes beside the plane are left out.
    The detector "everything" has no boxes, see `find_everything`. A plane that is
    larger than the model looks at in one piece is gone through tile by tile, see
    `napari_sam.segment.seams`.

    Parameters
    ----------
    plane : Plane
    model : PromptableModel
    detector : Detector
        It applies the options that it was made with; on a large plane to each tile.
    embedding : Embedding, optional
        Of this plane by this model; by default the plane is encoded.
    region : (y0, x0, y1, x1), optional
        What lies beside this part of the plane is not outlined.
    told : callable
        Is told which part of it is done, from 0 to 1, where it takes long; by default
        `progress` of the lane's request.

    Raises
    ------
    ModelError
        If a model cannot run here.
    """
    if not isinstance(plane, LargePlane) and plane.is_flat():
        return Proposals.none(plane, tuple(detector.class_names))
    if not isinstance(detector, WholeDetector):
        large = _large(plane, model, embedding)
        if large is not None and isinstance(model, TiledModel):
            return _on_tiles(large, model, detector, region, told)

    def encode() -> Embedding:
        return embedding or model.encode(plane)

    return _propose(plane, model, detector, encode, region, told)


def _large(
    plane: Plane, model: PromptableModel, embedding: Embedding | None
) -> LargeEmbedding | None:
    """Return a plane in tiles, where it is one that the model would see in tiles."""
    if embedding is None and isinstance(model, TiledModel):
        return model.tiled(plane)
    return embedding if isinstance(embedding, LargeEmbedding) else None


def _on_tiles(
    embedding: LargeEmbedding,
    model: TiledModel,
    detector: Detector,
    region: Box | None,
    told: Callable[[float], None],
) -> Proposals:
    """Go through the tiles of a plane one by one."""
    plane, grid = embedding.plane, embedding.grid
    if isinstance(detector, PlaneDetector):
        detector = detector.for_plane(plane)
    wanted = [
        number
        for number, part in enumerate(grid.parts)
        if region is None or _touch(part.box, region)
    ]
    found = []
    for done, number in enumerate(wanted):
        part = grid.parts[number]

        def told_part(share: float, done: int = done) -> None:
            told((done + share) / len(wanted))

        checkpoint()
        told_part(0.0)
        y, x = part.corner
        proposals = _propose(
            plane.crop(part.box),
            model,
            detector,
            partial(model.part, embedding, part),
            region and (region[0] - y, region[1] - x, region[2] - y, region[3] - x),
            told_part,
        )
        found.append((number, on_plane(part, proposals)))
    if not found:
        nothing = Proposals.none(plane, tuple(detector.class_names))
        return replace(nothing, has_contrast=True)
    return merge(grid, found)


def _propose(
    plane: Plane,
    model: PromptableModel,
    detector: Detector,
    encode: Callable[[], Embedding],
    region: Box | None,
    told: Callable[[float], None],
) -> Proposals:
    """Find and outline the objects of one plane, or of one tile of it."""
    names = tuple(detector.class_names)
    if plane.is_flat():
        return Proposals.none(plane, names)
    if isinstance(detector, EverythingDetector):
        options = detector.options
        return find_everything(
            plane, model, options, embedding=encode(), region=region, told=told
        )
    embedding = None
    if isinstance(detector, EmbeddingDetector) and detector.reads(model):
        embedding = encode()
        detections = detector.detect_embedded([embedding])[0]
    else:
        detections = detector.detect([plane])[0]
    prompts, kept = _prompts(detections, plane.shape, region)
    masks = list(detections.take(kept).masks or ()) if detections.outlined else []
    if prompts and not detections.outlined:
        embedding = embedding or encode()
        answers = model.decode(embedding, prompts, multimask=False)
        # What a model keeps for refining would fill the memory: nobody refines these.
        masks = [replace(candidates.best, memory=None) for candidates in answers]
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
        Its rules for single objects and for cleaning are used, and `max_det` in
        the warning.

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
    # A detector that stops at the limit cannot tell whether there was more.
    full = proposals.parts == 1 and len(proposals) == recipe.max_det
    truncated = proposals.truncated or full
    notes = (_limit(recipe.max_det, proposals.parts),) if truncated else ()
    labels, objects, proposals = composed(proposals, recipe)
    table = make_table(
        objects,
        classes=proposals.classes,
        detection_scores=proposals.scores,
        class_names=proposals.class_names,
    )
    return PlaneResult(
        proposals.index, labels, table, truncated, notes, proposals.clicks
    )


def composed(
    proposals: Proposals, recipe: Recipe
) -> tuple[LabelArray, list[Mask], Proposals]:
    """Paint those that the recipe's rules let pass into a label plane.

    Returns
    -------
    labels : uint32 array, shape (H, W)
        Ids 1..n, the best object first.
    objects : list of Mask
        As painted, in the order of their ids.
    proposals : Proposals
        What each of them was made of, in the same order.
    """
    proposals = proposals.fitting(recipe)
    masks = proposals.masks
    scores = proposals.scores * np.array([mask.score for mask in masks], np.float64)
    labels, objects, sources = compose(masks, scores, proposals.shape, recipe)
    return labels, objects, proposals.take(sources)


def _prompts(
    detections: Detections, shape: tuple[int, int], region: Box | None
) -> tuple[list[Prompt], npt.NDArray[np.int64]]:
    """Return a prompt for every box that lies on the plane, and which ones do."""
    height, width = shape
    boxes = np.clip(detections.boxes, 0, [height, width, height, width])
    y0, x0, y1, x1 = boxes.T
    on_plane = (y0 < y1) & (x0 < x1)
    if region is not None:
        on_plane &= (y0 < region[2]) & (y1 > region[0])
        on_plane &= (x0 < region[3]) & (x1 > region[1])
    kept = np.flatnonzero(on_plane)
    found = detections.take(kept.astype(np.int64))
    masks = found.masks or (None,) * len(kept)
    prompts = [
        # What a segmenter drew is the answer that the model refines.
        Prompt(box=box, previous=mask if mask is not None and mask.area else None)
        for box, mask in zip(boxes[kept].tolist(), masks, strict=True)
    ]
    return prompts, kept.astype(np.int64)


def _touch(one: IntBox, other: Box) -> bool:
    return (
        one[0] < other[2]
        and other[0] < one[2]
        and one[1] < other[3]
        and other[1] < one[3]
    )


def _limit(max_det: int, parts: int) -> str:
    where = "" if parts == 1 else f" in one of its {parts} tiles"
    return (
        f"the limit of {max_det} objects was reached{where}, what else there is was "
        "left out (raise max_det to keep more)"
    )
