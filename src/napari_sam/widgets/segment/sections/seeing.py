"""The section "What the model sees": contrast, channels, and a picture of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from magicgui.widgets import ComboBox
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_sam.live.source import Source
from napari_sam.live.threads import Threads, say
from napari_sam.models.tiles.large import reduced
from napari_sam.types import NapariSamError
from napari_sam.widgets.auto_annotate.words import plane_noun
from napari_sam.widgets.layers import images
from napari_sam.widgets.rows import Rows
from napari_sam.widgets.segment.sections import seeing_words as words
from napari_sam.widgets.segment.view import paragraph
from napari_sam.widgets.segment.watch import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Image
    from qtpy.QtGui import QHideEvent, QShowEvent

    from napari_sam.images import Plane
    from napari_sam.live.prompting.reading import Look
    from napari_sam.live.values import Index
    from napari_sam.models.lane import Post
    from napari_sam.widgets.segment.bridge import Bridge

_SETTLED_MS: Final = 300  # somebody who drags the contrast has stopped
_WIDE: Final = 260  # pixels of the picture, at most
_LOOKED_THROUGH: Final = 8  # times the picture, twice as fine: what is read for it


class Seeing(QWidget, Watcher):
    """Says how the image is shown to models, and shows it.

    Parameters
    ----------
    viewer : ViewerModel
        Its other images can be further channels.
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
        super().__init__()
        self._threads = Threads(post)
        self._viewer, self._bridge, self._notice = viewer, bridge, notice
        self._image: Image | None = None  # whose channels are offered
        self._watched: list[Image] = []
        self._now: tuple[Any, ...] = ()  # what models see, as it was asked for
        self._pictured: tuple[Index, tuple[Any, ...]] | None = None
        self.contrast = ComboBox(
            label="Contrast", choices=words.contrasts("slice"), tooltip=words.TIP
        )
        self.second, self.third = (
            ComboBox(label=label, choices=[(words.NONE, None)], tooltip=words.CHANNEL)
            for label in ("Second channel", "Third channel")
        )
        self.rows = Rows(self.contrast, self.second, self.third)
        self.picture, self.says = QLabel(), paragraph()
        self.picture.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(8, 0, 0, 6)
        for part in (self.rows, self.picture, self.says):
            lines.addWidget(part)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_SETTLED_MS)
        self._soon.timeout.connect(self._see)
        for box in (self.contrast, self.second, self.third):
            box.changed.connect(lambda _: self._see())
        bridge.watchers.append(self)
        self.work_changed()

    # What is told.

    def work_changed(self) -> None:
        """Offer the channels that fit the image that is worked on now."""
        desk = self._bridge.desk
        image = None if desk is None else desk.image
        if image is not self._image:
            self._image, self._now = image, ()
        self.offer()

    def slice_changed(self) -> None:
        """Show this slice, if somebody looks."""
        self._show()

    def offer(self) -> None:
        """Offer what there is now; a channel that is gone is none any more."""
        desk = self._bridge.desk
        fitting = [] if desk is None else self._fitting(desk.image)
        choices: list[tuple[str, Any]] = [(words.NONE, None)]
        choices += [(layer.name, layer) for layer in fitting]
        for box in (self.second, self.third):
            chosen = next((one for one in fitting if one is box.value), None)
            with box.changed.blocked():
                box.choices = choices
                box.value = chosen
        colour = desk is not None and desk.source.rgb
        noun = "slice" if desk is None else plane_noun(desk.source.stack_axes)
        with self.contrast.changed.blocked():
            before = self.contrast.value
            self.contrast.choices = words.contrasts(noun, colour=colour)
            known = [value for _, value in words.contrasts(noun, colour=colour)]
            self.contrast.value = before if before in known else known[0]
        self.rows.setEnabled(desk is not None)
        self.rows.show_row(self.second, bool(fitting))
        self.rows.show_row(self.third, len(fitting) > 1)
        self._see()

    def end(self) -> None:
        """Attend to nothing any more."""
        self._soon.stop()
        self._threads.close()
        self._watch([])

    def showEvent(self, event: QShowEvent) -> None:
        """Show the slice on screen when the section is opened."""
        super().showEvent(event)
        self._show()

    def hideEvent(self, event: QHideEvent) -> None:
        """Keep no picture that nobody sees."""
        super().hideEvent(event)
        self._pictured = None
        self.picture.clear()

    # What is done.

    def _fitting(self, image: Image) -> list[Image]:
        """Return the other images that lie pixel on pixel with this one."""
        if image.rgb:
            return []
        return [
            layer
            for layer in images(self._viewer)
            if layer is not image
            and not layer.rgb
            and _shape(layer) == _shape(image)
            and _same_place(layer, image)
        ]

    def _channels(self, image: Image) -> list[Image]:
        chosen = [image]
        for box in (self.second, self.third):
            if box.value is not None and all(box.value is not one for one in chosen):
                chosen.append(box.value)
        return chosen

    def _see(self) -> None:
        """Have the models see what was chosen, if that is another thing."""
        desk = self._bridge.desk
        if desk is None:
            self._watch([])
            self._show()
            return
        channels, how = self._channels(desk.image), self.contrast.value
        self._watch(channels)
        ranges = None
        if how == words.SHOWN:
            limits = [layer.contrast_limits for layer in channels]
            ranges = tuple((float(low), float(high)) for low, high in limits)
        mode: Any = words.PLANE if how == words.PLANE else words.STACK
        asked = (*(id(_data(layer)) for layer in channels), mode, ranges)
        plain = (id(_data(desk.image)), words.STACK, None)
        if asked != (self._now or plain):
            try:
                others = [Source.from_layer(layer) for layer in channels[1:]]
                seen = desk.source.seen(others, mode, ranges)
            except NapariSamError as error:
                self._notice(say(error))
                return
            self._bridge.see(seen)
        self._now = asked
        self._show()

    def _watch(self, layers: list[Image]) -> None:
        """Follow the contrast and the pixels of these."""
        for old in self._watched:
            old.events.contrast_limits.disconnect(self._changed)
            old.events.data.disconnect(self._changed)
        self._watched = layers
        for layer in layers:
            layer.events.contrast_limits.connect(self._changed)
            layer.events.data.connect(self._changed)

    def _changed(self, event: Any = None) -> None:
        self._soon.start()

    def _show(self) -> None:
        """Have the slice on screen read, unless nobody looks or it is shown."""
        desk, index = self._bridge.desk, self._bridge.session.index
        if desk is None or index is None:
            self._pictured = None
            self.picture.clear()
            self.says.setText("")
            return
        wanted = (index, self._now)
        if not self.isVisible() or wanted == self._pictured:
            return
        self._pictured = wanted

        def looked(look: Look) -> None:
            if self._pictured != wanted:
                return
            if look.plane is None:
                self.picture.clear()
                self.says.setText(f"{look.problem[:1].upper()}{look.problem[1:]}.")
            else:
                self._threads.run("picture", partial(small, look.plane), drawn, failed)

        def drawn(plane: Plane) -> None:
            if self._pictured == wanted:
                self._draw(plane)

        def failed(error: Exception) -> None:
            if self._pictured == wanted:
                self.picture.clear()
                self.says.setText(say(error))

        self._bridge.session.look(index, looked, failed)

    def _draw(self, plane: Plane) -> None:
        desk = self._bridge.desk
        self.picture.setPixmap(_pixmap(plane))
        noun = "slice" if desk is None else plane_noun(desk.source.stack_axes)
        names = [] if desk is None else [c.name for c in self._channels(desk.image)]
        self.says.setText(words.seen(plane.normalization, names, noun))


