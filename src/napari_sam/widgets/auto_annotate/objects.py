"""What a run has found so far; only the lane's thread touches it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.models.lane import checkpoint
from napari_sam.segment.link import StackLinker
from napari_sam.segment.propose import Proposals, propose_plane, settle

if TYPE_CHECKING:
    from napari_sam.images import Plane
    from napari_sam.live.source import Source
    from napari_sam.models.protocol import Detector, PromptableModel
    from napari_sam.segment.recipe import Recipe
    from napari_sam.segment.result import PlaneResult


def order(source: Source) -> list[tuple[int, ...]]:
    """Return the indices of all planes, in an order in which they can be linked."""
    linker = StackLinker(source.stack_axes, "stack")
    return list(linker.order(source.stack_shape))


class Objects:
    """Proposals of planes, and the ids that hold in the whole stack.

    Planes are added in the order of `order`, so that the ids which a person sees
    during a run are those that remain.

    Parameters
    ----------
    stack_axes : str
    ran : Recipe
        What the models run with.
    recipe : Recipe
        What counts as an object for now.
    """

    def __init__(self, stack_axes: str, ran: Recipe, recipe: Recipe) -> None:
        self.ran = ran
        self._stack_axes = stack_axes
        self._recipe = recipe
        self._linker = self._new_linker(recipe)
        self._proposals: list[Proposals] = []

    def find(
        self, plane: Plane, model: PromptableModel, detector: Detector
    ) -> PlaneResult:
        """Run the models on the next plane."""
        proposals = propose_plane(plane, model, detector)
        # Nothing below lets a more urgent request pass, so it is never seen halfway.
        self._proposals.append(proposals)
        return _number(proposals, self._recipe, self._linker)

    def settle(self, recipe: Recipe) -> list[PlaneResult]:
        """Decide again what counts, on all planes so far and those to come."""
        linker = self._new_linker(recipe)
        results = []
        for proposals in self._proposals:
            checkpoint()
            results.append(_number(proposals, recipe, linker))
        self._recipe, self._linker = recipe, linker
        return results

    def _new_linker(self, recipe: Recipe) -> StackLinker:
        return StackLinker(self._stack_axes, recipe.link, min_iou=recipe.link_iou)


def _number(proposals: Proposals, recipe: Recipe, linker: StackLinker) -> PlaneResult:
    result = settle(proposals.chosen(recipe), recipe)
    return result.renumbered(linker.add(result.index, result.labels))
