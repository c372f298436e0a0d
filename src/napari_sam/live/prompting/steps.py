"""Steps of the history that are no commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari_sam.live.labels.changes import Change
    from napari_sam.live.prompting.asked import Asked
    from napari_sam.live.values import Key

    Swap = Callable[[Mapping[Key, "Asked | None"]], dict[Key, "Asked | None"]]


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
