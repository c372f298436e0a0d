"""Contrast, channels, the size of objects, and a picture of what models get."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from magicgui.widgets import ComboBox, LineEdit
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_sam.images.normalization import PERCENTILES
from napari_sam.images.spans import parse_spans, span_text
from napari_sam.live.seen import FIXED, PLANE, SHOWN, STACK, Seen
from napari_sam.live.source import Source
from napari_sam.live.threads import Threads, say
from napari_sam.types import NapariSamError
from napari_sam.widgets.auto_annotate.words import plane_noun
from napari_sam.widgets.rows import Rows
from napari_sam.widgets.segment.view import paragraph
from napari_sam.widgets.sight import words
from napari_sam.widgets.sight.channels import data_of, fitting
from napari_sam.widgets.sight.line import Line
from napari_sam.widgets.sight.picture import pixmap, small
from napari_sam.widgets.size import Size, pixel_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Image
    from qtpy.QtGui import QHideEvent, QShowEvent

    from napari_sam.images import Plane
    from napari_sam.live.prompting.reading import Look
    from napari_sam.live.values import Index
    from napari_sam.models.lane import Post

_SETTLED_MS: Final = 300  # somebody who drags the contrast, or types, has stopped


class Work(Protocol):
    """The image that a dock works on."""

    @property
    def image(self) -> Image | None:
        """Its layer."""

    @property
    def source(self) -> Source | None:
        """What that holds."""

    @property
    def index(self) -> Index | None:
        """The slice on screen."""

    def see(self, source: Source) -> None:
        """Have models see it in this way from now on."""

    def look(
        self,
        index: Index,
        done: Callable[[Look], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Read a slice as models see it."""


