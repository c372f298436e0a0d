"""An image layer's pixels as planes; no napari here, only what a layer holds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_sam.images import (
    ImageStack,
    Normalization,
    Plane,
    fit_normalization,
    lazy_plane,
    make_plane,
    open_image,
)
from napari_sam.images.axes import letter_of
from napari_sam.images.channels import MAX_CHANNELS
from napari_sam.images.normalization import PERCENTILES
from napari_sam.images.planes import LargePlane, is_large, sample_boxes, smaller_by
from napari_sam.types import ImageError, NapariSamError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sam.images.normalization import Mode
    from napari_sam.types import IntBox

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
    others : tuple of array-like
        Further channels, of the same shape each.
    mode : {"stack", "plane"}
        Whether all planes have the same contrast.
    ranges : tuple of (low, high), optional
        What becomes dark and bright, for each channel; None: it is measured.
    percentiles : (low, high)
        In percent: what the contrast is measured by.
    diameter : float, optional
        Of a typical object, in pixels.
    coarser : tuple of (int, array-like)
        Further levels of a pyramid: how many times smaller in Y and X.
    scale : tuple of float
        What a step along each axis of `shape` is in the world; empty if not known.
    """

    data: Any
    name: str
    shape: tuple[int, ...]
    stack_axes: str
    rgb: bool
    others: tuple[Any, ...] = ()
    mode: Mode = "stack"
    ranges: tuple[tuple[float, float], ...] | None = None
    percentiles: tuple[float, float] = PERCENTILES
    diameter: float | None = None
    coarser: tuple[tuple[int, Any], ...] = ()
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
        levels = tuple(layer.data[1:]) if layer.multiscale else ()
        factors = [smaller_by(shape, level.shape[: len(shape)]) for level in levels]
        pairs = zip(factors, levels, strict=True)
        coarser = tuple((factor, level) for factor, level in pairs if factor)
        return cls(
            data,
            str(layer.name),
            shape,
            letters,
            bool(layer.rgb),
            coarser=coarser,
            scale=tuple(abs(float(step)) for step in layer.scale),
        )

    def seen(
        self,
        others: Sequence[Source] = (),
        mode: Mode = "stack",
        ranges: Sequence[tuple[float, float]] | None = None,
        percentiles: tuple[float, float] = PERCENTILES,
        diameter: float | None = None,
    ) -> Source:
        """Return the same image, to be shown to models in another way.

        Parameters
        ----------
        others : sequence of Source
            Become the second and the third channel.
        mode : {"stack", "plane"}
        ranges : sequence of (low, high), optional
            In raw intensities, for each channel; instead of `mode`.
        percentiles : (low, high)
            In percent: what the contrast is measured by.
        diameter : float, optional
            Of a typical object, in pixels.

        Raises
        ------
        ImageError
            If there are too many channels, or one does not fit this image.
        """
        if len(others) >= MAX_CHANNELS or (others and self.rgb):
            what = "it is in colour" if self.rgb else f"{MAX_CHANNELS} are the most"
            raise ImageError(f'"{self.name}" cannot have so many channels: {what}')
        for other in others:
            if other.rgb or other.shape != self.shape:
                raise ImageError(
                    f'"{other.name}" cannot be a channel beside "{self.name}": '
                    f"{_sides(other)} are not {_sides(self)}"
                )
        return replace(
            self,
            others=tuple(other.data for other in others),
            mode=mode,
            ranges=None if ranges is None else tuple(ranges),
            percentiles=percentiles,
            diameter=diameter,
            # The levels of the other images may be others.
            coarser=() if others else self.coarser,
        )

    def holds(self, layer: Any) -> bool:
        """Whether this is still what the layer shows."""
        data = layer.data[0] if layer.multiscale else layer.data
        return data is self.data

    @property
    def stack_shape(self) -> tuple[int, ...]:
        """Lengths of `stack_axes`."""
        return self.shape[:-2]

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.shape[-2:]
        return height, width

    @property
    def is_large(self) -> bool:
        """Whether planes are read part by part."""
        return is_large(self.plane_shape)

    def __len__(self) -> int:
        return math.prod(self.stack_shape)

    def read(
        self, index: tuple[int, ...], box: IntBox | None = None
    ) -> npt.NDArray[Any]:
        """Read one plane, or a part (y0, x0, y1, x1) of it.

        Returns
        -------
        array, (H, W), or (H, W, C) of colour or several channels

        Raises
        ------
        ImageError
            If whatever is behind the layer cannot deliver it.
        """
        try:
            part: tuple[int | slice, ...] = index
            if box is not None:
                y0, x0, y1, x1 = box
                part = (*index, slice(y0, y1), slice(x0, x1))
            read = [np.asarray(data[part]) for data in (self.data, *self.others)]
            self._check(read, index, box)
            return np.stack(read, axis=-1) if self.others else read[0]
        except (NapariSamError, MemoryError):
            raise
        except Exception as error:  # readers raise nearly anything
            where = ", ".join(map(str, index))
            raise ImageError(
                f'the pixels of "{self.name}" at ({where}) cannot be read ({error}): '
                "check that the file behind this layer is still there"
            ) from error

    def _check(
        self,
        read: Sequence[npt.NDArray[Any]],
        index: tuple[int, ...],
        box: IntBox | None,
    ) -> None:
        """Refuse what is of another size than it was."""
        y0, x0, y1, x1 = (0, 0, *self.plane_shape) if box is None else box
        wanted = (y1 - y0, x1 - x0)
        other = next((one.shape for one in read if one.shape[:2] != wanted), None)
        if other is not None:
            where = ", ".join(map(str, index))
            now, before = (" × ".join(map(str, one[:2])) for one in (other, wanted))
            raise ImageError(
                f'the pixels of "{self.name}" at ({where}) are {now} now, not '
                f"{before}: the file behind this layer was replaced, open it again"
            )

    def contrast(self) -> Normalization:
        """Return what becomes dark and bright, measured where nobody has said it."""
        if self.ranges is not None:
            return Normalization("stack", self.ranges)
        return self.normalization(self.mode)

    def normalization(self, mode: Mode) -> Normalization:
        """Find the contrast from at most 16 evenly spaced planes.

        Of large ones from fixed blocks in them. Planes that cannot be read do not
        count.

        Raises
        ------
        ImageError
            If none can be read.
        """
        return fit_normalization(
            self._sample(), rgb=self.rgb, mode=mode, percentiles=self.percentiles
        )

    def _sample(self) -> Iterator[npt.NDArray[Any]]:
        count, trouble, any_read = min(len(self), _SAMPLED_PLANES), None, False
        for flat in np.linspace(0, len(self) - 1, count).round().astype(int):
            where = np.unravel_index(flat, self.stack_shape) if self.stack_axes else ()
            index = tuple(int(i) for i in where)
            try:
                yield from self._looked_at(index)
                any_read = True
            except ImageError as error:
                trouble = trouble or error
        if trouble is not None and not any_read:
            raise trouble

    def _looked_at(self, index: tuple[int, ...]) -> Iterator[npt.NDArray[Any]]:
        """Yield what of a plane decides about the contrast."""
        if self.is_large:
            yield from (self.read(index, b) for b in sample_boxes(self.plane_shape))
        else:
            yield self.read(index)

    def check_axes(self) -> None:
        """Refuse what other rooms would understand otherwise.

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

    def stack(self) -> ImageStack:
        """Return the same image as other rooms see it.

        Raises
        ------
        ImageError
            If it has axes besides time and depth.
        """
        self.check_axes()
        axes = self.stack_axes + "YX" + "S" * self.rgb
        return open_image(self.data, axes=axes, name=self.name)

    def plane(self, index: tuple[int, ...], normalization: Normalization) -> Plane:
        """Return one plane as a model sees it; a large one is read part by part."""
        if not self.is_large:
            return make_plane(
                self.read(index),
                normalization,
                rgb=self.rgb,
                index=index,
                diameter=self.diameter,
            )
        if normalization.ranges is None:
            normalization = fit_normalization(
                self._looked_at(index),
                rgb=self.rgb,
                percentiles=normalization.percentiles,
            )
        return self._lazy(index, normalization)

    def _lazy(self, index: tuple[int, ...], normalization: Normalization) -> LargePlane:
        axes = len(self.shape)
        smaller = (
            (factor, replace(self, data=level, shape=level.shape[:axes], coarser=()))
            for factor, level in self.coarser
        )
        return lazy_plane(
            partial(self.read, index),
            self.plane_shape,
            normalization,
            rgb=self.rgb,
            index=index,
            diameter=self.diameter,
            coarser=tuple((f, one._lazy(index, normalization)) for f, one in smaller),
        )


def _sides(source: Source) -> str:
    colour = " in colour" if source.rgb else ""
    return f"{' × '.join(map(str, source.shape))} pixels{colour}"


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
