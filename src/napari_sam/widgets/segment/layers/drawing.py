"""Watches one layer that a person draws in, and says when they are done."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari_sam.widgets.segment.layers import parsing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.layers import Points, Shapes

_EVENTS = ("data", "features", "set_data")
# With Shift napari draws squares and circles: there it says nothing else.
_SQUARE = ("add_rectangle", "add_ellipse", "add_line")


class Drawing:
    """One of the prompt layers.

    Parameters
    ----------
    layer : Points or Shapes
    pressed : callable
        Is called before something is drawn, with whether Shift is held.
    soon : callable
        Is called when something may have changed, often more than once.

    Attributes
    ----------
    known : int
        How many rows were looked at; all after these are new.
    """

    def __init__(
        self,
        layer: Points | Shapes,
        pressed: Callable[[bool], None],
        soon: Callable[[], None],
    ) -> None:
        self.layer, self.known = layer, 0
        self._pressed, self._soon = pressed, soon
        self._down = self._unfinished = self._told = self._muted = False
        for name in _EVENTS:
            getattr(layer.events, name).connect(getattr(self, f"_on_{name}"))
        layer.mouse_drag_callbacks.append(self._drag)

    @property
    def busy(self) -> bool:
        """Whether a button is down or a shape is not finished."""
        return self._down or self._unfinished

    @property
    def pasted(self) -> bool:
        """Whether the new rows are copies: napari does not tell of them."""
        return not self._told

    def settled(self) -> None:
        """Take all rows for known."""
        self.known, self._told = parsing.count(self.layer), False

    @contextmanager
    def muted(self) -> Iterator[None]:
        """Tell nothing: it is us who change the layer."""
        before, self._muted = self._muted, True
        try:
            yield
        finally:
            self._muted = before

    def close(self) -> None:
        """Watch no longer."""
        for name in _EVENTS:
            getattr(self.layer.events, name).disconnect(getattr(self, f"_on_{name}"))
        self.layer.mouse_drag_callbacks.remove(self._drag)

    def _on_data(self, event: Any) -> None:
        action = str(getattr(event, "action", ""))
        self._unfinished = action == "adding"
        self._told = self._told or action in ("added", "changed")
        self._tell()

    def _on_features(self, event: Any) -> None:
        self._tell()

    def _on_set_data(self, event: Any) -> None:
        if parsing.count(self.layer) != self.known:
            self._tell()

    def _tell(self) -> None:
        if not self._muted:
            self._soon()

    def _drag(self, layer: Points | Shapes, event: Any) -> Iterator[None]:
        # Ours comes before napari's own: it adds the mark as we say here.
        mode = str(layer.mode)
        if mode.startswith("add"):
            self._pressed("Shift" in event.modifiers and mode not in _SQUARE)
        self._down = True
        yield
        while event.type == "mouse_move":
            yield
        self._down = False
        self._tell()
