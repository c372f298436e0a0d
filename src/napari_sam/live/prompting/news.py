"""What is to be told once everything is in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.live.labels.changes import joined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_sam.live.labels.changes import Change
    from napari_sam.live.prompting.asked import Asked
    from napari_sam.live.prompting.state import Listener
    from napari_sam.live.values import Index, Key


class News:
    """Collects what changed while something is done.

    A listener looks at the session when it is told; it must not see it half done.
    """

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.planes: set[Index] = set()
        self.keys: dict[Key, None] = {}
        self.refused = ""
        self.kept: int | None = None

    def redraw(self, asked: Iterable[Asked | None]) -> None:
        """Note that these suggestions look different, or are new or gone."""
        self.planes |= {each.index for each in asked if each is not None}

    def settled(self, asked: Iterable[Asked], refused: str) -> None:
        """Note which suggestions became objects or came back, or why not."""
        for each in asked:
            self.planes.add(each.index)
            self.keys[each.shown.key] = None
        self.refused = refused or self.refused

    def tell(self, listener: Listener, on_change: Callable[[Change], None]) -> None:
        """Tell everything but the refusal."""
        for change in self.changes:
            on_change(change)
        if self.changes:  # all at once: to draw them takes the longest
            listener.labels_changed(joined(self.changes))
        if self.planes:
            listener.suggestions_changed(self.planes)
        if self.keys:
            listener.marks_changed(tuple(self.keys))
