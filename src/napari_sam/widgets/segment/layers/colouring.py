"""Objects in the colours of their classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

from napari_sam.live.classes import NO_COLOUR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt
    from napari.layers import Labels

    from napari_sam.live.classes import ClassList
    from napari_sam.live.labels.store import LabelStore
    from napari_sam.live.threads import Threads


class Colouring:
    """Colours one layer by class until it is closed; then it looks as before.

    Colours are worked out on another thread, so that many objects are not felt.

    Parameters
    ----------
    layer : Labels
    store : LabelStore
        Of the objects in the layer.
    threads : Threads
    ended : callable
        Is called when a person has chosen other colours: they are left alone.
    """

    def __init__(
        self,
        layer: Labels,
        store: LabelStore,
        threads: Threads,
        ended: Callable[[], None],
    ) -> None:
        self.layer, self._store = layer, store
        self._threads, self._ended = threads, ended
        self._before = layer.colormap
        self._ours = False  # it is we who set the colours at this moment
        self._busy = False
        self._wanted: tuple[ClassList, int] | None = None
        self._open = True
        layer.events.colormap.connect(self._changed)

    def show(self, classes: ClassList, new: int) -> None:
        """Show the classes of now.

        Parameters
        ----------
        classes : ClassList
        new : int
            The class of new objects, for those that nothing is known of yet.
        """
        self._wanted = classes, new
        if not self._busy and self._open:
            self._work()

    def close(self) -> None:
        """Give the layer its own colours back, where it has ours."""
        if self._open:
            self._leave()
            self.layer.colormap = self._before

    def _work(self) -> None:
        if self._wanted is None:
            return
        (classes, new), self._wanted = self._wanted, None
        self._busy = True
        of = {number: record.class_id for number, record in self._records()}
        dtype = self.layer.data.dtype
        self._threads.run(
            "colours",
            lambda: colours_of(of, classes.colours, new, dtype),
            self._made,
            self._failed,
        )

    def _records(self) -> Any:
        return self._store.records.items()

    def _made(self, colours: DirectLabelColormap) -> None:
        self._busy = False
        if not self._open:
            return
        layer = self.layer
        colours.use_selection = layer.show_selected_label
        colours.selection = layer.selected_label
        self._ours = True
        try:
            layer.colormap = colours
        finally:
            self._ours = False
        self._work()

    def _failed(self, error: Exception) -> None:
        self._busy = False

    def _changed(self, event: Any = None) -> None:
        if not self._ours:
            self._leave()
            self._ended()

    def _leave(self) -> None:
        self._open = False
        self._wanted = None
        self.layer.events.colormap.disconnect(self._changed)


def colours_of(
    of: Mapping[int, int],
    colours: Mapping[int, str],
    new: int,
    dtype: npt.DTypeLike,
) -> DirectLabelColormap:
    """Return what colours objects by class.

    Parameters
    ----------
    of : mapping of int to int
        The class of every object.
    colours : mapping of int to str
        The colour of every class.
    new : int
        The class of objects that are not among them.
    dtype : dtype
        Of the labels.
    """
    rgba = {number: _rgba(colour) for number, colour in colours.items()}
    none = _rgba(NO_COLOUR)
    made = DirectLabelColormap(
        color_dict={None: rgba.get(new, none), 0: np.zeros(4, np.float32)}
    )
    # napari looks at each of the colours of a new map; these are a few again and again.
    made.color_dict.update({n: rgba.get(number, none) for n, number in of.items()})
    # It makes its own tables of them at the first use: now, where nobody waits.
    made.map(np.zeros((1, 1), dtype))
    return made


def _rgba(colour: str) -> npt.NDArray[np.float32]:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return np.array([*parts, 1], np.float32)
