"""Proofreading with a session: what is doubtful comes one by one. No Qt, no napari.

Objects are measured on a thread, the model is asked on the lane. Every edit is an
edit of the session: one timeline of undo, and journalled.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from napari_sam.live.proofreading.asking import Asking
from napari_sam.live.proofreading.doubts import Ranking, measure, rank
from napari_sam.live.proofreading.review import Review
from napari_sam.live.threads import Threads, say
from napari_sam.types import NapariSamError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari_sam.live.labels.access import LabelArray
    from napari_sam.live.labels.changes import Change, IntBox
    from napari_sam.live.labels.scan import Scan
    from napari_sam.live.prompting.session import Session
    from napari_sam.live.proofreading.doubts import Doubt, Opinion
    from napari_sam.live.values import Index, Key
    from napari_sam.models.lane import Post

Phase: TypeAlias = Literal["nothing", "looking", "ready", "stopped", "failed"]

NOTHING_SHOWN = "No object is shown: look for doubtful objects, or press Next."
NO_OBJECTS = "There are no objects to look through yet."
HERE = "It was not on the screen: here it is. Press again."


class Screen(Protocol):
    """What shows the objects to a person."""

    def changed(self) -> None:
        """Say how far it is: something about it has changed."""

    def show_place(self, index: Index, box: IntBox) -> None:
        """Bring a place to the middle of the screen."""

    def sees(self, index: Index, box: IntBox) -> bool:
        """Whether a place is on the screen."""

    def opened(self, key: Key) -> None:
        """Let what is drawn next refine this suggestion."""

    def notice(self, text: str) -> None:
        """Say a line."""


class _Nobody:
    """Shows nothing."""

    def changed(self) -> None:
        """Nobody is there."""

    def show_place(self, index: Index, box: IntBox) -> None:
        """Nobody is there."""

    def sees(self, index: Index, box: IntBox) -> bool:
        """Whoever has no screen knows what they do."""
        return True

    def opened(self, key: Key) -> None:
        """Nobody is there."""

    def notice(self, text: str) -> None:
        """Nobody is there."""


@dataclass(frozen=True, slots=True)
class State:
    """What goes on.

    Attributes
    ----------
    phase : str
    since : float
        When it began, by `time.monotonic`.
    error : str
        One line for people.
    """

    phase: Phase = "nothing"
    since: float = 0.0
    error: str = ""


class Proofreader:
    """Finds doubtful objects, and goes from one to the next.

    Used on the thread that uses the session.

    Parameters
    ----------
    session : Session
    post : callable
        Runs a function on that thread.

    Attributes
    ----------
    review : Review or None
        None as long as nothing was looked for.
    asking : Asking
    state : State
    screen : Screen
    """

    def __init__(self, session: Session, post: Post) -> None:
        self._session = session
        self._threads = Threads(post)
        self._looking: Review | None = None
        # What was accepted or deleted here: who takes that back is to see it.
        self._settled: set[int] = set()
        self.asking = Asking(session, post, self._told, self._changed)
        self.review: Review | None = None
        self.state = State()
        self.screen: Screen = _Nobody()
        self._ask_too = False

    # Looking for what is doubtful.

    def start(self) -> None:
        """Look for doubtful objects, and go to the first."""
        store = self._session.store
        if store is None or not store.records:
            self.screen.notice(NO_OBJECTS)
            return
        known = {} if self.review is None else self.review.opinions
        self._end()
        review = self._looking = Review(store)
        snapshot = review.snapshot()
        self.state = State("looking", time.monotonic())

        def still_wanted() -> bool:
            return self._looking is review

        self._threads.run(
            "proofread",
            partial(_ranked, store.labels, snapshot, known, still_wanted),
            partial(self._looked, review),
            partial(self._failed, review),
        )
        self._changed()

    def ask_too(self, on: bool) -> None:
        """Ask the model what it makes of the objects, or ask it no more."""
        self._ask_too = on
        if not on:
            self.asking.stop()
        elif self.review is not None:
            self._ask()

    def cancel(self) -> None:
        """Stop whatever runs, at once; what was found so far stays."""
        if self._looking is not None:
            self._looking = None
            self.state = State("stopped")
        self.asking.stop()
        self._changed()

    def drop(self) -> None:
        """Forget everything: other objects are worked on."""
        self._end()
        self.state = State()
        self._changed()

    def close(self) -> None:
        """End everything; it can be used again."""
        self._end()
        self.state = State()
        self._threads.close()
        self.asking.close()

    def _looked(self, review: Review, ranking: Ranking | None) -> None:
        if self._looking is not review or ranking is None:
            return
        self._looking = None
        review.begin(ranking)
        self.review, self.state = review, State("ready")
        if self._ask_too:
            self._ask(leave_out=frozenset(review.opinions))
        self.next()

    def _failed(self, review: Review, error: Exception) -> None:
        if self._looking is review:
            self._looking = None
            self.state = State("failed", error=say(error))
            self._changed()

    def _ask(self, leave_out: frozenset[int] = frozenset()) -> None:
        review = self.review
        if review is not None:
            leave_out |= review.reviewed_ids
            self.asking.ask(review.store.labels, review.sizes, leave_out)

    def _told(self, opinions: Mapping[int, Opinion]) -> None:
        if self.review is not None:
            self.review.asked(opinions)

    def _end(self) -> None:
        self._looking = self.review = None
        self._settled.clear()
        self.asking.drop()

    # What was edited.

    def follow(self, change: Change) -> None:
        """Take in an edit, whoever made it; also one that was undone or redone."""
        touched: set[int] = set()
        for review in (self._looking, self.review):
            if review is not None:
                touched |= review.follow(change)
        self.asking.edited(touched)
        review = self.review
        back = sorted(
            n for n in touched & self._settled if review and review.doubt_about(n)
        )
        if review is not None and back:
            self._settled.difference_update(back)
            review.go_to(back[0])
            self._show()
        self._changed()

    # One object after the other.

    def actions(self) -> dict[str, Callable[[], object]]:
        """Return what keys can do, by name."""
        return {
            "accept": self.accept,
            "reject": self.delete,
            "refine": self.refine,
            "next_doubt": self.next,
            "previous_doubt": self.previous,
        }

    @property
    def current(self) -> Doubt | None:
        """The object that is shown, None where nothing is doubtful about it."""
        return None if self.review is None else self.review.current

    def next(self) -> None:
        """Go to the next doubtful object; look for them first."""
        self._go(Review.next)

    def previous(self) -> None:
        """Go to the doubtful object before."""
        self._go(Review.previous)

    def accept(self) -> None:
        """Say that the object is right as it is seen, and go to the next."""
        at, review = self._at_hand(), self.review
        if at is None or review is None:
            return
        key = self._open_one(at.id)
        self._settled.add(at.id)
        if key is None:
            self._session.edit(review.accept(at.id))
        else:
            self._session.commit([key])
            left = self._session.suggestions.get(key)
            if left is not None and not left.waiting:
                return  # it was refused, and it was said why
        self.next()

    def delete(self) -> None:
        """Delete the object on all slices, and go to the next."""
        at, review = self._at_hand(), self.review
        if at is None or review is None:
            return
        self._session.drop(
            [k for k, s in self._session.suggestions.items() if s.object_id == at.id]
        )
        self._settled.add(at.id)
        self._session.edit(review.delete(at.id))
        self.next()

    def refine(self) -> None:
        """Let the object be a suggestion again, on the slice on which it is seen."""
        at = self._at_hand()
        if at is None:
            return
        index, _ = self._where(at)
        try:
            key = self._session.reopen(at.id, index)
        except NapariSamError as error:
            self.screen.notice(say(error))
            return
        self.screen.opened(key)

    def _go(self, way: Callable[[Review], Doubt | None]) -> None:
        if self.review is None:
            if self._looking is None:
                self.start()
            return
        if way(self.review) is not None:
            self._show()
        self._changed()

    def _show(self) -> None:
        if self.current is not None:
            self.screen.show_place(self.current.index, self.current.box)

    def _at_hand(self) -> Doubt | None:
        """Return the object that is shown; nothing is done to what is not seen."""
        current = self.current
        if current is None:
            self.screen.notice(NOTHING_SHOWN)
            return None
        index, box = self._where(current)
        if index == self._session.index and self.screen.sees(index, box):
            return current
        self._show()
        self.screen.notice(HERE)
        return None

    def _where(self, doubt: Doubt) -> tuple[Index, IntBox]:
        """Return where an object is seen, or else where it is largest."""
        store, index = self._session.store, self._session.index
        on = {} if store is None else store.extents.get(doubt.id, {})
        if index is not None and index in on:
            return index, on[index]
        return doubt.index, doubt.box

    def _open_one(self, number: int) -> Key | None:
        """Return the suggestion on screen that the object is at the moment."""
        for key, shown in self._session.suggestions.items():
            if (shown.object_id, shown.index) == (number, self._session.index):
                return key
        return None

    def _changed(self) -> None:
        self.screen.changed()


def _ranked(
    labels: LabelArray,
    snapshot: Scan,
    opinions: Mapping[int, Opinion],
    still_wanted: Callable[[], bool],
) -> Ranking | None:
    sizes = measure(labels, snapshot, still_wanted)
    if sizes is None:
        return None
    return rank(sizes, snapshot.records, opinions=opinions)
