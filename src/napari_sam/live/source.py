"""An image layer's pixels as planes; no napari here, only what a layer holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_sam.images import (
    ImageStack,
    Normalization,
    Plane,
    fit_normalization,
    make_plane,
    open_image,
)
from napari_sam.images.axes import letter_of
from napari_sam.types import ImageError, NapariSamError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sam.images.normalization import Mode

_SAMPLED_PLANES = 16
# For axes that have no usual name, first choice first. C and S are not among them:
# a layer is one channel, or colour.
_SPARE = "ZTPQUVW"


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """What a layer held when it was looked at.

    Attributes
    ----------
    data : array-like
        Of the shape `shape`, plus a last axis of 3 or 4 where `rgb`.
    name : str
    shape : tuple of int
        The stack axes, then height and width.
    stack_axes : str
        One letter for each axis in front of height and width, for example "TZ".
    rgb : bool
    scale : tuple of float
        What a step along each axis of `shape` is in the world; empty if not known.
    """

    data: Any
    name: str
    shape: tuple[int, ...]
    stack_axes: str
    rgb: bool
    scale: tuple[float, ...] = ()

    @classmethod
    def from_layer(cls, layer: Any) -> Source:
        """Look at an image layer; of a pyramid the full resolution counts.

        Every axis but the last two (of colour images: the last three) is a stack
        axis, in whatever way the viewer shows them at the moment.

        Raises
        ------
        ImageError
            If it has no pixels, or too many axes.
        """
        data = layer.data[0] if layer.multiscale else layer.data
        shape = tuple(int(n) for n in data.shape)
        if not all(shape):
            raise ImageError(f'"{layer.name}" has no pixels: choose another image')
        shape = shape[:-1] if layer.rgb else shape
        letters = stack_letters(tuple(layer.axis_labels)[: len(shape) - 2])
        scale = tuple(abs(float(step)) for step in layer.scale)
        return cls(data, str(layer.name), shape, letters, bool(layer.rgb), scale)

    def holds(self, layer: Any) -> bool:
        """Whether this is still what the layer shows."""
        data = layer.data[0] if layer.multiscale else layer.data
        return data is self.data

    @property
    def stack_shape(self) -> tuple[int, ...]:
        """Lengths of `stack_axes`."""
        return self.shape[:-2]

    def __len__(self) -> int:
        return math.prod(self.stack_shape)

    def read(self, index: tuple[int, ...]) -> npt.NDArray[Any]:
        """Read one plane, (H, W) or (H, W, C).

        Raises
        ------
        ImageError
            If whatever is behind the layer cannot deliver it.
        """
        try:
            return np.asarray(self.data[index])
        except (NapariSamError, MemoryError):
            raise
        except Exception as error:  # readers raise nearly anything
            where = ", ".join(map(str, index))
            raise ImageError(
                f'the pixels of "{self.name}" at ({where}) cannot be read ({error}): '
                "check that the file behind this layer is still there"
            ) from error

    def normalization(self, mode: Mode) -> Normalization:
        """Find the contrast from at most 16 evenly spaced planes."""
        return fit_normalization(self._sample(), rgb=self.rgb, mode=mode)

    def _sample(self) -> Iterator[npt.NDArray[Any]]:
        count = min(len(self), _SAMPLED_PLANES)
        for flat in np.linspace(0, len(self) - 1, count).round().astype(int):
            where = np.unravel_index(flat, self.stack_shape) if self.stack_axes else ()
            yield self.read(tuple(int(i) for i in where))

    def stack(self) -> ImageStack:
        """Return the same image as other rooms see it.

        Raises
        ------
        ImageError
            If it has axes besides time and depth.
        """
        if not set(self.stack_axes) <= set("TZ"):
            raise ImageError(
                f'"{self.name}" has more axes than time and depth: annotate a part '
                "of it with fewer"
            )
        axes = self.stack_axes + "YX" + "S" * self.rgb
        return open_image(self.data, axes=axes, name=self.name)

    def plane(self, index: tuple[int, ...], normalization: Normalization) -> Plane:
        """Read one plane as a model sees it."""
        pixels = self.read(index)
        return make_plane(pixels, normalization, rgb=self.rgb, index=index)


def stack_letters(names: Sequence[str]) -> str:
    """Return one letter for every stack axis, none twice.

    Examples
    --------
    >>> stack_letters(("time", "-3")), stack_letters(("-3",))
    ('TZ', 'Z')
    """
    found = [letter_of(name) for name in names]
    letters: list[str] = []
    for letter in found:
        usable = letter in "TZ" and letter not in letters
        letters.append(letter if usable else "?")
    spare = [letter for letter in _SPARE if letter not in letters]
    unnamed = letters.count("?")
    if unnamed > len(spare):
        raise ImageError(f"an image of {len(names) + 2} axes has too many: slice it")
    # Two unnamed axes are time and depth, in this order.
    chosen = iter(sorted(spare[:unnamed], key="PQUVWTZ".index))
    return "".join(next(chosen) if letter == "?" else letter for letter in letters)
