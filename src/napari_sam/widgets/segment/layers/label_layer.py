"""The Labels layer that objects are kept in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QCoreApplication, QTimer

from napari_sam.records.ondisk.array import DiskLabels
from napari_sam.widgets.segment.layers import strokes
from napari_sam.widgets.segment.layers.features import Features, table_of
from napari_sam.widgets.segment.layers.look import refresh

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_sam.live.labels.changes import Change
    from napari_sam.live.labels.store import LabelStore
    from napari_sam.live.source import Source

_TABLE_MS = 400  # somebody who adds objects fast does not wait for the table
_LARGE = 5000  # objects; from here on the table costs time that is felt
_LARGE_MS = 4000


def why_not(layer: Layer, source: Source) -> str | None:
    """Return why objects of this image cannot be kept in a layer; None if they can."""
    name = f'"{layer.name}"'
    if not isinstance(layer, Labels):
        return f"{name} is not a labels layer"
    if layer.multiscale:
        return f"{name} is a pyramid: objects need labels of one resolution"
    data = layer.data
    if tuple(data.shape) != source.shape:
        return (
            f"{name} has the shape {_times(data.shape)}, the image "
            f"{_times(source.shape)}"
        )
    if np.dtype(data.dtype).kind not in "iu":
        return f"{name} does not hold whole numbers"
    if not _is_ours(data):
        return f"{name} can only be read: choose it, and a copy is made"
    if not layer.editable:
        return f"{name} is locked: it cannot be edited"
    return None


def can_be_copied(layer: Layer, source: Source) -> bool:
    """Whether objects cannot be kept in a layer, but in a copy of its labels."""
    fits = isinstance(layer, Labels) and not layer.multiscale
    if not fits or tuple(layer.data.shape) != source.shape:
        return False
    return np.dtype(layer.data.dtype).kind in "iu" and not _is_ours(layer.data)


def _is_ours(data: Any) -> bool:
    """Whether a label array can be edited in place."""
    if isinstance(data, np.ndarray):
        return bool(data.flags.writeable)
    return isinstance(data, DiskLabels)


class LabelLayer:
    """Shows a store's labels, and hands a person's brush strokes to it.

    Parameters
    ----------
    viewer : ViewerModel
    layer : Labels
        One for which `why_not` has nothing to say.
    store : LabelStore
        Of the layer's own array: `LabelStore(layer.data, ...)`.
    edited : callable
        Is called with what a person's brush has changed (the store has it already).
    gone : callable, optional
        Is called when the layer was deleted, or its array replaced.
    class_names : callable, optional
        Returns the names of classes by their numbers, for the table.
    picked : callable, optional
        Is called when another object is selected in the layer.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        layer: Labels,
        store: LabelStore,
        *,
        edited: Callable[[Change], None],
        gone: Callable[[], None] | None = None,
        class_names: Callable[[], Mapping[int, str]] = dict,
        picked: Callable[[], None] = lambda: None,
    ) -> None:
        self._viewer = viewer
        self.layer, self.store = layer, store
        self._edited, self._gone = edited, gone
        self._class_names, self._picked = class_names, picked
        self._features = Features(layer)
        self._closed = False
        self._unwritten: list[Sequence[Any]] = []
        self._timer = _timer(self.tabulate)
        self._late = _timer(self._take_in_late)
        layer.events.paint.connect(self._painted)
        layer.events.set_data.connect(self._replaced)
        layer.events.selected_label.connect(self._selected)
        viewer.layers.events.removed.connect(self._removed)
        # napari's own would look through all labels, and might give an id again.
        layer.bind_key("M", self._next_label, overwrite=True)
        self.tabulate()

    @property
    def picked(self) -> int | None:
        """The object that is selected in the layer; None where that is no object."""
        number = int(self.layer.selected_label)
        return number if number in self.store.records else None

    @property
    def exists(self) -> bool:
        """Whether it is in the viewer and still shows the store's array."""
        return (
            self.layer in self._viewer.layers and self.layer.data is self.store.labels
        )

    def refresh(self, change: Change | None = None) -> None:
        """Show what a change has written; without one, everything."""
        if change is None or self._seen(change):
            refresh(self.layer)
        if change is None or change.records_after or change.records_before:
            self.tabulate_soon()

    def tabulate(self) -> None:
        """Put the object table into the layer's features now, not a little later."""
        self._timer.stop()
        if not self._closed:
            records = self.store.records.values()
            self._features.show(table_of(records, self._class_names()))

    def columns_of_person(self) -> dict[str, dict[int, Any]]:
        """Return what else stands in the layer's table, by column and object."""
        return self._features.of_person

    def close(self) -> None:
        """Leave the layer in the viewer as it is, and to the person."""
        if self._closed:
            return
        self.tabulate()
        self._closed = True
        self.layer.events.paint.disconnect(self._painted)
        self.layer.events.set_data.disconnect(self._replaced)
        self.layer.events.selected_label.disconnect(self._selected)
        self._viewer.layers.events.removed.disconnect(self._removed)
        self.layer.bind_key("M", None)

    def _seen(self, change: Change) -> bool:
        """Whether it wrote into what is on the screen."""
        dims = self._viewer.dims
        flat = set(dims.displayed) == {dims.ndim - 2, dims.ndim - 1}
        if dims.ndisplay != 2 or not flat:
            return bool(change.patches)
        at = self.layer.world_to_data(dims.point[-self.layer.ndim :])[:-2]
        return tuple(int(i) for i in np.rint(at)) in change.indices

    def tabulate_soon(self) -> None:
        """Put it there a little later, once for all that happens until then."""
        if QCoreApplication.instance() is None:
            self.tabulate()  # nothing would ring
        elif not self._timer.isActive():
            many = len(self.store.records) > _LARGE
            self._timer.start(_LARGE_MS if many else _TABLE_MS)

    def _next_label(self, layer: Labels) -> None:
        layer.selected_label = self.store.next_id

    def _painted(self, event: Any) -> None:
        if not self._take_in(event.value):
            # Of what other plugins set, napari tells before it is written.
            self._unwritten.append(event.value)
            self._late.start(0)

    def _take_in(self, atoms: Sequence[Any]) -> bool:
        change = self.store.painted(strokes.before(self.store.labels, atoms))
        if change is None:
            return False
        self.tabulate_soon()
        self._edited(change)
        return True

    def _take_in_late(self) -> None:
        atoms = [atom for value in self._unwritten for atom in value]
        self._unwritten = []
        if atoms and not self._closed:
            self._take_in(atoms)

    def _replaced(self, event: Any) -> None:
        if self.layer.data is not self.store.labels:
            self._lost()

    def _selected(self, event: Any) -> None:
        self._picked()

    def _removed(self, event: Any) -> None:
        if event.value is self.layer:
            self._lost()

    def _lost(self) -> None:
        gone, self._gone = self._gone, None
        if gone is not None:
            gone()


def _timer(work: Callable[[], None]) -> QTimer:
    timer = QTimer()
    timer.setSingleShot(True)
    timer.timeout.connect(work)
    return timer


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(str(n) for n in shape)