class Sight(QWidget):
    """Says how the image is shown to models, and shows it.

    Parameters
    ----------
    viewer : ViewerModel
        Its other images can be further channels.
    work : Work
    post : callable
        Runs a function on the thread of the widgets.
    notice : callable
        Is called with one line that says why something is not done.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        work: Work,
        post: Post,
        notice: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._threads = Threads(post)
        self._viewer, self._work, self._notice = viewer, work, notice
        self._image: Image | None = None  # whose channels are offered
        self._watched: list[Image] = []
        self._now: tuple[Any, ...] = ()  # what models see, as it was asked for
        self._of: Source | None = None  # of what
        self._seen, self._wrong = Seen(), ""
        self._pictured: tuple[Index, tuple[Any, ...]] | None = None
        self._controls()
        self._lay_out()
        self._line = Line(viewer, self._measured, notice)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_SETTLED_MS)
        self._soon.timeout.connect(self._see)
        self.contrast.changed.connect(self._contrast_chosen)
        for box in (self.second, self.third):
            box.changed.connect(lambda _: self._see())
        for text in (self.percentiles, self.fixed):
            text.changed.connect(lambda _: self._soon.start())
        self.diameter.changed = self._soon.start
        self.from_line.clicked.connect(self._take_line)

    def _controls(self) -> None:
        self.contrast = ComboBox(
            label="Contrast", choices=words.contrasts("slice"), tooltip=words.TIP
        )
        self.percentiles = LineEdit(
            label="Percentiles", value=span_text([PERCENTILES]), tooltip=words.PERCENT
        )
        self.fixed = LineEdit(label="Dark to bright", tooltip=words.FIXED_TIP)
        self.second, self.third = (
            ComboBox(label=label, choices=[(words.NONE, None)], tooltip=words.CHANNEL)
            for label in ("Second channel", "Third channel")
        )
        self.diameter = Size(
            "Typical diameter", tooltip=words.DIAMETER, unset="not said"
        )
        self.from_line = QPushButton(words.LINE)
        self.from_line.setToolTip(words.LINE_TIP)

    def _lay_out(self) -> None:
        self.rows = Rows(
            *(self.contrast, self.percentiles, self.fixed),
            *(self.second, self.third, self.diameter.box),
        )
        self.picture, self.says = QLabel(), paragraph()
        self.picture.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(8, 0, 0, 6)
        for part in (self.rows, self.from_line, self.picture, self.says):
            lines.addWidget(part)

    # What is told.

    def work_changed(self) -> None:
        """Offer the channels that fit the image that is worked on now."""
        image = self._work.image
        if image is not self._image:
            self._image, self._now, self._seen = image, (), Seen()
            self._line.end()
        self.diameter.suit(None if image is None else pixel_of(image))
        self.offer()

    def slice_changed(self) -> None:
        """Show this slice, if somebody looks."""
        self._show()

    def offer(self) -> None:
        """Offer what there is now; a channel that is gone is none any more."""
        image, source = self._work.image, self._work.source
        others = [] if image is None else fitting(self._viewer, image)
        choices: list[tuple[str, Any]] = [(words.NONE, None)]
        choices += [(layer.name, layer) for layer in others]
        for box in (self.second, self.third):
            chosen = next((one for one in others if one is box.value), None)
            with box.changed.blocked():
                box.choices = choices
                box.value = chosen
        contrasts = words.contrasts(
            self._noun, colour=source is not None and source.rgb
        )
        with self.contrast.changed.blocked():
            before = self.contrast.value
            self.contrast.choices = contrasts
            known = [value for _, value in contrasts]
            self.contrast.value = before if before in known else known[0]
        for part in (self.rows, self.from_line):
            part.setEnabled(source is not None)
        self.rows.show_row(self.second, bool(others))
        self.rows.show_row(self.third, len(others) > 1)
        self._show_rows()
        self._see()

    def end(self) -> None:
        """Attend to nothing any more."""
        self._soon.stop()
        self._line.end()
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

    # What is chosen.

    @property
    def seen(self) -> Seen:
        """How the image is seen now."""
        return self._seen

    def choose(self, seen: Seen) -> tuple[str, ...]:
        """Have the image seen as it was once; return the channels that are missing."""
        image = self._work.image
        if image is None:
            return ()
        others = {layer.name: layer for layer in fitting(self._viewer, image)}
        channels = [others[name] for name in seen.channels if name in others]
        how = seen.contrast
        limits = tuple(tuple(one.contrast_limits) for one in (image, *channels))
        if how == SHOWN and limits != seen.ranges:
            how = FIXED  # napari shows it otherwise now
        for box, value in (
            (self.second, channels[0] if channels else None),
            (self.third, channels[1] if len(channels) > 1 else None),
            (self.contrast, how if how in self.contrast.choices else STACK),
            (self.percentiles, span_text([seen.percentiles])),
            (self.fixed, span_text(seen.ranges[: 1 + len(channels)])),
        ):
            with box.changed.blocked():
                box.value = value
        self.diameter.pixels = seen.diameter or 0.0
        self._show_rows()
        self._see()
        return tuple(name for name in seen.channels if name not in others)

    @property
    def _noun(self) -> str:
        source = self._work.source
        return "slice" if source is None else plane_noun(source.stack_axes)

    def _channels(self, image: Image) -> list[Image]:
        chosen = [image]
        for box in (self.second, self.third):
            if box.value is not None and all(box.value is not one for one in chosen):
                chosen.append(box.value)
        return chosen

    def _contrast_chosen(self, how: str) -> None:
        image = self._work.image
        if how == FIXED and image is not None and not self.fixed.value:
            # What it was until now, so that only what is wrong has to be changed.
            limits = [one.contrast_limits for one in self._channels(image)]
            with self.fixed.changed.blocked():
                self.fixed.value = span_text(limits)
        self._show_rows()
        self._see()

    def _show_rows(self) -> None:
        source, how = self._work.source, self.contrast.value
        colour = source is not None and source.rgb
        measured = how in (STACK, PLANE) and not colour
        self.rows.show_row(self.percentiles, measured)
        self.rows.show_row(self.fixed, how == FIXED)

    def _said(self, channels: list[Image]) -> Seen:
        """Return what was chosen.

        Raises
        ------
        ValueError
            With what is wrong with what was typed, for people.
        """
        how: Any = self.contrast.value
        percentiles, ranges = PERCENTILES, ()  # type: Any, Any
        if how == SHOWN:
            limits = [layer.contrast_limits for layer in channels]
            ranges = tuple((float(low), float(high)) for low, high in limits)
        elif how == FIXED:
            ranges = _spans(self.fixed.value, words.BAD_FIXED)
            if len(ranges) < len(channels):
                raise ValueError(words.bad_count(len(channels)))
            # What is said of a channel that is gone waits for the next one.
            ranges = ranges[: len(channels)]
        else:
            percentiles = _percentiles(self.percentiles.value)
        return Seen(
            contrast=how,
            percentiles=percentiles,
            ranges=ranges,
            channels=tuple(layer.name for layer in channels[1:]),
            diameter=self.diameter.pixels or None,
        )

    # What is done.

    def settle(self) -> str:
        """Do at once what was typed last; return what is wrong with it, or ""."""
        self._see()
        return self._wrong

    def _take_line(self) -> None:
        image = self._work.image
        if image is not None:
            self._line.take(image)

    def _measured(self, pixels: float) -> None:
        self.diameter.pixels = round(pixels, 2)

    def _see(self) -> None:
        """Have the models see what was chosen, if that is another thing."""
        self._soon.stop()
        image, source = self._work.image, self._work.source
        if image is None or source is None:
            self._watch([])
            self._show()
            return
        channels = self._channels(image)
        self._watch(channels)
        try:
            seen, self._wrong = self._said(channels), ""
        except ValueError as error:
            self._wrong = str(error)
            self.says.setText(self._wrong)
            return
        pixels = tuple(id(data_of(layer)) for layer in channels)
        before = self._now if source is self._of else ()
        if (pixels, seen) != (before or ((id(data_of(image)),), Seen())):
            try:
                looked = self._seen_as(source, channels[1:], seen)
            except NapariSamError as error:
                self._notice(say(error))
                return
            self._seen = seen
            self._work.see(looked)
        self._now, self._seen, self._of = (pixels, seen), seen, source
        self._show()

    def _seen_as(self, source: Source, others: list[Image], seen: Seen) -> Source:
        return source.seen(
            [Source.from_layer(layer) for layer in others],
            PLANE if seen.contrast == PLANE else STACK,
            seen.ranges or None,
            seen.percentiles,
            seen.diameter,
        )

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
        index = self._work.index
        if index is None:
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

        self._work.look(index, looked, failed)

    def _draw(self, plane: Plane) -> None:
        self.picture.setPixmap(pixmap(plane))
        image = self._work.image
        names = [] if image is None else [one.name for one in self._channels(image)]
        self.says.setText(words.seen(plane.normalization, names, self._noun))


def _spans(text: str, wrong: str) -> tuple[tuple[float, float], ...]:
    try:
        return parse_spans(text)
    except ValueError:
        raise ValueError(wrong) from None


def _percentiles(text: str) -> tuple[float, float]:
    found = _spans(text, words.BAD_PERCENT)
    if len(found) != 1 or found[0][0] < 0 or found[0][1] > 100:
        raise ValueError(words.BAD_PERCENT)
    return found[0]
