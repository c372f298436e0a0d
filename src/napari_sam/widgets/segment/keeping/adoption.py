"""Working on objects that are there already: any Labels layer of the image's shape."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from napari_sam.live.disk.copying import copy_labels
from napari_sam.live.labels.scan import scan
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.threads import Threads, say
from napari_sam.widgets.segment.layers.label_layer import can_be_copied, why_not

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from napari.layers import Labels

    from napari_sam.live.disk.copying import Copied
    from napari_sam.live.labels.access import LabelArray
    from napari_sam.live.labels.scan import Scan
    from napari_sam.live.proofreading.progress import Progress
    from napari_sam.live.values import ObjectRecord
    from napari_sam.models.lane import Post
    from napari_sam.widgets.segment.desk import Desk

_OFTEN: Final = 0.5  # seconds between two looks at how far a copy is


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is known about the objects of a layer.

    Attributes
    ----------
    store : LabelStore
    folder : Path or None
        Where they are kept.
    progress : Progress or None
        What of them is complete.
    """

    store: LabelStore
    folder: Path | None
    progress: Progress | None = None


# What is known about the objects of a layer outlives the panel, not the layer: who
# closes the panel and opens it again goes on where they were.
_known: WeakKeyDictionary[Labels, Known] = WeakKeyDictionary()


class Adoption:
    """Looks through a layer's objects, off the viewer's thread.

    Parameters
    ----------
    threads : Threads
    post : callable
        Runs a function on the thread that uses this object.
    done : callable
        Is called with desk, layer, and the store of what is in the layer: of its own
        array, or of a copy where that can only be read.
    notice : callable
        Is called with one line where it cannot be.
    """

    def __init__(
        self,
        threads: Threads,
        post: Post,
        done: Callable[[Desk, Labels, LabelStore], None],
        notice: Callable[[str], None],
    ) -> None:
        self._threads, self._post = threads, post
        self._done, self._notice = done, notice
        self._wanted: Labels | None = None

    def ours(self, desk: Desk) -> Labels | None:
        """Return the layer that was written to before the panel was closed."""
        return next((layer for layer in desk.candidates() if layer in _known), None)

    def remember(
        self, desk: Desk, folder: Path | None, progress: Progress | None
    ) -> None:
        """Keep what is known about the objects of a desk, and where they are kept."""
        if desk.labels is not None:
            known = Known(desk.labels.store, folder, progress)
            _known[desk.labels.layer] = known

    def folder(self, layer: Labels) -> Path | None:
        """Return where the objects of a layer were kept."""
        return _known[layer].folder if layer in _known else None

    def progress(self, layer: Labels) -> Progress | None:
        """Return what of the objects of a layer was complete."""
        return _known[layer].progress if layer in _known else None

    def start(self, desk: Desk, layer: Labels) -> None:
        """Look through a layer; one that is being looked through is left."""
        if can_be_copied(layer, desk.source):
            if self._wanted is layer:  # chosen again while it is copied
                self.stop()
                self._notice("No copy is made.")
            else:
                self._copy(desk, layer)
            return
        reason = why_not(layer, desk.source)
        if reason is not None:
            self._notice(reason)
            return
        self._wanted = layer
        pixels = layer.data
        before = _known[layer].store if layer in _known else None

        def looked(found: Scan | None) -> None:
            still: bool = self._wanted is layer
            if found is None or not still:
                return
            self.stop()
            if layer.data is pixels:
                self._done(desk, layer, _store(pixels, found, before))

        def failed(error: Exception) -> None:
            self._notice(say(error))

        work = partial(scan, pixels, lambda: self._wanted is layer)
        self._threads.run("scan", work, looked, failed)

    def _copy(self, desk: Desk, layer: Labels) -> None:
        self._wanted = layer
        data, name = layer.data, layer.name
        said = time.monotonic()

        def wanted() -> bool:
            return self._wanted is layer

        def progress(done: int, of: int) -> None:
            nonlocal said
            if time.monotonic() - said > _OFTEN and wanted():
                said = time.monotonic()
                self._post(partial(say_how_far, done, of))

        def say_how_far(done: int, of: int) -> None:
            if wanted():
                self._notice(
                    f'"{name}" can only be read. A copy is made: {done} of {of} '
                    "slices. Choose it again to stop."
                )

        def copied(copy: Copied | None) -> None:
            still: bool = self._wanted is layer
            if copy is None or not still:
                return
            self.stop()
            self._done(desk, layer, _store(copy.labels, copy.found, None))
            for note in copy.notes:
                self._notice(f"⚠ {name}: {note}")

        def failed(error: Exception) -> None:
            self.stop()
            self._notice(f"⚠ {name}: {say(error)}")

        work = partial(copy_labels, data, progress=progress, still_wanted=wanted)
        self._threads.run("scan", work, copied, failed)

    def stop(self) -> None:
        """Look through nothing any more."""
        self._wanted = None


def _store(pixels: LabelArray, found: Scan, before: LabelStore | None) -> LabelStore:
    """Put together what is in the pixels and what was known about them."""
    records: Iterable[ObjectRecord] = found.records
    next_id = found.next_id
    if before is not None:
        known = before.records
        records = [known.get(one.id, replace(one, source="person")) for one in records]
        next_id = max(next_id, before.next_id)
    return LabelStore(pixels, records=records, next_id=next_id, extents=found.extents)
