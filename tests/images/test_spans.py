"""Pairs of numbers as people write them."""

import pytest

from napari_sam.images.spans import parse_spans, span_text


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("100 to 4000", ((100, 4000),)),
        ("100-4000", ((100, 4000),)),
        ("0.5:99.8", ((0.5, 99.8),)),
        ("-20 – -3, 1e2 TO 2e3", ((-20, -3), (100, 2000))),
        ("100 4000", ((100, 4000),)),
    ],
)
def test_pairs_are_read(text, spans):
    assert parse_spans(text) == spans
    assert parse_spans(span_text(spans)) == spans


@pytest.mark.parametrize(
    "text", ["", "100", "4000 to 100", "7:7", "a:b", "1:2,", "1:2:3"]
)
def test_what_is_no_pair_is_refused(text):
    with pytest.raises(ValueError, match="a lower and a higher number"):
        parse_spans(text)
