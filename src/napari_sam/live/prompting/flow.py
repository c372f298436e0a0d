"""What goes on between questions and answers.

Models are loaded on one thread, planes are read on another, models run on the lane;
what they come to is told here, on the thread that uses the session.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_sam.live.classes import ClassList
from napari_sam.live.labels.changes import Change, Refusal
from napari_sam.live.labels.history import History
from napari_sam.live.prompting.answers import Answer, Answering, Together, first_choice
from napari_sam.live.prompting.board import Board
from napari_sam.live.prompting.commits import Commits, about, about_more
from napari_sam.live.prompting.engine import Engine
from napari_sam.live.prompting.news import News
from napari_sam.live.prompting.planes import Planes
from napari_sam.live.prompting.state import Listener, Phase, Status
from napari_sam.live.threads import say
from napari_sam.live.values import Origin, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_sam.live.labels.store import LabelStore
    from napari_sam.live.prompting.answers import Answered
    from napari_sam.live.prompting.asked import Asked
    from napari_sam.live.source import Source
    from napari_sam.live.values import Index, Key, Suggestion
    from napari_sam.models.lane import Post
    from napari_sam.models.protocol import PromptableModel


class Flow:
    """Has planes prepared and questions answered, and tells what changed.

    What a person can do is in `Session`, which describes the attributes too.
    """

    def __init__(self, post: Post, listener: Listener, *, annotator: str = "") -> None:
        self._listener, self._annotator = listener, annotator
        self.source: Source | None = None
        self.store: LabelStore | None = None
        self.index: Index | None = None
        self.rule = Rule.KEEP
        self.one_click = False
        self.class_id = 0
        self.classes = ClassList()
        self.on_classes: Callable[[], None] = lambda: None
        self.preferred_scale: float | None = None
        self.outline = 0
        self.history = History()
        self.on_change: Callable[[Change], None] = lambda change: None
        self.on_answered: Callable[[Together], None] = lambda together: None
        self.on_kept: Callable[[int], None] = lambda number: None
        self.on_prepared: Callable[[str], None] = lambda problem: None
        self._answers = 0
        self._needed: Index | None = None  # somebody else waits for this plane
        self._news = News()
        self._board = Board()
        self._commits = Commits(
            self._board,
            self.history,
            self._write,
            self._apply,
            lambda asked, refused: self._news.settled(asked, refused),
        )
        self._engine = Engine(post, self, self._loaded, self._not_loaded)
        self._planes = Planes(post, self._plane_ready, self._plane_failed)
        self._answering = Answering(self._answered)
        self._stopped = False
        self._error = ""
        self._told: tuple[object, ...] = ()
        self._clock: tuple[Phase, float] = ("no image", 0.0)

    @property
    def suggestions(self) -> Mapping[Key, Suggestion]:
        """The open ones, oldest first."""
        return self._board.suggestions

    @property
    def current(self) -> Key | None:
        """The suggestion that was asked about last."""
        return self._board.current

    @property
    def model(self) -> PromptableModel | None:
        """What answers; None while it is being loaded."""
        return self._engine.model

    @property
    def status(self) -> Status:
        """What runs now."""
        model, (phase, since) = self._engine.model, self._clock
        return Status(
            phase,
            self._engine.name,
            "" if model is None else model.info.device,
            time.monotonic() - since,
            self._error if phase == "failed" else "",
        )

    # What comes back.

    def _loaded(self) -> None:
        self._planes.use(self._engine.model, self._engine.lane)
        for key in self._board:
            self._board.update(self._current_model(self._board[key]))
            self._news.redraw([self._board[key]])
        self._flush()
        self.on_prepared("")

    def _not_loaded(self, error: Exception) -> None:
        self._error = say(error)
        self._give_up(None, self._error)
        self._report()
        self.on_prepared(self._error)

    def _plane_ready(self, index: Index) -> None:
        self._ask_model(index)
        self._report()
        self.on_prepared("")

    def _plane_failed(self, index: Index, error: Exception) -> None:
        text = say(error)
        if index == self.index or index in self._board.waiting_on:
            self._error = text
        self._give_up(index, text)
        self._report()
        if index == self._needed:
            self.on_prepared(text)

    def _give_up(self, index: Index | None, text: str) -> None:
        """Tell those who wait on a plane (or anywhere) that nothing will come."""
        for where in self._board.waiting_on if index is None else (index,):
            gone = [(asked, Answer(None, text)) for asked in self._board.waiting(where)]
            self._answered(where, gone)

    def _answered(self, index: Index, answered: Answered) -> None:
        model, arrived = self._engine.model, []
        number = self._note_answer(index, answered)
        for place, (asked, answer) in enumerate(answered):
            key = asked.shown.key
            if self._board.get(key) is not asked:
                continue  # something else was said in the meantime
            if answer.candidates is None or model is None:
                now = asked.failed(answer.error)
            else:
                choice = first_choice(answer.candidates, self.preferred_scale)
                now = asked.answered(
                    answer.candidates, choice, model.info, answer.drawn, (number, place)
                )
            self._board.update(now)
            self._news.redraw([now])
            arrived.append(key)
        self._commits.arrived(arrived)
        self._flush()

    def _note_answer(self, index: Index, answered: Answered) -> int:
        """Count an answer, and tell what was asked; `_give_up` answers nothing."""
        model, source = self._engine.model, self.source
        if model is None or source is None:
            return self._answers
        if any(answer.candidates is not None for _, answer in answered):
            self._answers += 1
            prepared = self._planes.get(index)
            seen = None if prepared is None else prepared.embedding
            self.on_answered(
                Together(
                    self._answers,
                    source,
                    index,
                    self._engine.name,
                    model.info,
                    self.outline,
                    tuple(asked for asked, _ in answered),
                    seen is not None and seen.rounded,
                )
            )
        return self._answers

    def _go_on(self) -> None:
        """Load a model if there is none, and forget what went wrong."""
        self._error, self._stopped = "", False
        self._engine.start()

    # How things are done.

    def _swap(self, states: Mapping[Key, Asked | None]) -> dict[Key, Asked | None]:
        self._commits.withdraw(states)
        now = {
            key: None if asked is None else self._current_model(asked)
            for key, asked in states.items()
        }
        before = self._board.put(now)
        self._news.redraw([*before.values(), *now.values()])
        self._news.keys |= dict.fromkeys(states)
        return before

    def _current_model(self, asked: Asked) -> Asked:
        """Have it asked anew where another model has answered."""
        model = self._engine.model
        if model is None or asked.by in (None, model.info):
            return asked
        return asked.again()

    def _ask_model(self, index: Index) -> None:
        waiting, engine = self._board.waiting(index), self._engine
        if not waiting:
            self._answering.stop(index)
            return
        prepared = self._planes.get(index)
        if prepared is None or engine.model is None or engine.lane is None:
            return
        if prepared.embedding is None:
            self._give_up(index, prepared.problem)
        else:
            self._answering.ask(
                index,
                waiting,
                engine.model,
                prepared.embedding,
                engine.lane,
                self.outline,
            )

    def _flush(self) -> None:
        """Tell what was done, and go on with what is to be done."""
        news, self._news = self._news, News()
        news.tell(self._listener, self.on_change)
        if news.kept is not None:
            self.on_kept(news.kept)
        for index in {*news.planes, *self._board.waiting_on}:
            self._ask_model(index)
        self._report(news.refused)

    def _report(self, refused: str = "") -> None:
        """Have planes prepared, and tell what runs if that has changed."""
        if self.source is not None and not self._stopped:
            self._planes.want(self.index, self._wanted())
        self._set_phase()
        status = self.status
        told = status.phase, status.model, status.device, status.error
        if refused or told != self._told:
            self._told = told
            self._listener.status_changed(replace(status, refused=refused))

    def _wanted(self) -> set[Index]:
        """Return the planes that someone waits for."""
        needed = set() if self._needed is None else {self._needed}
        return self._board.waiting_on | needed

    def _set_phase(self) -> None:
        phase = self._phase()
        if phase != self._clock[0]:
            self._clock = phase, time.monotonic()

    def _phase(self) -> Phase:
        if self.source is None:
            return "failed" if self._error else "no image"
        if self._engine.loading:
            return "loading"
        if self._answering.busy:
            return "answering"
        if self._engine.model is not None and any(
            map(self._planes.preparing, (self.index, *self._wanted()))
        ):
            return "preparing"
        return "failed" if self._error else "ready"

    def _empty(self) -> None:
        """Close all suggestions and forget the image."""
        self._answering.stop()
        self._planes.open(None)
        self.history.clear()
        self._commits.clear()
        gone = [self._board[key] for key in self._board]
        self._board.clear()
        self.source = self.store = self.index = self._needed = None
        self._error = ""
        self._news = News()
        self._news.settled(gone, "")

    def _write(self, asked: Asked, into: int | None) -> Change | Refusal:
        shown, store = asked.shown, self.store
        if store is None or shown.mask is None:
            return Refusal("there is nothing to add")
        number, joins = shown.object_id, False
        if number is None and into is not None:
            if into not in store.records:
                return Refusal(f"nothing was added: there is no object {into} any more")
            number, joins = into, True
            fields = about_more(asked, store.records[into])
        else:
            fields = about(asked, store.records, self._annotator, self.class_id)
        number = store.next_id if number is None else number
        change = store.add(
            shown.index, shown.mask, self.rule, object_id=number, joins=joins, **fields
        )
        if isinstance(change, Change):
            if joins:
                change = replace(change, what=f"Add to object {number}")
            if asked.answer is not None:
                origin = Origin(asked.answer, shown.choice, number, joins, self.rule)
                change = replace(change, origin=origin)
            self._news.changes.append(change)
            self._news.kept = number
        return change

    def _apply(self, change: Change, back: bool) -> None:
        self._apply_all([change], back)

    def _apply_all(self, changes: Sequence[Change], back: bool) -> None:
        if self.store is not None:
            done = [one.reverse() for one in reversed(changes)] if back else changes
            self.store.redo_all(done)
            self._news.changes += done
