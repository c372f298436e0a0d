"""What of an image is complete, as a person says it in the viewer; no Qt here."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_sam.live.marks import same
from napari_sam.live.prompting.steps import Replaced
from napari_sam.live.proofreading.progress import ProgressError
from napari_sam.live.threads import say
from napari_sam.widgets.segment.layers.regions import Regions
from napari_sam.widgets.segment.watch import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.components import ViewerModel

    from napari_sam.live.labels.changes import Change
    from napari_sam.live.proofreading.progress import Progress, Region, State
    from napari_sam.live.values import Index
    from napari_sam.models.lane import Post
    from napari_sam.widgets.segment.bridge import Bridge
    from napari_sam.widgets.segment.desk import Desk
    from napari_sam.widgets.segment.layers.parsing import Row
    from napari_sam.widgets.segment.told import Told

ALL_COMPLETE = "There is no other slice that is not complete."


class Standing(Watcher):
    """Lets slices and regions be begun by edits, and be called complete by people.

    Parameters
    ----------
    bridge : Bridge
    viewer : ViewerModel
    post : callable
        Runs a function soon on the viewer's thread.
    told : Told

    Attributes
    ----------
    changed : callable
        Is called when something else is complete, or on the screen.
    """

    def __init__(
        self,
        bridge: Bridge,
        viewer: ViewerModel,
        post: Post,
        told: Told,
    ) -> None:
        self._bridge, self._viewer, self._post = bridge, viewer, post
        self._told, self._notice = told, told.noticed
        self._desk: Desk | None = None
        self._regions: Regions | None = None
        self.changed: Callable[[], None] = lambda: None
        bridge.watchers.append(self)

    @property
    def progress(self) -> Progress | None:
        """What is complete; None without an image."""
        return None if self._bridge.desk is None else self._bridge.keeper.progress

    @property
    def index(self) -> Index:
        """The slice on the screen."""
        desk = self._bridge.desk
        return () if desk is None else desk.index

    def actions(self) -> dict[str, Callable[[], object]]:
        """Return what keys can do, by name."""
        return {"complete": self.toggle, "next_open": self.next_open}

    # What the person says.

    def toggle(self) -> None:
        """Say that the slice on the screen is complete, or is not."""
        progress = self.progress
        if progress is not None:
            self.set_complete(progress.planes.get(self.index) != "complete")

    def set_complete(self, complete: bool) -> None:
        """Say whether the slice on the screen is complete."""
        progress = self.progress
        if progress is not None:
            state: State = "complete" if complete else "in progress"
            what = f"Slice {'is' if complete else 'is not'} complete"
            self._mark(progress.mark([self.index], state), what)

    def next_open(self) -> None:
        """Show the next slice that is not complete."""
        progress, desk = self.progress, self._bridge.desk
        if progress is None or desk is None:
            return
        index = progress.next_open(desk.index)
        if index is None:
            self._notice(ALL_COMPLETE)
        else:
            _show_slice(self._viewer, desk, index)

    def draw(self, kind: str) -> None:
        """Let the mouse draw a region, a "rectangle" or a "polygon"."""
        if (layer := self._layer()) is not None:
            layer.draw(kind)

    def set_region_complete(self, number: int, complete: bool) -> None:
        """Say whether a region, named by its place, is complete."""
        progress = self.progress
        if progress is not None and number < len(progress.regions):
            state: State = "complete" if complete else "in progress"
            what = f"A region {'is' if complete else 'is not'} complete"
            self._mark(progress.mark_region(number, state), what)

    def remove_regions(self) -> None:
        """Limit annotation on the slice on the screen no longer."""
        progress = self.progress
        if progress is not None and progress.on(self.index):
            kept = [one for one in progress.regions if one.index != self.index]
            self._mark(progress.redrawn(kept), "Regions were taken away")

    def _mark(self, progress: Progress, what: str) -> None:
        if (before := self.progress) is not None:
            put = partial(self._put, what=what)
            # Mostly its planes: the regions are those of the one before.
            nbytes = 100 * len(progress.planes)
            self._bridge.session.note(Replaced(what, before, progress, put, nbytes))
        self._put(progress, what)

    def _put(self, progress: Progress, what: str) -> None:
        self._bridge.keeper.mark(progress, what)
        self._told.objects_changed()  # there is something to save
        self._show()

    # What happens.

    def work_changed(self) -> None:
        """Show the regions of another image, or of other objects."""
        desk = self._bridge.desk
        if desk is not self._desk:
            if self._regions is not None:
                self._regions.close()
            self._desk, self._regions = desk, None
        self._show()

    def labels_changed(self, change: Change) -> None:
        """Begin what was edited."""
        progress = new = self.progress
        if new is None:
            return
        for index, boxes in change.boxes.items():
            new = new.touched(index, boxes)
        if new is not progress:
            self._bridge.keeper.mark(new)
            self._show()

    def slice_changed(self) -> None:
        """Say how far another slice is."""
        self.changed()

    def _show(self) -> None:
        progress = self.progress
        if progress is not None and (progress.regions or self._regions is not None):
            layer = self._layer()
            if layer is not None:
                layer.restore()
                layer.show(progress.regions)
        self.changed()

    def _layer(self) -> Regions | None:
        """Return the layer of the image, which is made when it is needed first."""
        desk = self._bridge.desk
        if self._regions is None and desk is not None:
            self._regions = Regions(
                self._viewer, desk.image, desk.source, self._drawn, post=self._post
            )
            desk.keys.attach(self._regions.layer)
        return self._regions

    def _drawn(self, rows: Sequence[Row]) -> None:
        """Take in what was drawn, moved or deleted."""
        progress = self.progress
        if progress is None:
            return
        new, seen = progress.redrawn(()), set[int]()
        for row in rows:
            before = None
            if 0 < row.number <= len(progress.regions) and row.number not in seen:
                before = progress.regions[row.number - 1]
                seen.add(row.number)
            try:
                new = self._taken(new, row, before)
            except ProgressError as error:
                self._notice(f"⚠ {say(error)}")
        self._mark(new, "Regions were drawn")

    def _taken(self, progress: Progress, row: Row, before: Region | None) -> Progress:
        if row.problem:
            raise ProgressError("a region must lie on one slice: draw it on the image")
        new = progress.add_region(row.index, row.mark)
        number = len(new.regions) - 1
        if before is None:
            return new.mark_region(number, self._state_of(new.regions[number]))
        moved = before.index != row.index or not same([before.area], [row.mark])
        if moved and before.state == "complete":
            self._notice(f"Region {number + 1} was changed: it is in progress again.")
            return new.mark_region(number, "in progress")
        return new.mark_region(number, before.state)

    def _state_of(self, region: Region) -> State:
        """Return the state of a new region: it is begun where objects reach in."""
        store = self._bridge.session.store
        extents = () if store is None else store.extents.values()
        boxes = (on[region.index] for on in extents if region.index in on)
        return "in progress" if region.meets(boxes) else "untouched"


def _show_slice(viewer: ViewerModel, desk: Desk, index: Index) -> None:
    layer, dims = desk.image, viewer.dims
    height, width = desk.source.shape[-2:]
    world = layer.data_to_world((*index, height / 2, width / 2))
    before = dims.ndim - layer.ndim
    axes = [
        axis
        for axis in range(before, before + len(index))
        if axis in dims.not_displayed
    ]
    dims.set_point(axes, [float(world[axis - before]) for axis in axes])
