"""Objects that were prompted on a few planes, followed through the whole stack."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam.images import open_image
from napari_sam.models.followed import chosen
from napari_sam.models.protocol import StackModel
from napari_sam.models.sizes import nbytes_of
from napari_sam.segment.annotate import place
from napari_sam.segment.link import axis_to_link
from napari_sam.segment.walk import Walker
from napari_sam.types import PromptError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from napari_sam.images import ImageStack
    from napari_sam.models.protocol import Embed, Follower, PromptableModel
    from napari_sam.types import Embedding, LabelArray, Mask, Prompt

KEPT: Final = 2 * 1024**3  # bytes of embeddings


class Course:
    """Follow objects along a row of planes.

    SAM 2 does it with its memory; with other models what is found on one plane is the
    prompt on the next. Objects can be put right on any plane, and followed on from
    there.

    Parameters
    ----------
    model : PromptableModel
    encode : callable
        Returns this model's embedding of a plane by its number, from 0.
    count : int
        Planes in the row.
    kept : int
        Bytes of embeddings to keep. A plane is encoded once while there is room.
    """

    def __init__(
        self, model: PromptableModel, encode: Embed, count: int, *, kept: int = KEPT
    ) -> None:
        self.count = count
        embed = _Kept(encode, kept)
        self._follower: Follower = (
            model.follow(embed, count)
            if isinstance(model, StackModel)
            else Walker(model, embed, count)
        )
        self._first: dict[int, int] = {}

    def prompt(self, number: int, plane: int, prompt: Prompt) -> Mask:
        """Say where an object is on a plane; return how that was understood.

        Parameters
        ----------
        number : int
            The object's, from 1.
        plane : int
            From 0.
        prompt : Prompt
            All that is said about the object on this plane. A mask and nothing else
            is taken as it is.

        Raises
        ------
        PromptError
            If there is no such plane, or the prompt does not fit it.
        """
        mask = self._follower.prompt(number, plane, prompt)
        self._first[number] = min(plane, self._first.get(number, plane))
        return mask

    def along(
        self, planes: range, numbers: Sequence[int] | None = None
    ) -> Iterator[tuple[int, dict[int, Mask]]]:
        """Follow objects over some planes, upwards or downwards.

        Parameters
        ----------
        planes : range
            In steps of 1 or -1, on from a plane on which the objects are known.
        numbers : sequence of int, optional
            Only these objects.

        Yields
        ------
        plane : int
        masks : dict of int to Mask
            Empty where an object is not.

        Raises
        ------
        PromptError
            If nothing was said about an object.
        """
        return self._follower.run(planes, numbers)

    def run(
        self, numbers: Sequence[int] | None = None, *, start: int | None = None
    ) -> Iterator[tuple[int, dict[int, Mask]]]:
        """Follow objects to both ends.

        Parameters
        ----------
        numbers : sequence of int, optional
            Only these objects.
        start : int, optional
            Begin at this plane, after a correction there; by default each object
            begins at the first plane on which it was prompted.

        Yields
        ------
        plane : int
            First upwards, then downwards. It can come both times, with other
            objects.
        masks : dict of int to Mask
            Empty where an object is not.

        Raises
        ------
        PromptError
            If nothing was said about an object.
        """
        wanted = chosen(self._first, numbers)
        begin = {n: self._first[n] if start is None else start for n in wanted}
        turns = sorted(set(begin.values()))
        for turn, end in zip(turns, [*turns[1:], self.count], strict=True):
            here = [n for n in wanted if begin[n] <= turn]
            yield from self.along(range(turn, end), here)
        for turn, end in zip(turns[::-1], [*turns[-2::-1], 0], strict=True):
            here = [n for n in wanted if begin[n] >= turn]
            yield from self.along(range(turn - 1, end - 1, -1), here)


class Propagation(Course):
    """Follow objects through z of a stack, or through t where there is no z.

    Parameters
    ----------
    stack : ImageStack
    model : PromptableModel
    at : mapping of str to int
        Where to be on the stack's other axes, for example {"T": 3}; 0 elsewhere.
    kept : int
        Bytes of embeddings to keep. A plane is encoded once while there is room.

    Attributes
    ----------
    axis : str
        What objects are followed through.
    count : int
        Planes along it.

    Raises
    ------
    PromptError
        If the stack has nothing to follow objects through, or not the axes of `at`.
    """

    def __init__(
        self,
        stack: ImageStack,
        model: PromptableModel,
        *,
        at: Mapping[str, int] | None = None,
        kept: int = KEPT,
    ) -> None:
        axis = axis_to_link(stack.stack_axes)
        if axis is None:
            raise PromptError(
                f"{stack.name}: objects are followed through z or t, and the axes are "
                f'{stack.axes}: say which axis is which, for example axes="ZYX"'
            )
        at = at or {}
        wrong = set(at) - (set(stack.stack_axes) - {axis})
        if wrong:
            raise PromptError(
                f"{stack.name}: {', '.join(sorted(wrong))} cannot be chosen: "
                f"objects are followed through {axis}, the axes are {stack.axes}"
            )
        self.axis = axis
        self._where = [at.get(each, 0) for each in stack.stack_axes]
        self._along = stack.stack_axes.index(axis)
        normalization = stack.normalization()

        def encode(plane: int) -> Embedding:
            return model.encode(stack.plane(self.index(plane), normalization))

        super().__init__(model, encode, stack.stack_shape[self._along], kept=kept)

    def index(self, plane: int) -> tuple[int, ...]:
        """Return where in the stack the plane with this number is."""
        return (*self._where[: self._along], plane, *self._where[self._along + 1 :])


def propagate(
    source: Any,
    prompts: Mapping[int, Mapping[int, Prompt]],
    *,
    model: PromptableModel,
    axes: str | None = None,
    at: Mapping[str, int] | None = None,
) -> LabelArray:
    """Follow objects from the planes on which they were prompted through a stack.

    Parameters
    ----------
    source : str, Path, array-like or ImageStack
        What `napari_sam.images.open_image` takes.
    prompts : mapping
        For every object, by its number from 1, prompts by plane.
    model : PromptableModel
    axes : str, optional
        Axes of the source, for example "ZYX"; by default what the file says.
    at : mapping of str to int, optional
        See `Propagation`.

    Returns
    -------
    uint32 array
        The source's shape without channels: the numbers of the objects. Where two
        overlap, the one that the model is surer of has the pixel.

    Raises
    ------
    PromptError
        If a prompt does not fit, or there is nothing to follow objects through.
    """
    stack = open_image(source, axes=axes)
    try:
        following = Propagation(stack, model, at=at)
        for number, planes in prompts.items():
            for plane, prompt in planes.items():
                following.prompt(number, plane, prompt)
        masks: dict[int, dict[int, Mask]] = {}
        for plane, found in following.run():
            masks.setdefault(plane, {}).update(found)
        labels = np.zeros(stack.label_shape, np.uint32)
        for plane, found in masks.items():
            painted = np.zeros(stack.plane_shape, np.uint32)
            for number, mask in sorted(found.items(), key=_sureness):
                painted[mask.slices][mask.data] = number
            place(labels, following.index(plane), painted, stack)
        return labels
    finally:
        if stack is not source:
            stack.close()


def _sureness(found: tuple[int, Mask]) -> tuple[float, int]:
    number, mask = found
    return mask.score, -number


class _Kept:
    """Keeps the embeddings that were used last, as many as fit."""

    def __init__(self, encode: Embed, most: int) -> None:
        self._encode, self._most = encode, most
        self._kept: OrderedDict[int, Embedding] = OrderedDict()
        self._nbytes = 0

    def __call__(self, plane: int) -> Embedding:
        found = self._kept.get(plane)
        if found is None:
            found = self._kept[plane] = self._encode(plane)
            self._nbytes += nbytes_of(found)
            while self._nbytes > self._most and len(self._kept) > 1:
                self._nbytes -= nbytes_of(self._kept.popitem(last=False)[1])
        self._kept.move_to_end(plane)
        return found
