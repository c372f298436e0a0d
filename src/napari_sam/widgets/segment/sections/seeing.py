"""The section "What the model sees" of the dock "Segment"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.widgets.segment.watch import Watcher
from napari_sam.widgets.sight.section import Sight

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_sam.live.prompting.reading import Look
    from napari_sam.live.source import Source
    from napari_sam.live.values import Index
    from napari_sam.models.lane import Post
    from napari_sam.widgets.segment.bridge import Bridge


class Seeing(Sight, Watcher):
    """Says how the image that is labelled is shown to models, and shows it.

    Parameters
    ----------
    viewer : ViewerModel
    bridge : Bridge
    post : callable
        Runs a function on the thread of the widgets.
    notice : callable
        Is called with one line that says why something is not done.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        bridge: Bridge,
        post: Post,
        notice: Callable[[str], None],
    ) -> None:
        super().__init__(viewer, _Labelled(bridge), post, notice)
        bridge.watchers.append(self)
        self.work_changed()


class _Labelled:
    """The image that is labelled."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    @property
    def image(self) -> Image | None:
        desk = self._bridge.desk
        return None if desk is None else desk.image

    @property
    def source(self) -> Source | None:
        desk = self._bridge.desk
        return None if desk is None else desk.source

    @property
    def index(self) -> Index | None:
        return None if self._bridge.desk is None else self._bridge.session.index

    def see(self, source: Source) -> None:
        self._bridge.see(source)

    def look(
        self,
        index: Index,
        done: Callable[[Look], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._bridge.session.look(index, done, failed)
