"""The suggestions that are open."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from napari_sam.live.prompting.asked import Asked
    from napari_sam.live.values import Index, Key, Suggestion


class Board:
    """Open suggestions by key, and which of them was asked about last."""

    def __init__(self) -> None:
        self._asked: dict[Key, Asked] = {}
        self._born: dict[Key, int] = {}
        self._recent: dict[Key, None] = {}  # the newest asked is last

    def __contains__(self, key: Key) -> bool:
        return key in self._asked

    def __getitem__(self, key: Key) -> Asked:
        return self._asked[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(tuple(self._asked))

    def get(self, key: Key) -> Asked | None:
        """Return one of them, None where it is not open."""
        return self._asked.get(key)

    @property
    def suggestions(self) -> dict[Key, Suggestion]:
        """What everybody sees, oldest first."""
        return {key: asked.shown for key, asked in self._asked.items()}

    @property
    def current(self) -> Key | None:
        """The one that was asked about last."""
        return next(reversed(self._recent), None)

    @property
    def waiting_on(self) -> set[Index]:
        """The planes on which answers are still to come."""
        return {asked.index for asked in self._asked.values() if asked.waiting}

    def waiting(self, index: Index) -> list[Asked]:
        """Return those on a plane that wait for an answer, the newest first."""
        recent = [self._asked[key] for key in reversed(self._recent)]
        return [asked for asked in recent if asked.waiting and asked.index == index]

    def put(self, states: Mapping[Key, Asked | None]) -> dict[Key, Asked | None]:
        """Open, change and close (None) some; return what they were before."""
        before = {key: self._asked.get(key) for key in states}
        for key, asked in states.items():
            self._recent.pop(key, None)
            if asked is None:
                self._asked.pop(key, None)
            else:
                self._born.setdefault(key, len(self._born))
                self._asked[key] = asked
                self._recent[key] = None
        # One that comes back goes to where it was.
        self._asked = dict(sorted(self._asked.items(), key=lambda i: self._born[i[0]]))
        return before

    def update(self, asked: Asked) -> None:
        """Change one that is open, without anybody having asked."""
        self._asked[asked.shown.key] = asked

    def clear(self) -> None:
        """Close all."""
        for held in (self._asked, self._born, self._recent):
            held.clear()


def planes_of(asked: Iterable[Asked | None]) -> set[Index]:
    """Return the planes that some suggestions are on."""
    return {each.index for each in asked if each is not None}
