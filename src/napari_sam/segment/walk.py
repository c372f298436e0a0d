"""Objects followed from plane to plane with a model that remembers nothing.

The box of what was found on one plane is the prompt on the next. A model draws
something into every box, so an object goes on only where a click into its middle is
answered with much the same: where there is nothing, it is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam.models.followed import check_plane, chosen
from napari_sam.models.lane import checkpoint
from napari_sam.segment.overlap import middle
from napari_sam.types import Mask, Prompt, check_prompts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sam.models.protocol import Embed, PromptableModel
    from napari_sam.types import Embedding

# Of the answer with the object on the plane before, and with that to the click.
LEAST_IOU: Final = 0.5
LEAST_SCORE: Final = 0.5  # the IoU that the model expects

_NOWHERE: Final = Mask((0, 0, 0, 0), np.zeros((0, 0), np.bool_), 0.0)


class Walker:
    """Follow objects with any model; see `napari_sam.models.protocol.Follower`.

    Parameters
    ----------
    model : PromptableModel
    embed : callable
        Returns this model's embedding of a plane by its number.
    count : int
        Planes in the stack.
    """

    def __init__(self, model: PromptableModel, embed: Embed, count: int) -> None:
        self._model, self._embed, self._count = model, embed, count
        self._said: dict[int, dict[int, Mask]] = {}
        self._found: dict[int, dict[int, Mask]] = {}

    def prompt(self, number: int, plane: int, prompt: Prompt) -> Mask:
        """Say where an object is on a plane; return how that was understood.

        Parameters
        ----------
        number : int
            The object's.
        plane : int
        prompt : Prompt
            A mask and nothing else is taken as it is.

        Raises
        ------
        PromptError
            If there is no such plane, or the prompt does not fit it.
        """
        check_plane(plane, self._count)
        embedding = self._embed(plane)
        check_prompts([prompt], embedding.shape)
        drawn = prompt.mask
        if drawn is not None and not len(prompt.points) and prompt.box is None:
            mask = Mask.from_array(drawn > 0)
        else:
            mask = self._model.decode(embedding, [prompt])[0].best
        self._said.setdefault(number, {})[plane] = mask
        return mask

    def run(
        self, planes: range, numbers: Sequence[int] | None = None
    ) -> Iterator[tuple[int, dict[int, Mask]]]:
        """Follow objects from one plane to another, forwards or backwards.

        Parameters
        ----------
        planes : range
            In steps of 1 or -1.
        numbers : sequence of int, optional
            Only these objects.

        Yields
        ------
        plane : int
        masks : dict of int to Mask
            Empty where an object has ended; where it was prompted, what that gave.

        Raises
        ------
        PromptError
            If nothing was said about an object.
        """
        wanted = chosen(self._said, numbers)
        for plane in planes:
            yield plane, self._step(plane, plane - planes.step, wanted)

    def _step(self, plane: int, before: int, numbers: list[int]) -> dict[int, Mask]:
        checkpoint()
        masks = {n: self._said[n].get(plane, _NOWHERE) for n in numbers}
        last = {n: self._on(n, before) for n in numbers if plane not in self._said[n]}
        last = {n: mask for n, mask in last.items() if mask.area}
        if last:
            embedding = self._embed(plane)
            answers = self._answers(embedding, list(last.values()))
            masks |= dict(zip(last, answers, strict=True))
        for n, mask in masks.items():
            self._found.setdefault(n, {})[plane] = mask
        return masks

    def _answers(self, embedding: Embedding, last: list[Mask]) -> list[Mask]:
        decode = self._model.decode
        boxes = [Prompt(box=mask.box) for mask in last]
        clicks = [Prompt(points=[middle(mask)], labels=[1]) for mask in last]
        drawn = [each.best for each in decode(embedding, boxes, multimask=False)]
        clicked = decode(embedding, clicks, multimask=True)
        return [
            mask
            if mask.score >= LEAST_SCORE
            and mask.iou(before) >= LEAST_IOU
            and max(mask.iou(one) for one in said.masks) >= LEAST_IOU
            else _NOWHERE
            for mask, before, said in zip(drawn, last, clicked, strict=True)
        ]

    def _on(self, number: int, plane: int) -> Mask:
        said = self._said[number].get(plane)
        return said or self._found.get(number, {}).get(plane, _NOWHERE)
