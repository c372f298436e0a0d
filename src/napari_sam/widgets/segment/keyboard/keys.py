"""Keys that act while one of our layers is selected and the canvas has the focus."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app_model.types import KeyBinding, KeyCode
from napari.layers import Labels, Points, Shapes

from napari_sam.widgets.segment.keyboard.canvas import CanvasKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari.components import ViewerModel
    from napari.layers import Layer

_DELETE, _DONE = "Delete", ("Enter", "Shift+Enter", "Escape")


@dataclass(frozen=True, slots=True)
class Shortcut:
    """One thing that a key does.

    Attributes
    ----------
    name : str
        Of the action, as in settings.
    key : str
        For example "Ctrl+Shift+Z"; on a Mac "Ctrl" is the command key.
    what : str
        What it does, for people.
    """

    name: str
    key: str
    what: str


SHORTCUTS = (
    Shortcut("add", "Enter", "Add the suggestion to the labels"),
    Shortcut("add_to", "Shift+Enter", "Add it to the object that was kept last"),
    Shortcut("drop", "Escape", "Drop the suggestion"),
    Shortcut("next", "Tab", "Next suggestion: larger"),
    Shortcut("previous", "Shift+Tab", "Previous suggestion: smaller"),
    Shortcut("undo", "Ctrl+Z", "Undo"),
    Shortcut("redo", "Ctrl+Shift+Z", "Redo"),
    Shortcut("delete", "Delete", "Delete the object under the mouse"),
    Shortcut("reopen", "O", "Work on the object under the mouse again"),
    Shortcut("new_object", "N", "Next clicks belong to a new object"),
    Shortcut("toggle", "Q", 'Switch between "this" and "not this"'),
)


class Keys:
    """Binds keys on our own layers, and frees them again.

    napari keeps Enter and Escape while somebody draws a shape, and Delete while
    clicks or boxes are selected.

    Parameters
    ----------
    viewer : ViewerModel
    actions : mapping from str to callable
        What to do, by the names of the shortcuts; those without one stay free.
    chosen : mapping from str to str, optional
        Other keys, by the names of the shortcuts; "" for none. One that is no key
        counts for nothing.
    shortcuts : sequence of Shortcut
    """

    def __init__(
        self,
        viewer: ViewerModel,
        actions: Mapping[str, Callable[[], object]],
        chosen: Mapping[str, str] | None = None,
        shortcuts: Sequence[Shortcut] = SHORTCUTS,
    ) -> None:
        self._viewer = viewer
        self._rows: list[tuple[KeyBinding, str]] = []
        self._actions: dict[str, Callable[[], object]] = {}
        self._before: dict[Layer, dict[KeyBinding, Any]] = {}
        self._drawing: set[Layer] = set()
        bound = bindings(chosen or {}, shortcuts)
        for one in shortcuts:
            if one.name in actions and one.name in bound:
                self._rows.append((bound[one.name], one.what))
                self._actions[str(bound[one.name])] = actions[one.name]
        self._canvas = CanvasKeys(viewer, self._focus_key)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Those on which the keys are bound."""
        return tuple(self._before)

    def table(self) -> list[tuple[str, str]]:
        """Return what to show people: key and what it does."""
        return [(str(key), what) for key, what in self._rows]

    def attach(self, *layers: Layer) -> None:
        """Bind the keys on these layers too."""
        for layer in layers:
            if layer in self._before:
                continue
            self._before[layer] = {}
            if isinstance(layer, Shapes):
                layer.events.data.connect(self._drawn)
            for key, _ in self._rows:
                self._before[layer][key] = layer.keymap.get(key)
                layer.bind_key(key, self._bound(str(key)), overwrite=True)

    def detach(self, *layers: Layer) -> None:
        """Free them on these layers."""
        for layer in layers:
            for key, before in self._before.pop(layer, {}).items():
                layer.bind_key(key, before, overwrite=True)
            if isinstance(layer, Shapes):
                layer.events.data.disconnect(self._drawn)
            self._drawing.discard(layer)

    def close(self) -> None:
        """Free all."""
        self.detach(*self._before)
        self._canvas.close()

    def _bound(self, key: str) -> Callable[[Layer], None]:
        # napari asks a bound function for its name: a partial has none.
        def act(layer: Layer) -> None:
            self._act(key, layer)

        return act

    def _act(self, key: str, layer: Layer) -> None:
        if not self._left_to_napari(key, layer):
            self._actions[key]()
            return
        for cls in type(layer).__mro__:
            theirs = getattr(cls, "class_keymap", {}).get(_binding(key))
            if callable(theirs):
                theirs(layer)
                return

    def _left_to_napari(self, key: str, layer: Layer) -> bool:
        if key in _DONE:
            polygon = isinstance(layer, Labels) and str(layer.mode) == "polygon"
            return polygon or layer in self._drawing
        marks = isinstance(layer, (Points, Shapes))
        return key == _DELETE and marks and len(layer.selected_data) > 0

    def _focus_key(self, key: str, held: bool) -> bool:
        active = self._viewer.layers.selection.active
        if key not in self._actions or active not in self._before:
            return False
        if not held:
            self._actions[key]()
        return True

    def _drawn(self, event: Any) -> None:
        """Notice when a shape is begun, and when it is done."""
        if str(getattr(event, "action", "")) == "adding":
            self._drawing.add(event.source)
        else:
            self._drawing.discard(event.source)


def bindings(
    chosen: Mapping[str, str], shortcuts: Sequence[Shortcut] = SHORTCUTS
) -> dict[str, KeyBinding]:
    """Return the keys that are in use, by the names of the shortcuts."""
    found = {}
    for one in shortcuts:
        text = chosen.get(one.name, one.key)
        key = _binding(text) or (_binding(one.key) if text else None)
        if key is not None:
            found[one.name] = key
    return found


def names_of(
    chosen: Mapping[str, str], shortcuts: Sequence[Shortcut]
) -> dict[str, str]:
    """Return what the keys that are in use are called on the screen."""
    found = bindings(chosen, shortcuts)
    return {name: str(key).replace("Escape", "Esc") for name, key in found.items()}


def _binding(text: str) -> KeyBinding | None:
    """Return a key as napari wants it; None for what is none."""
    text = re.sub(r"(?<=\w)-(?=.)", "+", text.strip().replace("Control", "Ctrl"))
    if not text:
        return None
    try:
        key = KeyBinding.from_str(text)
    except (ValueError, KeyError):
        return None
    (*_, last) = key.parts
    if len(key.parts) > 1 or last.key in (None, KeyCode.UNKNOWN):
        return None
    if sys.platform == "darwin" and last.ctrl and not last.meta:
        last.ctrl, last.meta = False, True
    return key
