"""Pictures of the images that somebody looks at, drawn one after the other."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from napari_sam.live.batch.thumbs import draw_item
from napari_sam.live.threads import Threads, say

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from PIL.Image import Image

    from napari_sam.models.lane import Post
    from napari_sam.records.status import Item
    from napari_sam.segment.recipe import Recipe

_PENDING: Final = 64  # who scrolls by does not wait for what has gone by


class Pictures:
    """Draws the picture that was asked for last first.

    Parameters
    ----------
    post : callable
        Runs a function on the thread that uses this object.
    told : callable
        Gets each item with its picture; None where it cannot be drawn.
    side : int
        Pixels of the longer side.
    """

    def __init__(
        self, post: Post, told: Callable[[Item, Image | None], None], side: int
    ) -> None:
        self._threads, self._told, self._side = Threads(post), told, side
        self._wanted: list[tuple[Item, Path, Recipe]] = []
        self._drawn_now: Item | None = None

    def want(self, item: Item, output: Path, recipe: Recipe) -> None:
        """Draw it soon."""
        if item is self._drawn_now:
            return
        others = [one for one in self._wanted if one[0] is not item]
        self._wanted = [*others[1 - _PENDING :], (item, output, recipe)]
        self._next()

    def forget(self) -> None:
        """Draw nothing that was asked for."""
        self._wanted = []

    def close(self) -> None:
        """Draw nothing any more."""
        self.forget()
        self._drawn_now = None
        self._threads.close()

    def _next(self) -> None:
        if self._drawn_now is not None or not self._wanted:
            return
        item, output, recipe = self._wanted.pop()
        self._drawn_now = item

        def drawn(picture: Image | None) -> None:
            self._drawn_now = None
            self._told(item, picture)
            self._next()

        def failed(error: Exception) -> None:
            say(error)  # a person learns of it when the image is opened
            drawn(None)

        work = partial(draw_item, item, output, recipe, self._side)
        self._threads.run("pictures", work, drawn, failed)
