"""Questions to a model and what comes of its answers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam.live.marks import prompt_of
from napari_sam.live.prompting.looser import looser
from napari_sam.live.prompting.tidy import tidy
from napari_sam.live.threads import say
from napari_sam.models.lane import Priority
from napari_sam.types import Candidates, Mask, PromptError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam.live.prompting.asked import Asked
    from napari_sam.live.source import Source
    from napari_sam.live.values import Index
    from napari_sam.models.lane import LaneHandle, Request
    from napari_sam.models.protocol import ModelInfo, PromptableModel
    from napari_sam.types import Embedding, Prompt

# Two masks that overlap more than this look the same to a person.
_SAME: Final = 0.95
# A click waits for at most so many answers to others.
_BATCH: Final = 64
NOTHING: Final = "nothing found there; click closer to the middle or draw a box"


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a model said about one object: candidates, or why there are none.

    Attributes
    ----------
    candidates : Candidates or None
        As they are shown.
    error : str
    drawn : tuple of Mask
        The candidates as the model draws them, where a person wants others.
    """

    candidates: Candidates | None
    error: str = ""
    drawn: tuple[Mask, ...] = ()


Answered = list[tuple["Asked", Answer]]


@dataclass(frozen=True, slots=True, eq=False)
class Together:
    """Questions that a model has answered together: all that the answers depend on.

    Attributes
    ----------
    number : int
        Of this answer in the session.
    source : Source
    index : tuple of int
        The plane.
    chosen : str
        What the model was asked for by: its name, or the path of its file.
    model : ModelInfo
    outline : int
        See `answer`.
    questions : tuple of Asked
    rounded : bool
        See `Embedding`.
    """

    number: int
    source: Source
    index: Index
    chosen: str
    model: ModelInfo
    outline: int
    questions: tuple[Asked, ...]
    rounded: bool


class Answering:
    """Has a model answer what is asked, plane by plane.

    Parameters
    ----------
    answered : callable
        Gets the plane, and the questions with their answers.
    """

    def __init__(self, answered: Callable[[Index, Answered], None]) -> None:
        self._answered = answered
        self._running: dict[Index, tuple[Request, list[Asked]]] = {}
        self._alone: set[int] = set()  # of questions that failed together

    @property
    def busy(self) -> bool:
        """Whether an answer is to come."""
        return bool(self._running)

    def ask(
        self,
        index: Index,
        waiting: Sequence[Asked],
        model: PromptableModel,
        embedding: Embedding,
        lane: LaneHandle,
        outline: int = 0,
    ) -> None:
        """Ask all questions that wait on a plane, the most urgent ones first.

        What is being answered there already is asked again together with what is
        new: one batch costs little more than one question.
        """
        batch = self._batch(waiting)
        ids = {id(asked) for asked in batch}
        running = self._running.get(index)
        if running is not None and ids <= {id(asked) for asked in running[1]}:
            return

        def done(answers: list[Answer]) -> None:
            self._running.pop(index, None)
            self._alone -= ids
            self._answered(index, list(zip(batch, answers, strict=True)))

        def failed(error: Exception) -> None:
            self._running.pop(index, None)
            if len(batch) > 1:
                # One of them may be to blame, or all are too much at once.
                self._alone |= ids
                self.ask(index, waiting, model, embedding, lane, outline)
            else:
                self._alone -= ids
                self._answered(index, [(batch[0], Answer(None, say(error)))])

        request = lane.submit(
            partial(answer, model, embedding, batch, outline),
            slot=("answer", index),
            priority=Priority.DRAWING,
            done=done,
            failed=failed,
        )
        self._running[index] = request, batch

    def stop(self, index: Index | None = None) -> None:
        """Answer nothing more, on a plane or anywhere."""
        for each in tuple(self._running) if index is None else (index,):
            running = self._running.pop(each, None)
            if running is not None:
                running[0].cancel()
        if index is None:
            self._alone.clear()

    def _batch(self, waiting: Sequence[Asked]) -> list[Asked]:
        together = [asked for asked in waiting if id(asked) not in self._alone]
        return together[:_BATCH] if together else list(waiting[:1])