def small(plane: Plane) -> Plane:
    """Return a plane at the size of the picture, or what is in the middle of it.

    All of a very large plane would have to be read, unless a smaller one is there.
    """
    step = max(1, max(plane.shape) // (2 * _WIDE))
    if step > _LOOKED_THROUGH and not plane.coarser:
        corners = [(n // 2 - _WIDE, n // 2 + _WIDE) for n in plane.shape]
        (y0, y1), (x0, x1) = (
            (max(0, low), min(n, high))
            for (low, high), n in zip(corners, plane.shape, strict=True)
        )
        return plane.crop((y0, x0, y1, x1))
    return reduced(plane, (0, 0, *plane.shape), step)


def _pixmap(plane: Plane) -> QPixmap:
    pixels = np.ascontiguousarray(plane.pixels)
    height, width = pixels.shape[:2]
    picture = QImage(
        pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888
    )
    return QPixmap.fromImage(picture).scaled(
        _WIDE,
        _WIDE,
        Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )


def _data(layer: Image) -> Any:
    return layer.data[0] if layer.multiscale else layer.data


def _shape(layer: Image) -> tuple[int, ...]:
    return tuple(_data(layer).shape)


def _same_place(one: Image, other: Image) -> bool:
    """Whether two images of one shape lie pixel on pixel."""
    corners = [np.zeros(one.ndim), np.array(_shape(one)), *np.diag(_shape(one))]
    there, here = (
        np.array([layer.data_to_world(corner) for corner in corners])
        for layer in (one, other)
    )
    return bool(np.allclose(there, here)) and tuple(one.units) == tuple(other.units)
