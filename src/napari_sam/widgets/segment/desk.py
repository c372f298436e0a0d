"""Everything in the viewer that belongs to one image while it is labelled."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from napari_sam.live.disk.scratch import new_labels
from napari_sam.live.labels.store import LabelStore
from napari_sam.widgets.layers import index_on_screen, place_of
from napari_sam.widgets.segment.keyboard.keys import Keys
from napari_sam.widgets.segment.keyboard.touch import ALL_SHORTCUTS
from napari_sam.widgets.segment.layers.label_layer import LabelLayer, why_not
from napari_sam.widgets.segment.layers.preview import Preview
from napari_sam.widgets.segment.layers.prompt_layers import PromptLayers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_sam.live.labels.changes import Change
    from napari_sam.live.source import Source
    from napari_sam.live.values import Index
    from napari_sam.models.lane import Post
    from napari_sam.widgets.segment.layers.prompt_layers import State

# What each tool of the panel is in napari: a layer of ours, and its mode.
MODES = {
    "click": ("points", "add"),
    "box": ("shapes", "add_rectangle"),
    "outline": ("shapes", "add_polygon_lasso"),
    "scribble": ("shapes", "add_path"),
}
# What a person may choose in napari's own controls instead.
_ALIKE = {"add_polygon": "add_polygon_lasso"}


class Desk:
    """The layers around one image, and the keys that act on them.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
    source : Source
        What the image held when it was looked at.
    post : callable
    drawn, edited : callable
        Are called with all marks, and with what a brush has changed.
    prompts_gone, labels_gone : callable
        Are called when a person has deleted these layers.
    notice : callable
    tool : callable
        Called when the mouse does something else now.
    actions : mapping from str to callable
        What the keys do.
    keys : mapping from str to str
        The keys that a person has chosen.
    class_names : callable, optional
        Returns the names of classes by their numbers.
    picked : callable, optional
        Is called when another object is selected in the layer of labels.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        source: Source,
        *,
        post: Post,
        drawn: Callable[[State], None],
        edited: Callable[[Change], None],
        prompts_gone: Callable[[], None],
        labels_gone: Callable[[], None],
        notice: Callable[[str], None],
        tool: Callable[[], None],
        actions: Mapping[str, Callable[[], object]],
        keys: Mapping[str, str],
        class_names: Callable[[], Mapping[int, str]] = dict,
        picked: Callable[[], None] = lambda: None,
    ) -> None:
        self._viewer = viewer
        self.image, self.source = image, source
        self._edited, self._labels_gone, self._tool = edited, labels_gone, tool
        self._class_names, self._picked = class_names, picked
        self.labels: LabelLayer | None = None
        self.preview = Preview(viewer, image)
        self.prompts = PromptLayers(
            viewer,
            image,
            source,
            drawn,
            post=post,
            notice=notice,
            gone=prompts_gone,
        )
        self._actions = actions
        self.keys = Keys(viewer, actions, keys, ALL_SHORTCUTS)
        self._listened: tuple[Layer, ...] = ()
        self.listen()
        self.use("click")

    @property
    def index(self) -> Index:
        """The plane on the screen."""
        return index_on_screen(self._viewer, self.image, self.source)

    def under_mouse(self) -> tuple[Index, tuple[int, int]] | None:
        """Return plane and pixel under the mouse; None beside the image."""
        position = self._viewer.cursor.position[-self.image.ndim :]
        at = np.rint(self.image.world_to_data(position)).astype(int)
        inside = (at >= 0).all() and (at < self.source.shape).all()
        if not inside:
            return None
        *stack, y, x = (int(i) for i in at)
        return tuple(stack), (y, x)

    # Prompts.

    @property
    def tool(self) -> str | None:
        """What the mouse does: one of `MODES`, None for anything else."""
        active = self._viewer.layers.selection.active
        for name, (layer, mode) in MODES.items():
            ours = getattr(self.prompts, layer)
            now = str(ours.mode)
            if active is ours and _ALIKE.get(now, now) == mode:
                return name
        return None

    def use(self, tool: str) -> None:
        """Let the mouse do this from now on."""
        if len(self.prompts.layers) < 2:
            self.prompts.restore()
            self.listen()
        name, mode = MODES[tool]
        layer = getattr(self.prompts, name)
        layer.visible = True
        self._viewer.layers.selection.active = layer
        layer.mode = mode

    def listen(self) -> None:
        """Attend to the prompt layers that there are now."""
        self._ignore()
        self._listened = self.prompts.layers
        for layer in self._listened:
            layer.events.mode.connect(self._mode_changed)
        self.keys.attach(*self._listened)

    def rebind(self, keys: Mapping[str, str]) -> None:
        """Use these keys instead, as a person has chosen them."""
        layers = self.keys.layers
        self.keys.close()
        self.keys = Keys(self._viewer, self._actions, keys, ALL_SHORTCUTS)
        self.keys.attach(*layers)

    def _ignore(self) -> None:
        for layer in self._listened:
            layer.events.mode.disconnect(self._mode_changed)
        self.keys.detach(*self._listened)
        self._listened = ()

    def _mode_changed(self, event: Any = None) -> None:
        self._tool()

    # Objects.

    def show_labels(self, store: LabelStore, layer: Labels | None = None) -> None:
        """Show a store's objects, in a layer that is there or in a new one."""
        self.leave_labels()
        if layer is None:
            layer = self._new_layer(store)
        self.labels = LabelLayer(
            self._viewer,
            layer,
            store,
            edited=self._edited,
            gone=self._labels_gone,
            class_names=self._class_names,
            picked=self._picked,
        )
        self.keys.attach(layer)
        self._lift(layer)

    def _lift(self, above: Labels) -> None:
        """Put what is drawn on top of the objects: nobody sees it below them."""
        layers, ours = self._viewer.layers, (*self.prompts.layers, self.preview.layer)
        for layer in reversed(layers[: layers.index(above)]):
            if layer in ours:
                layers.move(layers.index(layer), layers.index(above) + 1)

    def _new_layer(self, store: LabelStore) -> Labels:
        """Add a layer without taking the mouse from the layer that has it."""
        layers = self._viewer.layers
        active = layers.selection.active
        layer = Labels(
            store.labels,
            name=f"{self.image.name}: labels",
            opacity=0.6,
            **place_of(self.image),
        )
        # Right above the image: what is drawn stays on top.
        layers.insert(layers.index(self.image) + 1, layer)
        layers.selection.active = active
        return layer

    def leave_labels(self) -> None:
        """Leave the layer with the objects to the person."""
        if self.labels is not None:
            self.keys.detach(self.labels.layer)
            self.labels.close()
        self.labels = None

    def candidates(self) -> list[Labels]:
        """Return the layers in which objects of this image can be kept."""
        return [one for one in self.offered() if why_not(one, self.source) is None]

    def offered(self) -> list[Labels]:
        """Return also those that are refused with a reason, as the last."""
        layers = [
            layer
            for layer in reversed(self._viewer.layers)
            if isinstance(layer, Labels) and layer is not self.preview.layer
        ]
        return sorted(layers, key=lambda one: why_not(one, self.source) is not None)

    def close(self) -> None:
        """Take everything out of the viewer but the objects."""
        self._ignore()
        self.leave_labels()
        with suppress(RuntimeError):  # Qt's side of it has ended with the window
            self.keys.close()
        self.preview.close()
        self.prompts.close()


def empty_store(source: Source, *, on_disk: bool = False) -> LabelStore:
    """Return a store for an image without objects; its array costs no time.

    It is on the disk where somebody wants that, or it is too large for the memory.
    """
    return LabelStore(new_labels(source.shape, on_disk=on_disk))
