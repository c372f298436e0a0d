"""What "Find all objects" puts into the viewer as layers: boxes, and edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_sam.live.proposals.boxes import boxes_of
from napari_sam.live.proposals.edging import Edging
from napari_sam.live.threads import Threads, say
from napari_sam.widgets.segment.layers import look
from napari_sam.widgets.segment.layers.pictured import box_layer, edge_layer
from napari_sam.widgets.segment.view import push
from napari_sam.widgets.segment.watch import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Shapes

    from napari_sam.live.values import Index
    from napari_sam.models.lane import Post
    from napari_sam.types import FloatArray
    from napari_sam.widgets.segment.bridge import Bridge

NO_BOX = "There is no object to put a box around: move the sliders back, or find some."
_BOXES_TIP = (
    "A layer of rectangles around all that counts as found, with their confidence. It "
    "is yours: change it, save it, or use its shapes as prompts."
)
_EDGES_TIP = (
    "An image of the edges on this slice, as the model sees them from a grid of "
    "clicks: the brighter, the clearer. With a large model it takes minutes."
)


class FindLayers(QWidget, Watcher):
    """Two buttons, each of which makes a layer.

    Parameters
    ----------
    viewer : ViewerModel
    bridge : Bridge
    post : callable
    notice : callable
        Is called with one line about what came of it.
    changed : callable
        Is called when `edging.part` is another one.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        bridge: Bridge,
        post: Post,
        notice: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        super().__init__()
        self._viewer, self._bridge, self._notice = viewer, bridge, notice
        self._threads = Threads(post)
        self.edging = Edging(bridge.session, post, changed)
        self.boxes = push("Boxes as a layer", _BOXES_TIP)
        self.edges = push("Edges as a layer", _EDGES_TIP)
        lines = QHBoxLayout(self)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.addWidget(self.boxes)
        lines.addWidget(self.edges)
        self.boxes.clicked.connect(lambda _=False: self._boxes())
        self.edges.clicked.connect(lambda _=False: self._edges())
        bridge.watchers.append(self)

    def work_changed(self) -> None:
        """Look for no edges of an image that is not worked on any more."""
        self.edging.stop()

    def end(self) -> None:
        """End all work; it can be used again."""
        self.edging.stop()
        self._threads.close()

    def _boxes(self) -> None:
        desk = self._bridge.desk
        if desk is None:
            return
        slices, image = self._bridge.finder.each(), desk.image
        depth = len(desk.source.stack_axes)

        def work() -> tuple[Shapes, int]:
            boxes = boxes_of(slices, depth)
            return box_layer(image, boxes), len(boxes)

        def done(made: tuple[Shapes, int]) -> None:
            layer, count = made
            if not count:
                self._notice(NO_BOX)
                return
            self._add(layer)
            boxes = f"{count:,} box{'es' * (count != 1)}"
            self._notice(f"{boxes} in the layer “{layer.name}”.")

        self._threads.run("boxes", work, done, lambda error: self._notice(say(error)))

    def _edges(self) -> None:
        self.edging.find(self._found, lambda why: self._notice(_sentence(why)))

    def _found(self, index: Index, edges: FloatArray) -> None:
        desk = self._bridge.desk
        if desk is None:
            return
        layer = edge_layer(desk.image, index, edges)
        self._add(layer)
        self._notice(f"Edges in the layer “{layer.name}”.")

    def _add(self, layer: object) -> None:
        """Put it right above the image; the mouse stays with what has it."""
        desk, layers = self._bridge.desk, self._viewer.layers
        at = None
        if desk is not None and desk.image in layers:
            at = layers.index(desk.image) + 1
        look.add_quietly(self._viewer, layer, at)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
