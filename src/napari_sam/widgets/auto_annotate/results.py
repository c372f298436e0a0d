"""Which layer a run writes to: nothing that a person may want is overwritten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam.widgets.auto_annotate.layers import ResultLayer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_sam.live.source import Source
    from napari_sam.segment.result import PlaneResult


class GoneError(Exception):
    """What a run works on is not there any more; says so in one sentence."""


@dataclass(slots=True, eq=False)
class _Task:
    image: Image
    source: Source
    trial: bool
    started: bool = False


class Results:
    """Takes what runs find into Labels layers.

    Trials of one image share a layer, which the run over all planes then takes
    over. Every other run gets a layer of its own, and the one before it is hidden.
    A layer that a person has edited is left to them.

    Parameters
    ----------
    viewer : ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._task: _Task | None = None
        self.current: ResultLayer | None = None

    def begin(self, image: Image, source: Source, *, trial: bool) -> None:
        """Expect the planes of a new run."""
        self._task = _Task(image, source, trial)

    def add(self, result: PlaneResult) -> None:
        """Show one more plane.

        Raises
        ------
        GoneError
            If the image or the layer was removed, or the image has changed.
        """
        task = self._task
        if task is None:
            return
        if task.image not in self._viewer.layers:
            raise GoneError("Stopped, since the image was closed.")
        if not task.source.holds(task.image):
            raise GoneError("Stopped, since the image has changed.")
        if not task.started:
            task.started = True
            self._open(task)
        layer = self.current
        if layer is None or not layer.exists:
            raise GoneError("Stopped, since the layer with the objects was deleted.")
        layer.add(result)

    def replace(self, results: Sequence[PlaneResult]) -> bool:
        """Show all planes anew; False where the layer is not ours any more."""
        if self.current is None or not self.current.writable:
            return False
        self.current.replace(results)
        return True

    def leave(self) -> None:
        """Leave everything as it is, for good."""
        self._task = None
        if self.current is not None:
            self.current.release()
        self.current = None

    def _open(self, task: _Task) -> None:
        old = self.current
        same = old is not None and old.source is task.source
        if old is not None and same and old.trial and old.writable:
            old.replace([])
            old.rename(task.image, trial=task.trial)
            return
        if old is not None:
            old.release()
            if same and old.exists:
                old.layer.visible = False
        self.current = ResultLayer(
            self._viewer, task.image, task.source, trial=task.trial
        )
