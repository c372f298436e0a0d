"""What was found becomes objects: piece by piece, and yet one step to take back."""

from __future__ import annotations

import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_sam.live.labels.changes import Refusal
    from napari_sam.live.prompting.session import Session
    from napari_sam.live.prompting.steps import Added
    from napari_sam.live.proposals.found import Found, FoundObject
    from napari_sam.live.threads import Threads
    from napari_sam.live.values import Index

    Done = Callable[[int, Sequence[Refusal]], None]

# Of one piece, which holds up whoever sits there for some milliseconds.
_OBJECTS: Final = 100
_PIXELS: Final = 150_000
_PAUSE: Final = 0.005  # seconds between two pieces, for whatever else happens


class Adding:
    """Adds the objects of several slices. Used on the thread of the session.

    What a person does meanwhile becomes a step of its own in between. Where the
    objects go elsewhere now, or are taken back already, it ends.

    Parameters
    ----------
    session : Session
    threads : Threads
        What counts is worked out on one of them.
    told : callable
        Is called after every slice with how many are finished.
    done : callable
        Gets how many objects were added, and why others were not.
    failed : callable
    """

    def __init__(
        self,
        session: Session,
        threads: Threads,
        told: Callable[[int], None],
        done: Done,
        failed: Callable[[Exception], None],
    ) -> None:
        self._session, self._store = session, session.store
        self._threads = threads
        self._told, self._done, self._failed = told, done, failed
        self._slices: deque[Callable[[], Found]] = deque()
        self._pieces: deque[Sequence[FoundObject]] = deque()
        self._step: Added | None = None
        self._added, self._finished = 0, 0
        self._refused: list[Refusal] = []
        self._ended = False

    def start(self, known: Found | None, slices: Sequence[Callable[[], Found]]) -> None:
        """Begin with a slice that is known, and go on with others.

        A few objects of a known slice are added at once.
        """
        self._slices.extend(slices)
        if known is None:
            self._next()
        else:
            self._take(known)

    def stop(self) -> None:
        """Add no more; what was added stays."""
        if not self._ended:
            self._ended = True
            self._done(self._added, self._refused)

    def _next(self) -> None:
        if not self._slices:
            self.stop()
            return
        work = self._slices.popleft()
        self._threads.run("add", work, self._take, self._trouble)

    def _take(self, found: Found) -> None:
        self._pieces.extend(_pieces(found.objects))
        self._go_on(found.index)

    def _go_on(self, index: Index) -> None:
        """Add one piece, and leave some time to others."""
        if self._ended:
            return
        gone = self._session.store is not self._store
        if gone or (self._step is not None and self._step.undone):
            self.stop()
            return
        if self._pieces:
            self._add(index, self._pieces.popleft())
        if self._ended:  # whoever was told has ended it
            return
        if self._pieces:
            again = partial(self._go_on, index)
            wait = partial(time.sleep, _PAUSE)
            self._threads.run("add", wait, lambda _: again(), self._trouble)
            return
        self._finished += 1
        self._told(self._finished)
        self._next()

    def _add(self, index: Index, piece: Sequence[FoundObject]) -> None:
        objects = [(one.mask, one.about) for one in piece]
        self._step, refused = self._session.add_found(index, objects, self._step)
        self._added += len(objects) - len(refused)
        self._refused += refused

    def _trouble(self, error: Exception) -> None:
        if not self._ended:
            self.stop()
            self._failed(error)


def _pieces(objects: Sequence[FoundObject]) -> Iterator[Sequence[FoundObject]]:
    piece: list[FoundObject] = []
    pixels = 0
    for one in objects:
        pixels += one.mask.data.size
        if piece and (len(piece) == _OBJECTS or pixels > _PIXELS):
            yield piece
            piece, pixels = [], one.mask.data.size
        piece.append(one)
    if piece:
        yield piece
