"""The layer with the regions to which annotation is limited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.layers import Shapes

from napari_sam.widgets.layers import place_of
from napari_sam.widgets.segment.layers import look, parsing
from napari_sam.widgets.segment.layers.drawing import Drawing
from napari_sam.widgets.segment.layers.parsing import Row
from napari_sam.widgets.segment.layers.place import Follow, put
from napari_sam.widgets.segment.layers.showing import same_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_sam.live.proofreading.progress import Region, State
    from napari_sam.live.source import Source
    from napari_sam.models.lane import Post

SAYS: Final = "says"  # the column of the features that stands beside each region
MODES: Final = {"rectangle": "add_rectangle", "polygon": "add_polygon"}
# The words say it; thickness and colour (yellow and bluish green) only repeat it.
_WIDTHS: Final[dict[State, float]] = {
    "untouched": 2.0,
    "in progress": 2.0,
    "complete": 4.5,
}
_OPEN, _DONE, _EMPTY = "#ffd92f", "#3ddbb0", "#00000000"


class Regions:
    """Shows regions on their slices, and says what a person draws there.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
        The layer is named after it and lies exactly on it.
    source : Source
    drawn : callable
        Is called with all rows when a person has drawn, moved or deleted one. A row's
        number is the place of its region among those that were shown, from 1 on; 0 for
        a new one.
    post : callable
        Runs a function soon on the viewer's thread.

    Attributes
    ----------
    layer : Shapes
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        source: Source,
        drawn: Callable[[Sequence[Row]], None],
        *,
        post: Post,
    ) -> None:
        self._viewer, self._image, self._source = viewer, image, source
        self._drawn, self._later = drawn, post
        self._posted = self._closed = False
        self._shown: tuple[Region, ...] = ()
        self._rows: list[Row] = []
        self._pixel = 0.0
        self.layer = Shapes(
            ndim=len(image.scale),
            name=f"{image.name}: regions",
            features={**parsing.columns(), SAYS: np.empty(0, object)},
            text={
                "string": f"{{{SAYS}}}",
                "color": _OPEN,
                "size": 11,
                "anchor": "upper_left",
            },
            opacity=1.0,
            **place_of(image),
        )
        self._drawing = Drawing(self.layer, lambda other: None, self._soon)
        self._follow = Follow(image, self._moved)
        viewer.scene.camera.events.zoom.connect(self._fit)
        self.show(())

    @property
    def there(self) -> bool:
        """Whether a person has left the layer in the viewer."""
        return self.layer in self._viewer.layers

    def draw(self, kind: str) -> None:
        """Let the mouse draw a region.

        Parameters
        ----------
        kind : {"rectangle", "polygon"}
        """
        self.restore()
        self.layer.visible = True
        self._viewer.layers.selection.active = self.layer
        self.layer.mode = MODES[kind]

    def restore(self) -> None:
        """Put the layer into the viewer, right below those that prompts are drawn in.

        The mouse stays with the layer that has it.
        """
        if not self.there:
            ours = {f"{self._image.name}: {name}" for name in ("boxes", "clicks")}
            layers = self._viewer.layers
            at = [n for n, one in enumerate(layers) if one.name in ours]
            look.add_quietly(self._viewer, self.layer, min(at, default=None))

    def show(self, regions: Sequence[Region]) -> None:
        """Show exactly these; `drawn` is not called."""
        self._shown = tuple(regions)
        rows = [Row(n, r.index, r.area) for n, r in enumerate(regions, 1)]
        with self._drawing.muted():
            if not same_rows(parsing.read(self.layer, self._source.shape), rows):
                parsing.write(self.layer, rows)
            self._dress()
        self._drawing.settled()
        self._rows = rows

    def close(self) -> None:
        """Take the layer out of the viewer; nothing is told any more."""
        if self._closed:
            return
        self._closed = True
        self._follow.close()
        self._viewer.scene.camera.events.zoom.disconnect(self._fit)
        self._drawing.close()
        if self.there:
            self._viewer.layers.remove(self.layer)

    def _soon(self) -> None:
        if not self._posted and not self._closed:
            self._posted = True
            self._later(self._settle)

    def _settle(self) -> None:
        self._posted = False
        if self._closed or self._drawing.busy:
            return  # the end of it calls again
        rows = parsing.read(self.layer, self._source.shape)
        if not same_rows(rows, self._rows):
            self._drawn(rows)

    # How they look.

    def _dress(self) -> None:
        layer, regions = self.layer, self._shown
        table = layer.features.iloc[: len(regions)].copy()
        says = [words(n, r.state) for n, r in enumerate(regions, 1)]
        table[SAYS] = np.array(says, object)  # text, also where there is none
        layer.features = table
        if regions:
            layer.edge_color = [
                _DONE if one.state == "complete" else _OPEN for one in regions
            ]
            layer.face_color = [_EMPTY] * len(regions)
        self._fit()
        with layer.block_update_properties():
            new = {parsing.OBJECT: 0, parsing.POSITIVE: True, SAYS: ""}
            layer.feature_defaults = new
            layer.current_edge_color = _OPEN
            layer.current_face_color = _EMPTY

    def _fit(self, event: Any = None) -> None:
        """Keep the lines' width on the screen, roughly: small steps cost more."""
        pixel = look.pixel_on_screen(self._viewer, self._image)
        if event is not None and self._pixel and 0.8 < pixel / self._pixel < 1.25:
            return
        self._pixel = pixel
        layer = self.layer
        with self._drawing.muted(), layer.block_update_properties():
            layer.current_edge_width = _WIDTHS["untouched"] / pixel
            if len(self._shown) == parsing.count(layer) > 0:
                layer.edge_width = [_WIDTHS[one.state] / pixel for one in self._shown]

    def _moved(self) -> None:
        with self._drawing.muted():
            put(self.layer, self._image)


def words(number: int, state: State) -> str:
    """Say which region it is, and how far.

    Examples
    --------
    >>> words(2, "complete")
    'Region 2: complete ✓'
    """
    return f"Region {number}: {state}{' ✓' * (state == 'complete')}"
