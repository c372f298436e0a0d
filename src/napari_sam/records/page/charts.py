"""Charts as SVG, drawn with the colours of the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from markupsafe import Markup, escape

from napari_sam.records.page.unusual import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.records.page.values import FileStats, Histogram

_WIDTH, _HEIGHT = 640, 220
_LEFT, _TOP, _RIGHT, _BOTTOM = 56, 12, 12, 40
_BARS: Final = 24
_POINTS: Final = 120


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture, and the table that says the same.

    Attributes
    ----------
    title : str
    svg : Markup
    header : tuple of str
    rows : tuple of (str, str)
    """

    title: str
    svg: Markup
    header: tuple[str, str]
    rows: tuple[tuple[str, str], ...]


def histogram(of: Histogram, *, title: str, axis: str, whole: bool = False) -> Chart:
    """Draw how often which values are there.

    Parameters
    ----------
    of : Histogram
        Bins are merged until few enough are left.
    title, axis : str
    whole : bool
        All bins are shown, also the empty ones at the ends.
    """
    edges, counts = of.edges, of.counts
    used = np.flatnonzero(counts)
    first, last = (0, len(counts) - 1) if whole or not used.size else used[[0, -1]]
    each = -(-(last - first + 1) // _BARS)
    starts = np.arange(first, last + 1, each)
    merged = np.add.reduceat(counts[: last + 1], starts)
    ends = np.minimum(starts + each, last + 1)
    labels = [
        (number(float(edges[a])), number(float(edges[b])))
        for a, b in zip(starts, ends, strict=True)
    ]
    ticks = [(i, labels[i][0]) for i in range(0, len(labels), -(-len(labels) // 6))]
    ticks.append((len(labels), labels[-1][1]))
    svg = _bars(merged.tolist(), ticks, title, axis)
    rows = zip(labels, merged.tolist(), strict=True)
    return Chart(
        title,
        svg,
        (axis, "objects"),
        tuple((f"{low} to {high}", f"{count:,}") for (low, high), count in rows),
    )


def over_slices(file: FileStats) -> Chart:
    """Draw how many objects each slice of a stack has."""
    counts = [one.objects for one in file.slices]
    each = -(-len(counts) // _POINTS)
    parts = [counts[i : i + each] for i in range(0, len(counts), each)]
    heights = [float(np.mean(part)) for part in parts]
    names = [file.where(one.index) for one in file.slices[::each]]
    what = "time and z" if len(file.record.stack_axes) > 1 else "stack"
    axis = f"along the {what}" + (f", means of {each} slices" if each > 1 else "")
    step = -(-len(names) // 5)
    ticks = [(i + 0.5, names[i]) for i in range(0, len(names), step)]
    return Chart(
        f"Objects along {file.record.image}",
        _bars(heights, ticks, f"Objects along {file.record.image}", axis),
        ("from" if each > 1 else "where", "objects"),
        tuple(zip(names, map(number, heights), strict=True)),
    )


def _bars(
    heights: Sequence[float],
    ticks: Sequence[tuple[float, str]],
    title: str,
    axis: str,
) -> Markup:
    """Draw bars; `ticks` are places in widths of a bar, and what stands there."""
    top = max(1.0, *heights)
    across = (_WIDTH - _LEFT - _RIGHT) / len(heights)
    down = _HEIGHT - _TOP - _BOTTOM
    floor = _TOP + down
    bars = "".join(
        f'<rect x="{_LEFT + i * across + 0.5:.1f}" y="{floor - down * h / top:.1f}" '
        f'width="{max(0.5, across - 1):.1f}" height="{down * h / top:.1f}"/>'
        for i, h in enumerate(heights)
    )
    lines = "".join(
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{number(v)}</text>'
        for v, y in ((part * top, floor - part * down) for part in (0, 0.5, 1))
    )
    under = "".join(
        f'<text x="{_LEFT + place * across:.1f}" y="{floor + 16}" '
        f'text-anchor="middle">{escape(text)}</text>'
        for place, text in ticks
    )
    return Markup(
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(title)}, the table below says the same">'
        f'<g class="grid">{lines}</g><g class="bars">{bars}</g>'
        f'<g class="ticks">{under}<text x="{(_LEFT + _WIDTH) / 2}" '
        f'y="{_HEIGHT - 6}" text-anchor="middle">{escape(axis)}</text></g></svg>'
    )
