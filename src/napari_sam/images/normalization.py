"""How raw intensities become the uint8 RGB pixels that a model sees.

The choice is data (`Normalization`): it is shown, saved with every result, and
by default the same for all planes of a stack, so that an object looks the same
to the model wherever it lies.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from napari_sam.images.planes import LargePlane, Plane, is_large
from napari_sam.types import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from napari_sam.types import IntBox

Mode = Literal["stack", "plane"]
PERCENTILES: Final = (0.5, 99.8)
"""In percent: what becomes dark, and what bright."""

# At most this many pixels of a plane enter the percentiles: far more than
# percentiles of this kind need, and a bound on time for very large planes.
_SAMPLE = 1_000_000


@dataclass(frozen=True, slots=True)
class Normalization:
    """Contrast ranges, and how they were found.

    Attributes
    ----------
    mode : {"stack", "plane"}
        "stack": `ranges` hold for every plane. "plane": each plane gets
        ranges from its own percentiles (bleaching, depth loss).
    ranges : tuple of (low, high), optional
        One for each channel in raw intensities, or a single one for all;
        low maps to 0, high to 255. None in mode "plane".
    percentiles : (low, high)
        In percent; what the ranges are, or were, taken from.
    """

    mode: Mode = "stack"
    ranges: tuple[tuple[float, float], ...] | None = None
    percentiles: tuple[float, float] = PERCENTILES

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Normalization:
        """Rebuild what `to_dict` gave, also after a trip through JSON."""
        ranges = values["ranges"]
        low, high = values["percentiles"]
        return cls(
            values["mode"],
            None if ranges is None else tuple((float(a), float(b)) for a, b in ranges),
            (float(low), float(high)),
        )


def fit_normalization(
    planes: Iterable[npt.NDArray[Any]],
    *,
    rgb: bool = False,
    mode: Mode = "stack",
    percentiles: tuple[float, float] = PERCENTILES,
) -> Normalization:
    """Find contrast ranges for planes that belong together.

    Parameters
    ----------
    planes : iterable of arrays, shape (H, W) or (H, W, C)
        A sample of the stack, in raw intensities.
    rgb : bool
        The last axis is colour: 8-bit colours are kept as they are, others
        share one range, so that hues stay what they were.
    mode : {"stack", "plane"}
        With "plane" nothing is measured here.
    percentiles : (low, high)
        In percent.

    Returns
    -------
    Normalization
        A plane without any finite value gives the empty range (0, 0), which
        maps everything to black.
    """
    if mode == "plane":
        return Normalization("plane", None, percentiles)
    return Normalization("stack", _measured(planes, rgb, percentiles), percentiles)


def _measured(
    planes: Iterable[npt.NDArray[Any]], rgb: bool, percentiles: tuple[float, float]
) -> tuple[tuple[float, float], ...]:
    samples: list[npt.NDArray[Any]] = []
    for plane in planes:
        pixels = _with_channels(plane)
        if rgb and pixels.dtype == np.uint8:
            return ((0.0, 255.0),)
        step = max(1, int(np.ceil(np.sqrt(pixels[..., 0].size / _SAMPLE))))
        sample = pixels[::step, ::step]
        samples.append(sample.reshape(-1, sample.shape[-1]))
    if not samples:
        raise ImageError("there is no plane to take the contrast from")
    values = np.concatenate(samples)
    columns = [values.reshape(-1)] if rgb else list(values.T)
    return tuple(_percentile_range(column, percentiles) for column in columns)


def make_plane(
    image: npt.NDArray[Any],
    normalization: Normalization | None = None,
    *,
    rgb: bool | None = None,
    index: tuple[int, ...] = (),
    diameter: float | None = None,
) -> Plane:
    """Turn one raw plane into the pixels that a model sees.

    Those of a large one are made where they are looked at, see `LargePlane`.

    Parameters
    ----------
    image : array, shape (H, W) or (H, W, C) with C <= 4
        Any real dtype. One channel becomes grey, two become red and green,
        three red, green and blue. NaN counts as dark, +inf as bright.
    normalization : Normalization, optional
        By default this plane's own percentiles.
    rgb : bool, optional
        Whether the last axis is colour (a fourth channel is alpha and is
        dropped). By default: uint8 with three or four channels is.
    index : tuple of int
    diameter : float, optional
        Both are kept in the result.

    Raises
    ------
    ImageError
        If the array is no plane: complex, empty, or of another shape.
    """
    pixels = _with_channels(image)
    if rgb is None:
        rgb = pixels.dtype == np.uint8 and pixels.shape[-1] in (3, 4)
    if rgb or pixels.shape[-1] == 4:
        pixels = pixels[..., :3]
    ranges = None if normalization is None else normalization.ranges
    percentiles = (normalization or Normalization()).percentiles
    if ranges is None:
        ranges = _measured([pixels], rgb, percentiles)
    if normalization is None:
        normalization = Normalization("stack", ranges, percentiles)
    count = pixels.shape[-1]
    if len(ranges) not in (1, count):
        raise ImageError(
            f"the contrast is given for {len(ranges)} channels, the plane has {count}"
        )
    shape = pixels.shape[:2]
    if not is_large(shape):
        return Plane(_painted(pixels, ranges), index, normalization, diameter)

    def paint(box: IntBox) -> npt.NDArray[np.uint8]:
        y0, x0, y1, x1 = box
        return _painted(pixels[y0:y1, x0:x1], ranges)

    return LargePlane(paint, shape, index, normalization, diameter)


def lazy_plane(
    read: Callable[[IntBox], npt.NDArray[Any]],
    shape: tuple[int, int],
    normalization: Normalization,
    *,
    rgb: bool,
    index: tuple[int, ...] = (),
    diameter: float | None = None,
    coarser: Sequence[tuple[int, Plane]] = (),
) -> LargePlane:
    """Return a plane that is read part by part.

    Parameters
    ----------
    read : callable
        Returns a part (y0, x0, y1, x1) in raw intensities, (h, w) or (h, w, C).
    shape : (H, W)
    normalization : Normalization
        With its ranges.
    rgb, index, diameter
        See `make_plane`.
    coarser : sequence of (int, Plane)
        See `Plane`.
    """

    def paint(box: IntBox) -> npt.NDArray[np.uint8]:
        return make_plane(read(box), normalization, rgb=rgb, index=index).pixels

    return LargePlane(paint, shape, index, normalization, diameter, coarser)


def _painted(
    pixels: npt.NDArray[Any], ranges: tuple[tuple[float, float], ...]
) -> npt.NDArray[np.uint8]:
    """Return colours (H, W, 3) of raw intensities (H, W, C), C from 1 to 3."""
    count = pixels.shape[-1]
    scaled = [_to_uint8(pixels[..., c], *ranges[c % len(ranges)]) for c in range(count)]
    if count == 1:
        scaled = scaled * 3
    elif count == 2:
        scaled.append(np.zeros_like(scaled[0]))
    return np.stack(scaled, axis=-1)


def _with_channels(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array = np.asarray(image)
    if array.dtype.kind not in "buif":
        raise ImageError(f"pixels must be real numbers, not {array.dtype}")
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or not 1 <= array.shape[-1] <= 4 or array.size == 0:
        raise ImageError(
            f"a plane is (H, W) or (H, W, C) with at most 4 channels, "
            f"not {np.shape(image)}"
        )
    return array


def _percentile_range(
    values: npt.NDArray[Any], percentiles: tuple[float, float]
) -> tuple[float, float]:
    if values.dtype == np.bool_:
        return 0.0, 1.0
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    if values.size == 0:
        return 0.0, 0.0
    low, high = (float(v) for v in np.percentile(values, percentiles))
    if low == high:
        # Fewer bright pixels than the percentiles see: take what there is.
        low, high = float(values.min()), float(values.max())
    return low, high


def _to_uint8(
    channel: npt.NDArray[Any], low: float, high: float
) -> npt.NDArray[np.uint8]:
    if not high > low:
        return np.zeros(channel.shape, np.uint8)
    if channel.dtype == np.uint8 and (low, high) == (0.0, 255.0):
        return channel
    # float64 keeps 32-bit integers and microscopes' large offsets exact.
    kind = np.dtype(np.float32 if channel.dtype.itemsize <= 2 else np.float64)
    scaled = (channel.astype(kind) - low) * (255.0 / (high - low))
    scaled = np.nan_to_num(scaled, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
    pixels: npt.NDArray[np.uint8] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return pixels
