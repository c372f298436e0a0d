"""Slices and objects that are far from the others, and in which way, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from napari_sam.records.page.values import Histogram, Slice, Summary

FAR: Final = 3.5
"""Robust standard deviations from the median; usual for what is looked at again."""

_ALONE: Final = 8  # slices from which on a file is compared with itself
_FEW: Final = 5  # with fewer to compare with nothing is unusual
_NORMAL: Final = 1.4826  # makes the median deviation that of a normal distribution
_LEAST: Final = 0.1  # of logarithms of areas: 10 % is no difference


@dataclass(frozen=True, slots=True)
class Unusual:
    """A slice that is far from the others.

    Attributes
    ----------
    slice : Slice
    why : str
    far : float
        In robust standard deviations.
    """

    slice: Slice
    why: str
    far: float


def unusual_slices(summary: Summary) -> list[Unusual]:
    """Return the slices that are far from the others, the farthest first.

    Slices of a file with enough of them are compared with each other, those of the
    smaller files of a run together.
    """
    together: list[Slice] = []
    found: list[Unusual] = []
    for file in summary.files:
        if len(file.slices) < _ALONE:
            together += file.slices
        else:
            found += _of(file.slices, "slices of this file", summary.unit)
    found += _of(together, "slices", summary.unit)
    # A sorted list is stable: of equals those that come first stay first.
    return sorted(found, key=lambda one: -one.far)


def _of(slices: Sequence[Slice], others: str, unit: str) -> Iterator[Unusual]:
    if len(slices) < _FEW:
        return
    counts = np.array([one.objects for one in slices], np.float64)
    areas = np.array([one.area for one in slices])
    known = np.isfinite(areas)
    by_count = _far(counts, max(1.0, float(np.sqrt(np.median(counts)))))
    by_area = np.zeros(len(slices))
    if np.count_nonzero(known) >= _FEW:
        by_area[known] = _far(np.log(areas[known]), _LEAST)
    many = _usual(counts)
    large = _usual(areas[known]) if known.any() else ""
    for one, count, area in zip(slices, by_count, by_area, strict=True):
        reasons = []
        if abs(count) > FAR:
            what = "more" if count > 0 else "fewer"
            reasons.append(
                f"{what} objects than usual: {one.objects:,}; on half of the {others} "
                f"{many}"
            )
        if abs(area) > FAR:
            what = "larger" if area > 0 else "smaller"
            reasons.append(
                f"objects are {what} than usual: median {number(one.area)} {unit}; on "
                f"half of the {others} {large}"
            )
        if reasons:
            yield Unusual(one, "; ".join(reasons), float(max(abs(count), abs(area))))


def _far(values: npt.NDArray[np.float64], least: float) -> npt.NDArray[np.float64]:
    """Return how far values are from their median, in robust deviations."""
    off: npt.NDArray[np.float64] = values - np.median(values)
    distances: npt.NDArray[np.float64] = off / max(
        _NORMAL * float(np.median(np.abs(off))), least
    )
    return distances


def _usual(values: npt.NDArray[np.float64]) -> str:
    low, high = (number(float(v)) for v in np.percentile(values, (25, 75)))
    return low if low == high else f"{low} to {high}"


def number(value: float) -> str:
    """Write a number for people: three digits, or all before the point."""
    if np.isnan(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def times(area: float, areas: Histogram) -> str:
    """Say how large an object is beside the others; empty where it is not far."""
    centre, spread = _middle(areas)
    off = float(np.log(area)) - centre
    if abs(off) <= FAR * spread:
        return ""
    ratio = float(np.exp(abs(off)))
    return f"{ratio:.3g} times {'larger' if off > 0 else 'smaller'} than usual"


def _middle(areas: Histogram) -> tuple[float, float]:
    """Return median and robust deviation of logarithms of areas, from their bins."""
    centres = np.log(areas.edges[:-1] * areas.edges[1:]) / 2
    centre = _weighted(centres, areas.counts)
    spread = _weighted(np.abs(centres - centre), areas.counts)
    return centre, max(_NORMAL * spread, _LEAST)


def _weighted(values: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]) -> float:
    order = np.argsort(values, kind="stable")
    sums = np.cumsum(counts[order])
    return float(values[order][np.searchsorted(sums, sums[-1] / 2)])
