"""The image that "Auto-annotate" works on, and how models are to see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.live.source import Source
from napari_sam.live.threads import say
from napari_sam.types import NapariSamError
from napari_sam.widgets.layers import index_on_screen

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_sam.live.prompting.reading import Look
    from napari_sam.live.values import Index
    from napari_sam.widgets.auto_annotate.session import Session


class Looked:
    """What the chosen image holds, looked at again where it is another one.

    Parameters
    ----------
    viewer : ViewerModel
    session : Session
    chosen : callable
        Returns the chosen layer.
    told : callable
        Is called when models are to see it in another way.
    bad : callable
        Is called with one line where it cannot be worked on.

    Attributes
    ----------
    seen : Source or None
        The image, as models are to see it.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        chosen: Callable[[], Image | None],
        told: Callable[[], None],
        bad: Callable[[str], None],
    ) -> None:
        self._viewer, self._session, self._chosen = viewer, session, chosen
        self._told, self._bad = told, bad
        self._source: Source | None = None
        self.seen: Source | None = None

    @property
    def image(self) -> Image | None:
        """The layer; None where there is none, or it cannot be worked on."""
        return None if self.source is None else self._chosen()

    @property
    def source(self) -> Source | None:
        """What it holds."""
        image, known = self._chosen(), self._source
        if image is None:
            self._source = self.seen = None
        elif known is None or not known.holds(image) or known.name != image.name:
            try:
                self._source = self.seen = Source.from_layer(image)
            except NapariSamError as error:
                self._source = self.seen = None
                self._bad(say(error))
        return self._source

    @property
    def index(self) -> Index | None:
        """The slice on screen."""
        image, source = self._chosen(), self.source
        if image is None or source is None:
            return None
        return index_on_screen(self._viewer, image, source)

    def see(self, source: Source) -> None:
        """Have models see it in this way from now on."""
        self.seen = source
        self._told()

    def look(
        self,
        index: Index,
        done: Callable[[Look], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Read a slice as models see it."""
        if self.seen is not None:
            self._session.look(self.seen, index, done, failed)