def answer(
    model: PromptableModel,
    embedding: Embedding,
    questions: Sequence[Asked],
    outline: int = 0,
) -> list[Answer]:
    """Answer questions about objects on a plane, in their order; on the lane.

    Parameters
    ----------
    model : PromptableModel
    embedding : Embedding
    questions : sequence of Asked
    outline : int
        How many pixels looser outlines are wanted than the model draws them.
    """
    answers: list[Answer] = []
    prompts = []
    for asked in questions:
        try:
            prompts.append(
                prompt_of(asked.shown.marks, embedding.shape, previous=asked.previous)
            )
        except PromptError as error:
            answers.append(Answer(None, say(error)))
        else:
            answers.append(Answer(None))
    found = zip(
        prompts, model.decode(embedding, prompts) if prompts else (), strict=True
    )
    for position, each in enumerate(answers):
        if each.error:
            continue
        prompt, candidates = next(found)
        tidied = tuple(tidy(m, prompt) for m in candidates.masks if m.data.any())
        arranged = arrange(Candidates(tidied))
        if arranged is None:
            answers[position] = Answer(None, NOTHING)
        else:
            masks = _with_drawing(arranged.masks, prompt)
            shown = [_looser(mask, outline, embedding.shape) for mask in masks]
            order = sorted(range(len(masks)), key=lambda i: shown[i].area)
            answers[position] = Answer(
                Candidates(tuple(shown[i] for i in order)),
                drawn=tuple(masks[i] for i in order),
            )
    return answers


def _with_drawing(masks: tuple[Mask, ...], prompt: Prompt) -> tuple[Mask, ...]:
    """Offer the area that a person has drawn, too.

    A model takes an outline for a hint. Who has taken the trouble to draw one may
    want just that.
    """
    if prompt.mask is None or len(prompt.points):
        return masks
    drawn = Mask.from_array(prompt.mask, score=math.nan)
    if any(overlap(mask, drawn) > _SAME for mask in masks):
        return masks
    return (*masks, drawn)


def _looser(mask: Mask, pixels: int, shape: tuple[int, int]) -> Mask:
    """Move the outline of what a model has drawn."""
    return mask if math.isnan(mask.score) else looser(mask, pixels, shape)


def arrange(candidates: Candidates) -> Candidates | None:
    """Return different candidates from small to large; None where there are none.

    Of two that look the same the better one is kept.
    """
    kept: list[Mask] = []
    for mask in sorted(candidates.masks, key=lambda mask: -mask.score):
        if mask.data.any() and all(overlap(mask, other) <= _SAME for other in kept):
            kept.append(mask)
    return Candidates(tuple(sorted(kept, key=lambda mask: mask.area))) if kept else None


def overlap(one: Mask, other: Mask) -> float:
    """Return the intersection over union of two masks."""
    y0, x0 = max(one.box[0], other.box[0]), max(one.box[1], other.box[1])
    y1, x1 = min(one.box[2], other.box[2]), min(one.box[3], other.box[3])
    if y0 >= y1 or x0 >= x1:
        return 0.0
    parts = [
        mask.data[
            y0 - mask.box[0] : y1 - mask.box[0], x0 - mask.box[1] : x1 - mask.box[1]
        ]
        for mask in (one, other)
    ]
    both = int(np.count_nonzero(parts[0] & parts[1]))
    return both / (one.area + other.area - both)


def _rank(mask: Mask) -> float:
    """Put what was drawn by hand, and has no score, behind what a model says."""
    return -1.0 if math.isnan(mask.score) else mask.score


def first_choice(candidates: Candidates, scale: float | None) -> int:
    """Return which candidate is shown first.

    Parameters
    ----------
    candidates : Candidates
        From small to large.
    scale : float, optional
        The size that a person prefers, from 0 (smallest) to 1 (largest). Without
        one the best is shown.
    """
    masks = candidates.masks
    if scale is None:
        return max(range(len(masks)), key=lambda i: _rank(masks[i]))
    return round(scale * (len(masks) - 1))
