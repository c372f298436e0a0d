"""Asks models again what was asked before, in the same way, without a window."""

from __future__ import annotations

import queue
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from napari_sam.live import marks
from napari_sam.live.prompting.answers import Answer, answer
from napari_sam.live.prompting.asked import Asked
from napari_sam.live.replay.text import ReplayError
from napari_sam.live.values import Suggestion
from napari_sam.models.lane import OwnLane, Priority
from napari_sam.models.tiles import TiledModel
from napari_sam.types import Mask, PromptError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.live.prompting.reading import Reader
    from napari_sam.live.replay.text import Ask, Model, Question
    from napari_sam.live.values import Index
    from napari_sam.models.protocol import PromptableModel
    from napari_sam.types import Embedding

T = TypeVar("T")
# What is asked next is mostly about what was prepared, or answered, just now.
_PLANES: Final = 4
_ANSWERS: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """How a question was asked.

    Attributes
    ----------
    reader : Reader
        Shows the image as the model saw it.
    model : Model
    ask : Ask
    """

    reader: Reader
    model: Model
    ask: Ask


class Answers:
    """Gives the answers to recorded questions, when they are needed.

    Parameters
    ----------
    load : callable
        Returns a model for what was recorded of it.
    """

    def __init__(self, load: Callable[[Model], PromptableModel]) -> None:
        self._load = load
        self._posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lane = OwnLane(self, self._posted.put)
        self._asked: dict[int, Context] = {}
        self._models: dict[str, PromptableModel] = {}
        self._planes: OrderedDict[tuple[Any, ...], Embedding] = OrderedDict()
        self._answers: OrderedDict[int, list[Answer]] = OrderedDict()

    def add(self, context: Context) -> None:
        """Take a question; it is asked when somebody wants its answer."""
        self._asked[context.ask.answer] = context

    def index_of(self, number: int) -> Index:
        """Return the plane that was asked about."""
        return self._asked[number].ask.index

    def candidate(self, number: int, place: int, choice: int) -> tuple[Mask, Mask]:
        """Return a candidate as it is shown, and as the model draws it.

        Raises
        ------
        ReplayError
            If there is none; one line that goes on behind the number of an action.
        """
        if number not in self._asked:
            raise ReplayError(f"there is no question {number} before it")
        answers = self._answers.get(number)
        if answers is None:
            answers = self._answers[number] = self._ask(self._asked[number])
            if len(self._answers) > _ANSWERS:
                self._answers.popitem(last=False)
        self._answers.move_to_end(number)
        one = answers[place] if place < len(answers) else Answer(None)
        if one.candidates is None or choice >= len(one.candidates.masks):
            raise ReplayError(
                f"there is no candidate {choice} of question {place} of answer {number}"
            )
        return one.candidates.masks[choice], one.drawn[choice]

    def close(self) -> None:
        """Leave the lane."""
        self._lane.close()

    def _ask(self, context: Context) -> list[Answer]:
        ask = context.ask
        questions = [self._question(ask, one) for one in ask.questions]
        model = self._model(context.model)
        embedding = self._embedding(context, model)
        return self._run(
            model, partial(answer, model, embedding, questions, ask.outline)
        )

    def _question(self, ask: Ask, question: Question) -> Asked:
        previous = None
        if question.refines is not None:
            if question.refines[0] >= ask.answer:
                raise ReplayError("a question goes on with an answer that comes later")
            previous = self.candidate(*question.refines)[1]
        elif question.base is not None:
            part = question.base
            previous = Mask(part.box, part.array("|u1") > 0, float("nan"))
        try:
            said = marks.from_json(list(question.marks))
        except PromptError as error:
            raise ReplayError(str(error)) from error
        return Asked(Suggestion("", ask.index, said), previous=previous)

    def _model(self, said: Model) -> PromptableModel:
        key = f"{said.model} {said.sha256}"
        if key not in self._models:
            self._models[key] = self._load(said)
        return self._models[key]

    def _embedding(self, context: Context, model: PromptableModel) -> Embedding:
        index = context.ask.index
        key = (context.reader, model, index, context.ask.rounded)
        found = self._planes.get(key)
        if found is None:
            look = context.reader.look(index)
            if look.plane is None:
                raise ReplayError(look.problem)
            found = self._run(model, partial(model.encode, look.plane))
            if context.ask.rounded and isinstance(model, TiledModel):
                found = self._run(model, partial(model.rounded, found))
            self._planes[key] = found
            if len(self._planes) > _PLANES:
                self._planes.popitem(last=False)
        self._planes.move_to_end(key)
        return found

    def _run(self, model: PromptableModel, work: Callable[[], T]) -> T:
        """Have something done on the lane, as for the window, and wait for it."""
        done: list[T] = []
        failed: list[Exception] = []
        self._lane.on(model.info.device).submit(
            work,
            slot="replay",
            priority=Priority.DRAWING,
            done=done.append,
            failed=failed.append,
        )
        while not done and not failed:
            self._posted.get()()
        if failed:
            raise failed[0]
        return done[0]
