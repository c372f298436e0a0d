from __future__ import annotations

import math

import pytest

from napari_sam.images.units import parse_length, physical_size


@pytest.mark.parametrize(
    ("axis", "size", "unit", "expected"),
    [
        ("X", 0.5, "µm", (0.5, "micrometer")),
        ("X", 0.5, "μm", (0.5, "micrometer")),
        ("X", 0.5, "microns", (0.5, "micrometer")),
        ("X", "250", "nm", (0.25, "micrometer")),
        ("X", 2, "Millimetre", (2000.0, "micrometer")),
        ("X", 1, "inch", (25400.0, "micrometer")),
        ("Y", 0.5, "\\u00B5m", (0.5, "micrometer")),
        ("T", 2, "min", (120.0, "second")),
        ("T", 500, "ms", (0.5, "second")),
        ("T", 1, "hours", (3600.0, "second")),
        ("X", 1, "pixel", None),
        ("X", 1, "s", None),
        ("T", 1, "µm", None),
        ("X", 0, "µm", None),
        ("X", -1, "µm", None),
        ("X", math.inf, "µm", None),
        ("X", math.nan, "µm", None),
        ("X", "wide", "µm", None),
        ("X", None, "µm", None),
        ("X", 1, None, None),
    ],
)
def test_sizes(
    axis: str, size: object, unit: object, expected: tuple[float, str] | None
) -> None:
    found = physical_size(axis, size, unit)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert found[0] == pytest.approx(expected[0])
        assert found[1] == expected[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (12, (12.0, None)),
        ("12.5", (12.5, None)),
        ("12 px", (12.0, None)),
        ("8um", (8.0, "micrometer")),
        ("8 µm", (8.0, "micrometer")),
        ("250nm", (0.25, "micrometer")),
        ("1e-2 mm", (10.0, "micrometer")),
    ],
)
def test_lengths(text: float | str, expected: tuple[float, str | None]) -> None:
    value, unit = parse_length(text)
    assert value == pytest.approx(expected[0])
    assert unit == expected[1]


@pytest.mark.parametrize("text", ["", "um", "0", "-3", "1.2.3", "8 apples", "3 s"])
def test_what_is_no_length(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_length(text)
