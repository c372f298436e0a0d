"""What a run has found so far; only the lane's thread touches it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.models.lane import checkpoint
from napari_sam.segment.link import StackLinker
from napari_sam.segment.number import new_linker, number_objects
from napari_sam.segment.propose import Proposals, propose_plane, settle
from napari_sam.types import ImageError

if TYPE_CHECKING:
    from napari_sam.images import Plane
    from napari_sam.live.source import Source
    from napari_sam.models.protocol import Detector, PromptableModel
    from napari_sam.segment.recipe import Recipe
    from napari_sam.segment.result import PlaneResult
    from napari_sam.types import LabelArray


def axes_of(source: Source, recipe: Recipe) -> str:
    """Return what the stack's axes are, one letter each.

    An axis that nobody has named is taken for depth, unless objects are to be
    followed through time: then it is time.
    """
    wants_time = recipe.link == "time" and "T" not in source.stack_axes
    return "T" if wants_time and source.stack_axes == "Z" else source.stack_axes


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
    source : Source
    ran : Recipe
        What the models run with.
    recipe : Recipe
        What counts as an object for now.

    Attributes
    ----------
    unread : dict of index to str
        Planes that could not be read, and why.
    """

    def __init__(self, source: Source, ran: Recipe, recipe: Recipe) -> None:
        self.ran = ran
        self._source = source
        self._recipe = recipe
        self._linker = self._new_linker(recipe)
        self._proposals: list[Proposals] = []
        self.unread: dict[tuple[int, ...], str] = {}

    def find(
        self, plane: Plane, model: PromptableModel, detector: Detector
    ) -> PlaneResult:
        """Run the models on the next plane."""
        try:
            proposals = propose_plane(plane, model, detector)
        except ImageError as error:  # a large plane is read where it is looked at
            return self.leave_out(plane.index, error)
        # Nothing below lets a more urgent request pass, so it is never seen halfway.
        self._proposals.append(proposals)
        return _number(
            settle(proposals.chosen(self._recipe), self._sized(self._recipe)),
            self._linker,
        )

    def leave_out(self, index: tuple[int, ...], error: ImageError) -> PlaneResult:
        """Take the next plane for one without objects, since it cannot be read."""
        self.unread[index] = str(error)
        none, no_class = np.empty(0, np.float32), np.empty(0, np.int64)
        shape = self._source.plane_shape
        self._proposals.append(Proposals(index, shape, (), none, no_class, ()))
        return _number(settle(self._proposals[-1], self._recipe), self._linker)

    def settle(self, recipe: Recipe) -> list[PlaneResult]:
        """Decide again what counts, on all planes so far and those to come.

        When all planes are there, so is what can only be told from the whole: which
        objects are none, and who is whom through time.
        """
        linker = self._new_linker(recipe)
        whole = len(self._proposals) == len(self._source) and recipe.link != "none"
        results = []
        for proposals in self._proposals:
            checkpoint()
            found = settle(proposals.chosen(recipe), self._sized(recipe))
            results.append(found if whole else _number(found, linker))
        self._recipe, self._linker = recipe, linker
        return self._whole(results, recipe) if whole else results

    def _whole(self, found: list[PlaneResult], recipe: Recipe) -> list[PlaneResult]:
        source, planes = self._source, {result.index: result for result in found}

        def load(index: tuple[int, ...]) -> LabelArray:
            checkpoint()
            return planes[index].labels

        axes = axes_of(source, recipe)
        size = dict(
            zip(axes + "YX", ((step, "") for step in source.scale), strict=False)
        )
        numbers = number_objects(load, axes, source.stack_shape, recipe, size)
        return [result.renumbered(numbers.linked[result.index]) for result in found]

    def _sized(self, recipe: Recipe) -> Recipe:
        return recipe.sized(self._source.diameter)

    def _new_linker(self, recipe: Recipe) -> StackLinker:
        return new_linker(axes_of(self._source, recipe), recipe)


def _number(result: PlaneResult, linker: StackLinker) -> PlaneResult:
    return result.renumbered(linker.add(result.index, result.labels))
