"""The keys of classes: they act as the others do, and change with the list."""

from __future__ import annotations

import itertools
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.components import ViewerModel
from napari.layers import Labels, Points, Shapes
from napari.settings import get_settings

from napari_sam.live.class_keys import NONE_KEY, spelt
from napari_sam.widgets.segment.keyboard.keys import Keys, Shortcut

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from napari.layers import Layer

    from napari_sam.live.classes import ClassList


def taken(ours: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the keys that do something else, and what.

    Parameters
    ----------
    ours : iterable of (str, str)
        Keys of ours and what they do.
    """
    found = {spelt(key): what for key, what in ours}
    bound = [cls.class_keymap for cls in (ViewerModel, Points, Shapes, Labels)]
    for key in itertools.chain(*bound, *get_settings().shortcuts.shortcuts.values()):
        found.setdefault(spelt(str(key)), "it is one of napari's own keys")
    return found


class ClassKeys:
    """Binds the keys of classes on whichever of our layers is selected.

    Parameters
    ----------
    viewer : ViewerModel
    layers : callable
        Returns our layers.
    pressed : callable
        Is called with the number of a class, 0 for none.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        layers: Callable[[], Collection[Layer]],
        pressed: Callable[[int], None],
    ) -> None:
        self._viewer, self._layers, self._pressed = viewer, layers, pressed
        self._keys: Keys | None = None
        self._classes: ClassList | None = None
        self._on: Layer | None = None

    def use(self, classes: ClassList) -> None:
        """Let the keys be those of this list; an empty one has none."""
        if classes != self._classes:
            self.close()
            if len(classes):
                self._begin(classes)
        self._follow()

    def close(self) -> None:
        """Free all keys."""
        keys, self._keys = self._keys, None
        self._classes = self._on = None
        if keys is not None:
            selection = self._viewer.layers.selection
            selection.events.active.disconnect(self._follow)
            with suppress(RuntimeError):  # Qt's side of it has ended with the window
                keys.close()

    def _begin(self, classes: ClassList) -> None:
        keys = [(NONE_KEY, 0), *((o.key, o.number) for o in classes if o.key)]
        shortcuts = [Shortcut(str(number), key, "") for key, number in keys]
        actions = {str(number): partial(self._pressed, number) for _, number in keys}
        self._keys = Keys(self._viewer, actions, shortcuts=shortcuts)
        self._classes = classes
        self._viewer.layers.selection.events.active.connect(self._follow)

    def _follow(self, event: Any = None) -> None:
        """Bind the keys on the layer that is selected now, if it is ours."""
        if self._keys is None:
            return
        ours, active = self._layers(), self._viewer.layers.selection.active
        now = active if any(active is layer for layer in ours) else None
        if now is not self._on:
            if self._on is not None:
                self._keys.detach(self._on)
            if now is not None:
                self._keys.attach(now)
            self._on = now
