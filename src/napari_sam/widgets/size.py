"""Lengths and areas: pixels inside, micrometres on the screen where they are known."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from magicgui.widgets import FloatSpinBox
from qtpy.QtWidgets import QAbstractSpinBox

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Image

_MOST: Final = 1e9


def pixel_of(image: Image) -> float | None:
    """Return how many micrometres a pixel is wide, the mean of Y and X.

    None where the layer does not say so: napari has pixels as units then.
    """
    sizes = []
    for scale, unit in zip(image.scale[-2:], image.units[-2:], strict=True):
        with suppress(Exception):  # pixels, or a unit of something else
            sizes.append(abs(float((float(scale) * unit).to("micrometer").magnitude)))
    return float(np.mean(sizes)) if sizes and all(sizes) else None


class Size:
    """A control for a length or an area.

    Parameters
    ----------
    label, tooltip : str
    pixels : float
        What it is to begin with.
    power : {1, 2}
        1: a length. 2: an area.
    unset : str
        What 0 means.

    Attributes
    ----------
    box : FloatSpinBox
        What a person sees, in micrometres where these are known.
    changed : callable
        Is called when it is another number of pixels now.
    """

    def __init__(
        self,
        label: str,
        *,
        tooltip: str,
        pixels: float = 0.0,
        power: int = 1,
        unset: str = "",
    ) -> None:
        self.box = FloatSpinBox(label=label, min=0, max=_MOST, tooltip=tooltip)
        native: Any = self.box.native
        native.setStepType(QAbstractSpinBox.StepType.DefaultStepType)
        if unset:
            native.setSpecialValueText(unset)
        self.changed: Callable[[], None] = lambda: None
        self._power, self._first = power, pixels
        self._pixels, self._pixel = pixels, None  # type: float, float | None
        self._show()
        self.box.changed.connect(self._typed)

    @property
    def pixels(self) -> float:
        """How many it is; 0 where nothing was said."""
        return self._pixels

    @pixels.setter
    def pixels(self, value: float) -> None:
        if value != self._pixels:
            self._pixels = value
            self._show()
            self.changed()

    def suit(self, pixel: float | None) -> None:
        """Show it in micrometres, if a pixel is so many of them; else in pixels.

        What a person has said in micrometres stays so for another image.
        """
        if pixel == self._pixel:
            return
        before, self._pixel = self._pixel, pixel
        said = self._pixels not in (0, self._first)
        if before and pixel and said:
            self._pixels *= (before / pixel) ** self._power
            self.changed()
        self._show()

    def _show(self) -> None:
        native: Any = self.box.native
        # Fine enough to tell a pixel from two, under an electron microscope as well.
        digits = math.ceil(-math.log10(self._each)) + 1 if self._pixel else 0
        native.setDecimals(max(digits, self._power % 2))
        native.setSingleStep(self._each)  # a pixel
        native.setSuffix(" µm" + "²" * (self._power - 1) if self._pixel else " px")
        with self.box.changed.blocked():
            self.box.value = min(self._pixels * self._each, _MOST)

    def _typed(self, value: float) -> None:
        self._pixels = value / self._each
        self.changed()

    @property
    def _each(self) -> float:
        return float((self._pixel or 1.0) ** self._power)
