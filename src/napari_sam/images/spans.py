"""Pairs of numbers as people write them: "100 to 4000", "0.5-99.8, 1:99"."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    Spans = tuple[tuple[float, float], ...]

_NUMBER: Final = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)"
_SPAN: Final = re.compile(rf"\s*{_NUMBER}\s*(?:to|[-–:]|\s)\s*{_NUMBER}\s*")


def parse_spans(text: str) -> Spans:
    """Read pairs of a lower and a higher number, with commas between the pairs.

    Raises
    ------
    ValueError
        If it is nothing of the kind.

    Examples
    --------
    >>> parse_spans("100 to 4000, -0.5:2e3")
    ((100.0, 4000.0), (-0.5, 2000.0))
    """
    found = [_SPAN.fullmatch(part) for part in text.lower().split(",")]
    spans = tuple((float(one[1]), float(one[2])) for one in found if one is not None)
    if len(spans) < len(found) or not all(low < high for low, high in spans):
        raise ValueError("must be a lower and a higher number, such as 100:4000")
    return spans


def span_text(spans: Iterable[tuple[float, float]]) -> str:
    """Write pairs so that `parse_spans` reads them again.

    Examples
    --------
    >>> span_text([(0.5, 99.8), (100, 4000)])
    '0.5 to 99.8, 100 to 4000'
    """
    return ", ".join(f"{low:.10g} to {high:.10g}" for low, high in spans)
