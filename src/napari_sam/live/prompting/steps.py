"""Steps of the history that are no commits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_sam.live.labels.changes import Change
    from napari_sam.live.prompting.asked import Asked
    from napari_sam.live.values import Key

    Swap = Callable[[Mapping[Key, "Asked | None"]], dict[Key, "Asked | None"]]


T = TypeVar("T")


class Said:
    """What was said about open suggestions.

    It keeps them with their answers: they come back as they were, without a model.

    Parameters
    ----------
    what : str
    states : mapping of key to Asked or None
        What they were in front of it.
    swap : callable
        Puts states in place and returns those that it replaces.
    """

    def __init__(
        self, what: str, states: Mapping[Key, Asked | None], swap: Swap
    ) -> None:
        self.what = what
        self.nbytes = sum(0 if one is None else one.nbytes for one in states.values())
        self._states, self._swap = states, swap

    def undo(self) -> None:
        """Let it be as it was before."""
        self._states = self._swap(self._states)

    def redo(self) -> None:
        """Let it be as it was afterwards."""
        self._states = self._swap(self._states)


class Edit:
    """An edit of committed objects.

    Parameters
    ----------
    change : Change
    apply : callable
        Takes it, and whether it is to be taken back.
    """

    def __init__(self, change: Change, apply: Callable[[Change, bool], None]) -> None:
        self.what, self.nbytes = change.what, change.nbytes
        self._change, self._apply = change, apply

    def undo(self) -> None:
        """Take it back."""
        self._apply(self._change, True)

    def redo(self) -> None:
        """Do it again."""
        self._apply(self._change, False)


class Replaced(Generic[T]):
    """Another list of classes, or of what is complete, with what it did to objects.

    Parameters
    ----------
    what : str
    before, after : object
        They are not changed afterwards.
    put : callable
        Takes one of them.
    nbytes : int
        About how much memory both keep.
    edits : sequence of Edit
    """

    def __init__(
        self,
        what: str,
        before: T,
        after: T,
        put: Callable[[T], None],
        nbytes: int,
        edits: Sequence[Edit] = (),
    ) -> None:
        self.what = what
        self.nbytes = nbytes + sum(edit.nbytes for edit in edits)
        self._before, self._after, self._put = before, after, put
        self._edits = tuple(edits)

    def undo(self) -> None:
        """Take it back."""
        for edit in reversed(self._edits):
            edit.undo()
        self._put(self._before)

    def redo(self) -> None:
        """Do it again."""
        for edit in self._edits:
            edit.redo()
        self._put(self._after)


class Added:
    """Edits that were made one after the other and are one step.

    Parameters
    ----------
    count : int
        Objects that they add.
    changes : sequence of Change
    apply : callable
        Takes them in their order, and whether they are to be taken back.
    what : str
        What was done, where it is something else than adding objects.

    Attributes
    ----------
    undone : bool
    """

    def __init__(
        self,
        count: int,
        changes: Sequence[Change],
        apply: Callable[[Sequence[Change], bool], None],
        what: str = "",
    ) -> None:
        self.count, self.undone, self._said = count, False, what
        self.what = what or f"Add {count} object{'s' * (count != 1)}"
        self.nbytes = sum(change.nbytes for change in changes)
        self._changes, self._apply = tuple(changes), apply

    def and_(self, other: Added) -> Added:
        """Return both as one step."""
        both = Added(self.count + other.count, (), self._apply, self._said)
        both.nbytes = self.nbytes + other.nbytes
        both._changes = self._changes + other._changes
        return both

    def undo(self) -> None:
        """Take them back."""
        self.undone = True
        self._apply(self._changes, True)

    def redo(self) -> None:
        """Do them again."""
        self.undone = False
        self._apply(self._changes, False)
