"""From suggestions to objects, also for those whose answer is still to come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from napari_sam.live.labels.changes import Change, Refusal
from napari_sam.live.values import PlaneMarks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from napari_sam.live.labels.history import History
    from napari_sam.live.prompting.asked import Asked
    from napari_sam.live.prompting.board import Board
    from napari_sam.live.values import Key, ObjectRecord

# What an object takes in the history that is not known yet, about.
_LATER: Final = 8192


def about(
    asked: Asked, records: Mapping[int, ObjectRecord], annotator: str, class_id: int
) -> dict[str, Any]:
    """Return what the record of an object says when this becomes it.

    An object that was opened again and left as it was keeps what is known of it; who
    wanted it like that has looked at it.
    """
    shown, known = asked.shown, asked.shown.object_id in records
    fields: dict[str, Any] = {"reviewed": True} if known else {"class_id": class_id}
    if shown.marks:
        fields["prompts"] = (PlaneMarks(shown.index, shown.marks),)
    if asked.by is not None and shown.mask is not None:
        fields |= {
            "source": "person",
            "annotator": annotator,
            "model": asked.by.name,
            "model_sha256": asked.by.sha256,
            "score": shown.mask.score,
            "stability": shown.mask.stability,
        }
    return fields


def about_more(asked: Asked, record: ObjectRecord) -> dict[str, Any]:
    """Return what the record of an object says when this is added to it.

    Only what was drawn: who looked at the rest of it, and what outlined that, stays.
    """
    shown = asked.shown
    before = [m for p in record.prompts if p.index == shown.index for m in p.marks]
    if not shown.marks:
        return {}
    return {"prompts": (PlaneMarks(shown.index, (*before, *shown.marks)),)}


class Commit:
    """One step of the history: all objects that were added at once.

    Some may be added later, when their answer comes.

    Attributes
    ----------
    place : int
        In the order of steps that write labels.
    into : int or None
        The object that gets what is suggested; None where each is a new one.
    """

    def __init__(
        self,
        commits: Commits,
        place: int,
        keys: Iterable[Key],
        into: int | None = None,
    ) -> None:
        self._commits, self.place, self.into = commits, place, into
        self.done: list[tuple[Asked, Change]] = []
        self.waiting: set[Key] = set(keys)
        self._nbytes: int | None = None

    @property
    def what(self) -> str:
        """What it was."""
        if len(self.done) == 1 and not self.waiting:
            return self.done[0][1].what
        if self.into is not None:
            return f"Add to object {self.into}"
        return f"Add {len(self.done) + len(self.waiting)} objects"

    @property
    def nbytes(self) -> int:
        """About what it keeps; counted when it is first asked for."""
        if self._nbytes is None:
            kept = sum(a.nbytes + change.nbytes for a, change in self.done)
            self._nbytes = kept + _LATER * len(self.waiting)
        return self._nbytes

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it (any more)."""
        return not self.done and not self.waiting

    def undo(self) -> None:
        """Let the objects be suggestions again."""
        self._commits.undo(self)

    def redo(self) -> None:
        """Let the suggestions be objects again."""
        self._commits.redo(self)


class Commits:
    """Adds objects, in the order in which a person wanted them.

    Parameters
    ----------
    board : Board
    history : History
    write : callable
        Makes an object of what is shown, or adds it to one that is named.
    apply : callable
        Takes an edit, and whether it is to be taken back.
    settled : callable
        Is told which suggestions were opened or closed, and why others were not.
    """

    def __init__(
        self,
        board: Board,
        history: History,
        write: Callable[[Asked, int | None], Change | Refusal],
        apply: Callable[[Change, bool], None],
        settled: Callable[[Iterable[Asked], str], None],
    ) -> None:
        self._board, self._history = board, history
        self._write, self._apply, self._settled = write, apply, settled
        self._later: dict[Key, Commit] = {}
        # Steps that write labels are counted; those that were written last must be
        # undone first.
        self._place = self._written = 0

    def wants(self, key: Key) -> bool:
        """Whether a suggestion becomes an object as soon as its answer comes."""
        return key in self._later

    def request(self, keys: Iterable[Key], into: int | None = None) -> None:
        """Add these, or add them to an object; one step in the history."""
        wanted = [key for key in dict.fromkeys(keys) if key not in self._later]
        open_ones = [self._board[key] for key in wanted if key in self._board]
        ready = [asked for asked in open_ones if not asked.waiting]
        later = [asked.shown.key for asked in open_ones if asked.waiting]
        commit = Commit(self, self._next_place(), later, into)
        self._later |= dict.fromkeys(later, commit)
        closed, refused = self._take(commit, ready)
        if not commit.empty:
            self._history.push(commit)
        self._settled(closed, refused)

    def arrived(self, keys: Iterable[Key]) -> None:
        """Add those of these that were waited for."""
        came = set(keys)
        for key in [key for key in self._later if key in came]:
            commit = self._later.pop(key)
            commit.waiting.discard(key)
            late = commit.place < self._written
            if late:
                commit = Commit(self, self._next_place(), (), commit.into)
            closed, refused = self._take(commit, [self._board[key]])
            if late and not commit.empty:
                self._history.push(commit)
            self._settled(closed, refused)

    def withdraw(self, keys: Iterable[Key]) -> None:
        """Do not add these when their answer comes."""
        for key in keys:
            commit = self._later.pop(key, None)
            if commit is not None:
                commit.waiting.discard(key)

    def edited(self) -> None:
        """Hear that somebody else has written labels, in a step of its own."""
        self._written = self._next_place()

    def clear(self) -> None:
        """Add nothing any more."""
        self._later.clear()

    def undo(self, commit: Commit) -> None:
        """Take a step back."""
        for key in commit.waiting:
            self._later.pop(key, None)
        for _, change in reversed(commit.done):
            self._apply(change, True)
        asked = [each for each, _ in commit.done]
        self._board.put({each.shown.key: each for each in asked})
        self._settled(asked, "")

    def redo(self, commit: Commit) -> None:
        """Do a step again."""
        for _, change in commit.done:
            self._apply(change, False)
        asked = [each for each, _ in commit.done]
        self._board.put({each.shown.key: None for each in asked})
        open_ones = [self._board[key] for key in commit.waiting if key in self._board]
        commit.waiting = {each.shown.key for each in open_ones if each.waiting}
        self._later |= dict.fromkeys(commit.waiting, commit)
        ready = [each for each in open_ones if not each.waiting]
        closed, refused = self._take(commit, ready)
        self._settled([*asked, *closed], refused)

    def _next_place(self) -> int:
        self._place += 1
        return self._place

    def _take(self, commit: Commit, ready: Iterable[Asked]) -> tuple[list[Asked], str]:
        closed, refused = [], ""
        for asked in ready:
            if asked.shown.mask is None:
                refused = asked.shown.error or "there is nothing to add yet"
                continue
            change = self._write(asked, commit.into)
            if isinstance(change, Refusal):
                refused = change.text
                continue
            commit.done.append((asked, change))
            closed.append(asked)
            self._written = max(self._written, commit.place)
        self._board.put({asked.shown.key: None for asked in closed})
        return closed, refused
