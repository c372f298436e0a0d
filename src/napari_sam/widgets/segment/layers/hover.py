"""Follows the mouse, and shows what a click would give where it rests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QTimer

from napari_sam.live.prompting.hovering import Hovering
from napari_sam.widgets.segment.watch import Watcher

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_sam.live.values import Index
    from napari_sam.models.lane import Post
    from napari_sam.widgets.segment.bridge import Bridge
    from napari_sam.widgets.segment.desk import Desk

REST_MS: Final = 120
_HALF: Final = 0.5  # napari's pixel centres are at whole numbers, ours at halves


class Hover(Watcher):
    """Shows a suggestion under the mouse while it is on; off at first.

    Parameters
    ----------
    viewer : ViewerModel
    bridge : Bridge
    post : callable
        Runs a function on the viewer's thread.

    Attributes
    ----------
    hovering : Hovering
        What is asked and shown.
    """

    def __init__(self, viewer: ViewerModel, bridge: Bridge, post: Post) -> None:
        self._viewer, self._bridge = viewer, bridge
        self.hovering = Hovering(bridge.session, post, self._changed)
        self._on = False
        self._drawn_on: Desk | None = None
        self._at: tuple[Index, tuple[int, int]] | None = None  # where the mouse was
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(REST_MS)
        self._timer.timeout.connect(self._rested)

    def set(self, on: bool) -> None:
        """Switch it on or off; off it holds nothing and listens to nothing."""
        if on == self._on:
            return
        self._on = on
        viewer, left = self._viewer, self._viewer.events.mouse_over_canvas
        if on:
            viewer.mouse_move_callbacks.append(self._moved)
            viewer.mouse_drag_callbacks.append(self._pressed)
            left.connect(self._left)
            self._bridge.watchers.append(self)
            return
        viewer.mouse_move_callbacks.remove(self._moved)
        viewer.mouse_drag_callbacks.remove(self._pressed)
        left.disconnect(self._left)
        self._bridge.watchers.remove(self)
        self._forget()
        self.hovering.close()

    # What happens in the viewer.

    def _moved(self, viewer: Any = None, event: Any = None) -> None:
        desk = self._bridge.desk
        at = None if desk is None else desk.under_mouse()
        if at == self._at:
            return  # a hand is never quite still
        self._forget()
        self._at = at
        if at is not None:
            self._timer.start()

    def _pressed(self, viewer: Any = None, event: Any = None) -> None:
        self._forget()

    def _left(self, event: Any = None) -> None:
        if not self._viewer.mouse_over_canvas:
            self._forget()

    def work_changed(self) -> None:
        """Another image or layer: what is shown was about the old one."""
        self._forget()

    def slice_changed(self) -> None:
        """Another slice is on the screen, under a mouse that rests."""
        self._forget()

    def _forget(self) -> None:
        self._timer.stop()
        self._at = None
        self.hovering.clear()

    # What is asked and shown.

    def _rested(self) -> None:
        desk = self._bridge.desk
        if desk is None or not self._would_begin(desk):
            return
        at = desk.under_mouse()
        if at is None or at != self._at or at[0] != desk.index:
            return
        position = self._viewer.cursor.position[-desk.image.ndim :]
        y, x = (float(v) + _HALF for v in desk.image.world_to_data(position)[-2:])
        self.hovering.rest(at[0], (y, x), desk.preview.guessing())

    def _would_begin(self, desk: Desk) -> bool:
        """Whether a click would begin an object: anything else is no guess."""
        dims, prompts = self._viewer.dims, desk.prompts
        flat = tuple(dims.displayed) == (dims.ndim - 2, dims.ndim - 1)
        others = self._bridge.session.suggestions
        fresh = prompts.one_click or prompts.current not in others
        return flat and fresh and prompts.positive and desk.tool == "click"

    def _changed(self) -> None:
        desk, guess = self._bridge.desk, self.hovering.guess
        if guess is not None and desk is not None and guess.index == desk.index:
            self._drawn_on = desk
            desk.preview.guess(guess.index, guess.picture)
            return
        drawn_on, self._drawn_on = self._drawn_on, None
        if drawn_on is not None and drawn_on is desk:  # otherwise it is gone already
            drawn_on.preview.guess(drawn_on.index, None)
