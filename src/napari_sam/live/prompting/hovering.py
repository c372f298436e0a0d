"""What a click would give where the mouse rests: asked about, shown, thrown away.

It never becomes a suggestion, a step of the history or a line of the journal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from napari_sam.live.prompting.answers import answer, first_choice
from napari_sam.live.prompting.asked import ask
from napari_sam.live.values import Mark
from napari_sam.models.lane import OwnLane, Post, Priority, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.live.prompting.session import Session
    from napari_sam.live.values import Index
    from napari_sam.models.protocol import PromptableModel
    from napari_sam.types import Embedding, Mask

    Draw: TypeAlias = Callable[[Mask], Any]

BUILT_IN: Final = "pocket"
"""The only model that is asked: others take too long for something nobody asked."""


@dataclass(frozen=True, slots=True, eq=False)
class Guess:
    """What a click at a place would give.

    Attributes
    ----------
    index : tuple of int
    place : (y, x)
    mask : Mask
    picture : object
        What was drawn of it off the viewer's thread.
    """

    index: Index
    place: tuple[float, float]
    mask: Mask
    picture: Any


class Hovering:
    """Asks the built-in model about one place at a time, after all that is urgent.

    Used on the thread that uses the session.

    Parameters
    ----------
    session : Session
    post : callable
        Runs a function on that thread.
    changed : callable
        Is called when `guess` is another one.

    Attributes
    ----------
    guess : Guess or None
    """

    def __init__(
        self, session: Session, post: Post, changed: Callable[[], None]
    ) -> None:
        self._session, self._changed = session, changed
        self._lane = OwnLane(self, post)
        self._request: Request | None = None
        self.guess: Guess | None = None

    @property
    def asking(self) -> bool:
        """Whether an answer is to come."""
        return self._request is not None

    def rest(self, index: Index, place: tuple[float, float], draw: Draw) -> bool:
        """Ask what a click at a place would give; what was asked before is dropped.

        Parameters
        ----------
        index : tuple of int
        place : (y, x)
        draw : callable
            Makes a picture of the mask, off this thread.

        Returns
        -------
        bool
            Whether it was asked: the slice is prepared for the built-in model, and
            neither a suggestion nor an object is there already.
        """
        self.clear()
        ready = self._session.prepared(index)
        if ready is None or ready[0].info.name != BUILT_IN or self._taken(index, place):
            return False
        model, plane = ready
        embedding = plane.embedding
        if embedding is None:
            return False
        scale, outline = self._session.preferred_scale, self._session.outline

        def work() -> Guess | None:
            mask = _guessed(model, embedding, index, place, scale, outline)
            return None if mask is None else Guess(index, place, mask, draw(mask))

        def done(guess: Guess | None) -> None:
            self._request = None
            # In the meantime a click may have come, another model or another image.
            now = self._session.prepared(index)
            same = now is not None and now[1] is plane
            if guess is not None and same and not self._taken(index, place):
                self.guess = guess
                self._changed()

        def failed(error: Exception) -> None:
            self._request = None  # a click there will say what is wrong

        self._request = self._lane.on(model.info.device).submit(
            work,
            slot="hover",
            priority=Priority.ON_SCREEN,
            done=done,
            failed=failed,
        )
        return True

    def clear(self) -> None:
        """Show nothing and expect nothing: the mouse has moved, or has clicked."""
        request, self._request = self._request, None
        if request is not None:
            request.cancel()
        if self.guess is not None:
            self.guess = None
            self._changed()

    def close(self) -> None:
        """End everything; it can be used again."""
        self.clear()
        self._lane.close()

    def _taken(self, index: Index, place: tuple[float, float]) -> bool:
        """Whether there is something at this place already."""
        pixel = int(place[0]), int(place[1])
        store = self._session.store
        if store is None or store.at(index, pixel):
            return True
        return any(
            one.index == index and one.mask is not None and _holds(one.mask, pixel)
            for one in self._session.suggestions.values()
        )


def _guessed(
    model: PromptableModel,
    embedding: Embedding,
    index: Index,
    place: tuple[float, float],
    scale: float | None,
    outline: int,
) -> Mask | None:
    """Answer a click as it will be answered when it comes; on the lane."""
    click = Mark("click", np.array([place], np.float32))
    asked = ask(None, "hover", index, (click,))
    (given,) = answer(model, embedding, [asked], outline)
    if given.candidates is None:
        return None
    return given.candidates.masks[first_choice(given.candidates, scale)]


def _holds(mask: Mask, pixel: tuple[int, int]) -> bool:
    y0, x0, y1, x1 = mask.box
    y, x = pixel
    return y0 <= y < y1 and x0 <= x < x1 and bool(mask.data[y - y0, x - x0])
