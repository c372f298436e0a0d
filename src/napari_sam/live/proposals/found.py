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
    "nothing", "preparing", "searching", "found", "adding", "stopped", "failed"
]


@dataclass(frozen=True, slots=True)
class State:
    """How far the search is.

    Attributes
    ----------
    phase : {"nothing", "preparing", "searching", "found", "adding", "stopped", \
"failed"}
        "preparing": models are loaded, the slice is prepared. "stopped" and
        "failed": what was found before is kept.
    part : float or None
        Of the search on the slice that it is at, from 0 to 1, where that is known.
    done, total : int
        Slices that are finished, and all.
    since : float
        When the phase began (`time.monotonic`).
    error : str
        One line for people, in the phase "failed".
    """

    phase: Phase = "nothing"
    part: float | None = None
    done: int = 0
    total: int = 1
    since: float = field(default_factory=time.monotonic, compare=False)
    error: str = ""

    @property
    def busy(self) -> bool:
        """Whether there is something to cancel."""
        return self.phase in ("preparing", "searching", "adding")

    @property
    def whole(self) -> float | None:
        """Part of everything that is finished; None where that is not known."""
        if self.total == 1:
            return self.part
        return (self.done + (self.part or 0.0)) / self.total

    def seconds_left(self, seconds: float) -> float | None:
        """Return how long it will take, if so many seconds have passed."""
        if self.total == 1 or not self.done or not self.whole:
            return None
        return seconds * (1 - self.whole) / self.whole


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


@dataclass(frozen=True, slots=True)
class Tally:
    """How many objects there are.

    Attributes
    ----------
    objects : int
        That count by the filters.
    of : int
        Outlines that they were chosen from.
    cut_off : int
        Slices on which there may be more than were looked at.
    """

    objects: int = 0
    of: int = 0
    cut_off: int = 0

    def and_(self, other: Tally) -> Tally:
        """Return both together."""
        return Tally(
            self.objects + other.objects,
            self.of + other.of,
            self.cut_off + other.cut_off,
        )

    def less(self, other: Tally) -> Tally:
        """Return what is left without the other one."""
        return self.and_(Tally(-other.objects, -other.of, -other.cut_off))


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

    @property
    def tally(self) -> Tally:
        """How many they are."""
        return Tally(len(self.objects), self.of, int(self.truncated))


def undrawn(masks: Sequence[Mask]) -> Sequence[Any]:
    """Draw nothing."""
    return ()


def found_in(
    proposals: Proposals, filters: Filters, model: ModelInfo, draw: Draw = undrawn
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
        # One class says nothing that is not known, unless somebody has asked for it.
        if made_of.named or len(made_of.class_names) > 1:
            about["class_name"] = made_of.class_names[int(made_of.classes[at])]
        objects.append(FoundObject(mask, about))
    return Found(
        proposals.index,
        tuple(objects),
        tuple(masks),
        len(proposals),
        proposals.truncated,
        draw(masks),
    )
