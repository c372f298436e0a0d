"""Which layer the objects of an image go to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.live.labels.store import LabelStore
from napari_sam.widgets.segment.desk import Desk, empty_store
from napari_sam.widgets.segment.keeping.adoption import Adoption

if TYPE_CHECKING:
    from pathlib import Path

    from napari.layers import Labels

    from napari_sam.live.disk.keeping import Left
    from napari_sam.live.disk.loading import Loaded
    from napari_sam.live.proofreading.progress import Progress
    from napari_sam.live.threads import Threads
    from napari_sam.models.lane import Post
    from napari_sam.widgets.segment.bridge import Bridge
    from napari_sam.widgets.segment.told import Told


class Places:
    """Lets objects go to a new layer, to one that is there, or to restored ones.

    Parameters
    ----------
    bridge : Bridge
    threads : Threads
        Layers are looked through on one of them.
    post : callable
        Runs a function on the viewer's thread.
    told : Told
    """

    def __init__(
        self, bridge: Bridge, threads: Threads, post: Post, told: Told
    ) -> None:
        self._bridge, self._told = bridge, told
        self._adoption = Adoption(threads, post, self._adopted, told.noticed)

    def open(self, desk: Desk, store: LabelStore) -> None:
        """Begin with an image: with the objects that it had, if we know them."""
        found = self._adoption.ours(desk)
        known = None if found is None else self._adoption.folder(found)
        self._bridge.keeper.open(desk.image, desk.source, store, known)
        if found is not None:
            self.write_to(found)

    def leave(self, desk: Desk) -> None:
        """Leave the objects in their layer."""
        self._adoption.stop()
        self._remember(desk)
        self._bridge.keeper.leave()

    def begin_anew(self, *, on_disk: bool = False) -> None:
        """Keep objects in a new layer from now on, if wanted on the disk."""
        desk = self._bridge.desk
        if desk is not None:
            self._adoption.stop()
            self._remember(desk)
            self._begin(desk, on_disk=on_disk)

    def write_to(self, layer: Labels) -> None:
        """Keep objects in this layer from now on, or in a copy that can be edited."""
        desk = self._bridge.desk
        if desk is None:
            return
        if desk.labels is None or desk.labels.layer is not layer:
            self._adoption.start(desk, layer)

    def restore(self, left: Left) -> None:
        """Bring back objects that were not saved; they get a layer of their own."""

        def restored(store: LabelStore) -> None:
            desk = self._bridge.desk
            if desk is not None:
                self._adoption.remember(desk, None, None)
                self._bridge.session.attach(store)
                desk.show_labels(store)
                self._bridge.work_changed()

        self._bridge.keeper.restore(left, restored)

    def show_saved(self, loaded: Loaded) -> None:
        """Go on with what was saved; its objects get a layer of their own."""
        desk = self._bridge.desk
        if desk is None:
            return
        self._adoption.stop()
        self._remember(desk)
        store = LabelStore(
            loaded.labels,
            records=loaded.records,
            next_id=loaded.next_id,
            extents=loaded.extents,
        )
        self._attach(store, progress=loaded.complete)
        classes = loaded.class_list.joined(self._bridge.session.classes)
        self._bridge.session.list_classes(classes)
        desk.show_labels(store)
        self._bridge.work_changed()

    def gone(self) -> None:
        """Begin anew after the layer was deleted."""
        desk = self._bridge.desk
        if desk is None:
            return
        self._begin(desk)
        self._told.noticed(
            "The layer with the objects was deleted or has other pixels now: the next "
            "object goes to a new one. Those before are offered when the image is "
            "opened again."
        )

    def _begin(self, desk: Desk, *, on_disk: bool = False) -> None:
        desk.leave_labels()
        self._attach(empty_store(desk.source, on_disk=on_disk))
        self._bridge.work_changed()

    def _adopted(self, desk: Desk, layer: Labels, store: LabelStore) -> None:
        if self._bridge.desk is desk:
            self._remember(desk)
            if layer.data is store.labels:
                known = self._adoption.folder(layer), self._adoption.progress(layer)
                self._attach(store, *known)
                desk.show_labels(store, layer)
            else:
                self._attach(store)
                layer.visible = False  # its copy is shown instead
                desk.show_labels(store)
            self._bridge.work_changed()

    def _remember(self, desk: Desk) -> None:
        keeper = self._bridge.keeper
        self._adoption.remember(desk, keeper.folder, keeper.progress)

    def _attach(
        self,
        store: LabelStore,
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._bridge.session.attach(store)
        self._bridge.keeper.attach(store, folder, progress)
