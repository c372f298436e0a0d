"""The points and the shapes layer: where they lie, how they look, what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sam.widgets.segment.layers import look, parsing
from napari_sam.widgets.segment.layers.drawing import Drawing
from napari_sam.widgets.segment.layers.place import Follow, put

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Layer, Points, Shapes

    from napari_sam.widgets.segment.layers.parsing import Row


class Pair:
    """Two layers that lie on an image, and look alike at every zoom.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
    pressed, soon : callable
        See `Drawing`.

    Attributes
    ----------
    points, shapes : napari layers
    drawings : tuple of Drawing
        What watches them, in this order.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        pressed: Callable[[bool], None],
        soon: Callable[[], None],
    ) -> None:
        self._viewer, self._image = viewer, image
        self.points = look.new_points(image)
        self.shapes = look.new_shapes(image)
        self.drawings = (
            Drawing(self.points, pressed, soon),
            Drawing(self.shapes, pressed, soon),
        )
        self._pixel = 0.0
        self._aimed = (1, True)
        self._resting = False
        self.restore()
        self._fit()
        self._rest()
        viewer.layers.selection.events.active.connect(self._rest)
        self.shapes.events.visible.connect(self._shown)
        self._follow = Follow(image, self._moved)
        viewer.scene.camera.events.zoom.connect(self._fit)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Those that are in the viewer."""
        ours = (self.points, self.shapes)
        return tuple(layer for layer in ours if layer in self._viewer.layers)

    def watch(self, layer: Points | Shapes) -> Drawing:
        """Return what watches the layer that has the same kind of marks."""
        return self.drawings[0 if isinstance(layer, type(self.points)) else 1]

    def restore(self) -> None:
        """Put into the viewer what is not there."""
        for layer in (self.shapes, self.points):
            if layer not in self._viewer.layers:
                look.add_quietly(self._viewer, layer)

    def _rest(self, event: Any = None) -> None:
        """Hide the shapes layer while it is empty and not drawn in.

        napari compiles anew what draws shapes whenever the slice changes, also where
        there are none: that alone takes longer than drawing the image.
        """
        drawn_in = self._viewer.layers.selection.active is self.shapes
        rest = not drawn_in and not parsing.count(self.shapes)
        if rest == self._resting or (rest and not self.shapes.visible):
            return  # or the person has hidden it
        self._resting = rest
        self.shapes.visible = not rest

    def _shown(self, event: Any = None) -> None:
        """Take a person's word for it whether the layer is visible."""
        self._resting = self._resting and not self.shapes.visible

    def aim(self, number: int, positive: bool) -> None:
        """Let the next mark be of this object and kind."""
        self._aimed = number, positive
        for drawing in self.drawings:
            with drawing.muted():
                look.aim(drawing.layer, number, positive, self._pixel)

    def write(self, drawing: Drawing, rows: Sequence[Row]) -> None:
        """Let a layer hold these rows and no others."""
        with drawing.muted():
            parsing.write(drawing.layer, rows)
            self._dress(drawing, rows)
        drawing.settled()
        self._rest()

    def bring(self, drawing: Drawing, rows: Sequence[Row], kept: Sequence[Row]) -> None:
        """Let a layer hold what is kept of its rows."""
        if len(rows) != len(kept):
            self.write(drawing, kept)
            return
        numbers = [row.number for row in kept]
        left_over = len(drawing.layer.features) != len(kept)
        with drawing.muted():
            if left_over or numbers != [row.number for row in rows]:
                parsing.number(numbers, drawing.layer)
            self._dress(drawing, kept)
        drawing.settled()
        self._rest()

    def close(self) -> None:
        """Take the layers out of the viewer."""
        self._follow.close()
        self._viewer.layers.selection.events.active.disconnect(self._rest)
        self.shapes.events.visible.disconnect(self._shown)
        self._viewer.scene.camera.events.zoom.disconnect(self._fit)
        for drawing in self.drawings:
            drawing.close()
        for layer in self.layers:
            self._viewer.layers.remove(layer)

    def _dress(self, drawing: Drawing, rows: Sequence[Row]) -> None:
        look.dress(drawing.layer, [row.mark.positive for row in rows], self._pixel)

    def _fit(self, event: Any = None) -> None:
        """Keep the marks' size on the screen, roughly: small steps cost more."""
        pixel = look.pixel_on_screen(self._viewer, self._image)
        if self._pixel and 0.8 < pixel / self._pixel < 1.25:
            return
        self._pixel = pixel
        for drawing in self.drawings:
            with drawing.muted():
                look.fit(drawing.layer, pixel)
        self.aim(*self._aimed)

    def _moved(self) -> None:
        for drawing in self.drawings:
            with drawing.muted():
                put(drawing.layer, self._image)
