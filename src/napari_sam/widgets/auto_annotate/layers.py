"""Results in the viewer: a Labels layer that lies exactly on its image."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.layers import Labels, Tracks

from napari_sam.widgets.auto_annotate.features import features_of
from napari_sam.widgets.auto_annotate.lines import tracks_of
from napari_sam.widgets.layers import OURS, place_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_sam.live.source import Source
    from napari_sam.segment.result import PlaneResult

_SHOWN: Final = np.zeros((0, 0), np.uint32)


class ResultLayer:
    """A Labels layer that is filled plane by plane.

    As soon as a person edits it, it is theirs: it is not written to any more.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
        Its place in the world is copied.
    source : Source
        What the image held when it was looked at.
    trial : bool
        Made to try things out on one plane.
    """

    def __init__(
        self, viewer: ViewerModel, image: Image, source: Source, *, trial: bool
    ) -> None:
        self.source, self.trial = source, trial
        self.edited = False
        self.tracks: Tracks | None = None
        self._results: dict[tuple[int, ...], PlaneResult] = {}
        self._viewer = viewer
        self._pixels = np.zeros(source.shape, np.uint32)
        self.layer = Labels(self._pixels, opacity=0.6, **place_of(image))
        self.rename(image, trial=trial)
        viewer.add_layer(self.layer)
        self.layer.events.paint.connect(self._mark)
        self.layer.events.data.connect(self._mark)

    @property
    def exists(self) -> bool:
        """Whether it is still in the viewer."""
        return self.layer in self._viewer.layers

    @property
    def writable(self) -> bool:
        """Whether it is still there, and still ours."""
        return self.exists and not self.edited

    @property
    def results(self) -> list[PlaneResult]:
        """What it shows, without the labels: these are in the layer."""
        return list(self._results.values())

    def count(self) -> int:
        """Count the objects in it."""
        ids = [result.objects["id"] for result in self._results.values()]
        return len(np.unique(np.concatenate(ids))) if ids else 0

    def rename(self, image: Image, *, trial: bool) -> None:
        """Say in the layer list what it is."""
        self.trial = trial
        self.layer.name = f"{image.name}: objects{' (try-out)' * trial}"

    def add(self, result: PlaneResult) -> None:
        """Show the objects of one plane; the table follows with `tabulate`."""
        self._write(result)
        self.layer.refresh()

    def replace(self, results: Sequence[PlaneResult]) -> None:
        """Show these planes and no others."""
        for index in self._results.keys() - {result.index for result in results}:
            self._pixels[index] = 0
        self._results = {}
        for result in results:
            self._write(result)
        self.layer.refresh()

    def tabulate(self) -> None:
        """Put the object table into the layer's features."""
        source = self.source
        self.layer.features = features_of(
            self._results.values(), source.stack_axes, source.stack_shape
        )

    def note(self, made_with: Mapping[str, Any]) -> None:
        """Write into the layer's metadata what its objects were found with."""
        self.layer.metadata = {**self.layer.metadata, OURS: dict(made_with)}

    def show_tracks(self) -> None:
        """Show where objects have moved, if they were followed through time."""
        # napari wants time to be the first axis of tracks.
        first = "T" not in self.source.stack_axes[1:]
        tracks = tracks_of(self._results.values()) if first else None
        layer = self.tracks if self.tracks in self._viewer.layers else None
        if tracks is None:
            if layer is not None:
                self._viewer.layers.remove(layer)
            return
        data, graph = tracks
        if layer is not None:
            layer.graph = {}  # the old one may name tracks that are gone
            layer.data = data
            layer.graph = graph
            return
        name = f"{self.layer.name}: tracks"
        self.tracks = Tracks(data, graph=graph, name=name, **place_of(self.layer))
        self._viewer.add_layer(self.tracks)

    def release(self) -> None:
        """Leave the layer to the person."""
        self.edited = True
        self.layer.events.paint.disconnect(self._mark)
        self.layer.events.data.disconnect(self._mark)

    def _write(self, result: PlaneResult) -> None:
        self._pixels[result.index] = result.labels
        self._results[result.index] = replace(result, labels=_SHOWN)

    def _mark(self, event: Any = None) -> None:
        self.edited = True
