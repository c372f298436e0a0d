"""Pictures of an image with the outlines of what was found and what is true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from skimage.measure import find_contours, regionprops

from napari_sam.records.files import atomic_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Labels = npt.NDArray[Any]
Line = list[tuple[float, float]]
Size = tuple[int, int]

_PAGE, _INK, _FOUND, _TRUTH = "#1c1e22", "#f2f2f2", "#ff8c1a", "#3de0ff"
_MARGIN, _TITLE, _TEXT = 18, 26, 18
# Lines are drawn this much larger and scaled down, which makes them smooth.
_FINE = 3
# Pixels of the finished picture.
_LINE, _DASH = 2, 5


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """One plane of a picture.

    Attributes
    ----------
    pixels : uint8 array, shape (H, W, 3)
    found, truth : integer arrays, shape (H, W), optional
        Labels to outline; left out, the plane is shown as it is.
    name : str
        Written under the panel.
    """

    pixels: npt.NDArray[np.uint8]
    found: Labels | None = None
    truth: Labels | None = None
    name: str = ""


def save_picture(
    path: Path,
    panels: list[Panel],
    *,
    title: str,
    caption: str,
    columns: int,
    width: int = 1200,
) -> None:
    """Write panels of one size as a PNG with a title, a caption and a legend.

    What was found is outlined in a full orange line, the truth in a dashed
    blue one: the two differ without their colours too.
    """
    inner = (width - (columns + 1) * _MARGIN) // columns
    height, full = panels[0].pixels.shape[:2]
    size = inner, round(height * inner / full)
    named = _TEXT + 8 if any(panel.name for panel in panels) else 0
    top = _MARGIN + _TITLE + 2 * _MARGIN // 3 + _TEXT + _MARGIN
    rows = -(-len(panels) // columns)
    page = Image.new(
        "RGB", (width, top + rows * (size[1] + named + _MARGIN) + _TEXT // 2), _PAGE
    )
    draw = ImageDraw.Draw(page)
    draw.text((_MARGIN, _MARGIN), title, _INK, _font(_TITLE), anchor="lt")
    line = _MARGIN + _TITLE + 2 * _MARGIN // 3
    draw.text((_MARGIN, line), caption, _INK, _font(_TEXT), anchor="lt")
    _draw_legend(draw, width - _MARGIN, line)
    for number, panel in enumerate(panels):
        x = _MARGIN + number % columns * (inner + _MARGIN)
        y = top + number // columns * (size[1] + named + _MARGIN)
        page.paste(render(panel, size), (x, y))
        draw.text((x, y + size[1] + 6), panel.name, _INK, _font(_TEXT), anchor="lt")
    with atomic_file(path) as file:
        page.save(file, "PNG", optimize=True)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _draw_legend(draw: ImageDraw.ImageDraw, right: int, y: int) -> None:
    """Explain the lines, ending at `right`."""
    middle = y + _TEXT // 2
    for name, colour, dashed in (("truth", _TRUTH, True), ("found", _FOUND, False)):
        right -= round(draw.textlength(name, _font(_TEXT)))
        draw.text((right, y), name, _INK, _font(_TEXT), anchor="lt")
        sample = [(float(x), float(middle)) for x in range(right - 48, right - 8)]
        for part in _dashes(sample, _DASH) if dashed else [sample]:
            draw.line(part, colour, _LINE + 1)
        right -= 48 + _MARGIN


def render(panel: Panel, size: Size) -> Image.Image:
    """Draw one panel as a picture of (width, height)."""
    picture = Image.fromarray(panel.pixels)
    picture = picture.resize(size, Image.Resampling.BICUBIC)
    if panel.found is None and panel.truth is None:
        return picture
    picture = picture.resize((size[0] * _FINE, size[1] * _FINE))
    draw = ImageDraw.Draw(picture)
    zoom = picture.width / panel.pixels.shape[1]
    if panel.found is not None:
        for line in _outlines(panel.found, zoom):
            draw.line(line, _FOUND, _LINE * _FINE, joint="curve")
    if panel.truth is not None:
        for line in _outlines(panel.truth, zoom):
            for part in _dashes(line, _DASH * _FINE):
                draw.line(part, _TRUTH, _LINE * _FINE, joint="curve")
    return picture.resize(size, Image.Resampling.LANCZOS)


def fitted(shape: tuple[int, ...], side: int) -> Size:
    """Return width and height of a picture of pixels whose longer side is `side`."""
    height, width = shape[:2]
    longer = max(height, width)
    return max(1, round(width * side / longer)), max(1, round(height * side / longer))


def _outlines(labels: Labels, zoom: float) -> Iterator[Line]:
    """Yield the outlines of all objects as (x, y) in the enlarged picture."""
    for region in regionprops(labels.astype(np.int64, copy=False)):
        y0, x0 = region.bbox[:2]
        for contour in find_contours(np.pad(region.image, 1), 0.5):
            # Padding moves by one pixel, a pixel's centre lies half a one in.
            yx = (contour + np.array([y0 - 0.5, x0 - 0.5])) * zoom
            yield [(float(x), float(y)) for y, x in yx]


def _dashes(line: Line, length: float) -> Iterator[Line]:
    """Cut a line into pieces of `length` and yield every other one."""
    points = np.asarray(line)
    steps = np.hypot(*np.diff(points, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    for start in np.arange(0.0, along[-1], 2 * length):
        stop = min(start + length, along[-1])
        between = along[(along > start) & (along < stop)]
        where = np.concatenate([[start], between, [stop]])
        x, y = (np.interp(where, along, points[:, axis]) for axis in (0, 1))
        yield list(zip(x.tolist(), y.tolist(), strict=True))
