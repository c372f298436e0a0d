"""Units of length and time, as image files write them."""

from __future__ import annotations

import math
import re

PixelSize = dict[str, tuple[float, str]]

_MICROMETERS = {
    "pm": 1e-6,
    "picometer": 1e-6,
    "å": 1e-4,
    "angstrom": 1e-4,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "µm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "micrometer": 1.0,
    "mm": 1e3,
    "millimeter": 1e3,
    "cm": 1e4,
    "centimeter": 1e4,
    "m": 1e6,
    "meter": 1e6,
    "in": 25400.0,
    "inch": 25400.0,
}
_SECONDS = {
    "ns": 1e-9,
    "nanosecond": 1e-9,
    "µs": 1e-6,
    "us": 1e-6,
    "microsecond": 1e-6,
    "ms": 1e-3,
    "msec": 1e-3,
    "millisecond": 1e-3,
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hr": 3600.0,
    "hour": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
}


def physical_size(axis: str, size: object, unit: object) -> tuple[float, str] | None:
    """Normalise one size to micrometers (space) or seconds (T).

    Returns
    -------
    tuple of (float, str), or None
        None where the file has no size that means something: not a positive
        number, or a unit that is neither a length nor a time ("pixel").
    """
    if not isinstance(size, (int, float, str)) or not isinstance(unit, str):
        return None
    try:
        value = float(size)
    except ValueError:
        return None
    plain = _plain(unit)
    table, name = (_SECONDS, "second") if axis == "T" else (_MICROMETERS, "micrometer")
    factor = table.get(plain, table.get(plain.removesuffix("s")))
    if factor is None or not math.isfinite(value) or value <= 0:
        return None
    return value * factor, name


def parse_length(text: float | str) -> tuple[float, str | None]:
    """Read a length in pixels (12, "12 px") or of space ("8 um").

    Returns
    -------
    size : float
        In pixels or micrometers.
    unit : "micrometer" or None
        None for pixels.

    Raises
    ------
    ValueError
        If it is neither, or not above 0.
    """
    found = re.fullmatch(r"\s*([\d.]+(?:e[+-]?\d+)?)\s*(\D*)", str(text))
    value = float(found[1]) if found and found[1].count(".") < 2 else math.nan
    if found is None or not math.isfinite(value) or value <= 0:
        raise ValueError("must be a length above 0, such as 12 (pixels) or 8um")
    unit = _plain(found[2])
    if unit in ("", "px", "pixel", "pixels"):
        return value, None
    known = physical_size("Y", value, unit)
    if known is None:
        raise ValueError("must be in pixels, or in a unit of length such as um")
    return known


def _plain(unit: str) -> str:
    if "\\u" in unit:  # ImageJ writes non-ASCII letters as \u00B5
        unit = unit.encode("ascii", "ignore").decode("unicode_escape")
    # The Greek letter mu and the micro sign look the same.
    return unit.strip().lower().replace("μ", "µ").replace("metre", "meter")
