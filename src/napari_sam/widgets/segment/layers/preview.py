"""The suggestions, drawn over the image."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.utils import CyclicLabelColormap
from napari.utils.transforms import Affine
from qtpy.QtCore import QTimer

from napari_sam.live.source import Source
from napari_sam.widgets.layers import place_of
from napari_sam.widgets.segment.layers import outlines
from napari_sam.widgets.segment.layers.look import add_quietly, pixel_on_screen, refresh
from napari_sam.widgets.segment.layers.place import Follow, put

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_sam.live.labels.changes import IntBox
    from napari_sam.live.values import Index
    from napari_sam.types import Mask

_REST_MS = 80

# Yellow is nowhere else: marks are blue and vermilion. The dark rim keeps the line
# readable on bright images.
_COLORS = {
    0: (0.0, 0.0, 0.0, 0.0),
    outlines.RIM: (0.0, 0.0, 0.0, 0.55),
    outlines.LINE: (1.0, 0.88, 0.0, 1.0),
    outlines.INSIDE: (1.0, 0.88, 0.0, 0.22),
    outlines.OTHER_LINE: (1.0, 0.95, 0.6, 0.8),
    outlines.OTHER_INSIDE: (1.0, 0.95, 0.6, 0.1),
    outlines.GUESS: (1.0, 0.95, 0.6, 0.9),
    outlines.GAP: (0.0, 0.0, 0.0, 0.55),
}


class Preview:
    """A layer that shows the suggestions of one plane, their outlines foremost.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image

    Attributes
    ----------
    layer : Labels
        As large as one plane. A person may delete it: it comes back with the next
        suggestion.
    """

    def __init__(self, viewer: ViewerModel, image: Image) -> None:
        self._viewer, self._image = viewer, image
        self._shape = Source.from_layer(image).shape
        self._index = (0,) * (len(self._shape) - 2)
        self._drawn: list[tuple[int, ...]] = []
        self._guessed: IntBox | None = None  # where dashes are
        height, width = self._shape[-2:]
        stack = (1,) * len(self._index)
        self.layer = Labels(
            np.zeros((*stack, height, width), np.uint8),
            name=f"{image.name}: suggestion",
            # The other kind of colormap would be compiled first, for a second or two.
            colormap=CyclicLabelColormap(colors=[_COLORS[i] for i in sorted(_COLORS)]),
            opacity=1.0,
            **place_of(image),
        )
        self.layer.editable = False
        add_quietly(viewer, self.layer)
        self._follow = Follow(image, self._put)
        self._shown: Callable[[], None] = lambda: None  # does so again
        self._width = 0  # of the lines
        # Once, when the wheel rests.
        self._zoomed = QTimer(interval=_REST_MS, singleShot=True)
        self._zoomed.timeout.connect(self._show_again)
        viewer.scene.camera.events.zoom.connect(self._zoom)

    def show(
        self,
        index: Index,
        suggestions: Sequence[tuple[Mask, bool]],
        found: Iterable[outlines.Placed] = (),
    ) -> None:
        """Show these masks on this plane; the flag says which one is current.

        Below them is what was found, as `drawing` has drawn it.
        """
        self._wipe()
        plane, found = self._plane, list(found)
        self._shown = partial(self.show, index, suggestions, found)
        pixel = pixel_on_screen(self._viewer, self._image)
        self._width = outlines.width(pixel)
        self._drawn += [outlines.paste(plane, *picture) for picture in found]
        # The current one last, on top of the others.
        for mask, current in sorted(suggestions, key=lambda one: one[1]):
            if mask.data.size:
                self._drawn.append(outlines.draw(plane, mask, pixel, current=current))
        if self.layer not in self._viewer.layers and self._drawn:
            add_quietly(self._viewer, self.layer)
        self._go_to(index)
        refresh(self.layer)

    def guess(self, index: Index, picture: outlines.Placed | None) -> None:
        """Show the dashes of what a click would give; None takes them away.

        What else is shown stays as it is, and takes them away when it changes.
        """
        changed = self._wipe_guess()
        if picture is not None and not (self._drawn and index != self._index):
            self._go_to(index)
            self._guessed = outlines.paste_below(self._plane, *picture)
            changed = True
        if changed:
            refresh(self.layer)

    def guessing(self) -> Callable[[Mask], outlines.Placed]:
        """Return what draws such dashes, on any thread."""
        pixel = pixel_on_screen(self._viewer, self._image)
        return partial(outlines.dashed, pixel=pixel)

    def drawing(self) -> Callable[[Iterable[Mask]], list[outlines.Placed]]:
        """Return what draws masks, on any thread: there may be hundreds."""
        pixel = pixel_on_screen(self._viewer, self._image)
        return partial(outlines.pictures, pixel=pixel)

    def clear(self) -> None:
        """Show nothing."""
        if self._drawn or self._guessed is not None:
            self._wipe()
            refresh(self.layer)

    def close(self) -> None:
        """Take the layer out of the viewer."""
        self._follow.close()
        self._zoomed.stop()
        self._viewer.scene.camera.events.zoom.disconnect(self._zoom)
        if self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)

    def _zoom(self) -> None:
        if self._drawn:
            self._zoomed.start()

    def _show_again(self) -> None:
        pixel = pixel_on_screen(self._viewer, self._image)
        if self._drawn and outlines.width(pixel) != self._width:
            self._shown()

    @property
    def _plane(self) -> Any:
        return self.layer.data.reshape(self._shape[-2:])

    def _go_to(self, index: Index) -> None:
        if index != self._index:
            self._index = index
            self._move()

    def _wipe_guess(self) -> bool:
        box, self._guessed = self._guessed, None
        if box is not None:
            outlines.wipe_dashes(self._plane, box)
        return box is not None

    def _wipe(self) -> None:
        self._wipe_guess()
        for y0, x0, y1, x1 in self._drawn:
            self._plane[y0:y1, x0:x1] = 0
        self._drawn = []

    def _put(self) -> None:
        put(self.layer, self._image)
        self._move()
        refresh(self.layer)

    def _move(self) -> None:
        """Lie where the plane lies."""
        image = self._image
        to_world = Affine(
            scale=image.scale,
            rotate=image.rotate,
            shear=image.shear,
            translate=image.translate,
        )
        # Viewers look at all layers again when one has moved. This one stays where its
        # image is, and is drawn anew by whoever has moved it.
        with self.layer.events.blocker_all():
            self.layer.translate = to_world((*self._index, 0, 0))
        self.layer.events.translate()
