"""What was found on a slice, and what of it counts as an object."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from napari_sam.live.values import Mark, PlaneMarks
from napari_sam.segment.propose import composed
from napari_sam.segment.recipe import Recipe, make_recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_sam.live.values import Index
    from napari_sam.models.protocol import ModelInfo
    from napari_sam.segment.proposals import Proposals
    from napari_sam.types import Mask

    Draw: TypeAlias = Callable[[Sequence[Mask]], Sequence[Any]]

Phase: TypeAlias = Literal[
    "nothing", "preparing", "searching", "found", "stopped", "failed"
]


@dataclass(frozen=True, slots=True)
class State:
    """How far the search is.

    Attributes
    ----------
    phase : {"nothing", "preparing", "searching", "found", "stopped", "failed"}
        "preparing": models are loaded, the slice is prepared.
    part : float or None
        Of the search, from 0 to 1, where that is known.
    since : float
        When the phase began (`time.monotonic`).
    error : str
        One line for people, in the phase "failed".
    """

    phase: Phase = "nothing"
    part: float | None = None
    since: float = field(default_factory=time.monotonic, compare=False)
    error: str = ""

    @property
    def busy(self) -> bool:
        """Whether there is something to cancel."""
        return self.phase in ("preparing", "searching")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What counts as an object.

    Attributes
    ----------
    confidence, stability : float
        Less sure and less stable ones are left out, 0 to 1.
    smallest : int
        Pixels.
    largest : int, optional
        Pixels; None for any size.
    border : bool
        Keep those that the edge of the slice cuts.
    """

    confidence: float = Recipe().conf
    stability: float = 0.0
    smallest: int = Recipe().min_area
    largest: int | None = None
    border: bool = True

    def recipe(self, max_det: int) -> Recipe:
        """Return the rules that they are."""
        return make_recipe(
            conf=self.confidence,
            min_stability=self.stability,
            min_area=self.smallest,
            max_area=self.largest,
            border=self.border,
            max_det=max_det,
        )


@dataclass(frozen=True, slots=True, eq=False)
class FoundObject:
    """An object that was found and not added yet.

    Attributes
    ----------
    mask : Mask
        Shares no pixel with others.
    about : mapping
        Fields of its record.
    """

    mask: Mask
    about: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The objects of a slice, those that share no pixel.

    Attributes
    ----------
    index : tuple of int
    objects : tuple of FoundObject
        The best first.
    masks : tuple of Mask
        Theirs.
    of : int
        How many outlines they were chosen from.
    truncated : bool
        There may be more than were looked at.
    pictures : sequence
        The masks as somebody has drawn them, see `found_in`.
    """

    index: Index
    objects: tuple[FoundObject, ...]
    masks: tuple[Mask, ...]
    of: int = 0
    truncated: bool = False
    pictures: Sequence[Any] = ()


def found_in(
    proposals: Proposals, filters: Filters, model: ModelInfo, draw: Draw
) -> Found:
    """Decide what counts as an object, and draw it; no model runs."""
    recipe = filters.recipe(max(1, len(proposals)))
    _, masks, made_of = composed(proposals.chosen(recipe), recipe)
    clicks = None if made_of.clicks is None else made_of.clicks.points
    objects = []
    for at, mask in enumerate(masks):
        about = {
            "model": model.name,
            "model_sha256": model.sha256,
            "score": mask.score,
            "stability": mask.stability,
            "reviewed": False,
        }
        if clicks is not None:
            click = Mark("click", np.asarray(clicks[at : at + 1], np.float32))
            about["prompts"] = (PlaneMarks(proposals.index, (click,)),)
        objects.append(FoundObject(mask, about))
    return Found(
        proposals.index,
        tuple(objects),
        tuple(masks),
        len(proposals),
        proposals.truncated,
        draw(masks),
    )
