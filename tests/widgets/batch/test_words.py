"""What the widget says."""

import re
from pathlib import Path

import pytest

import napari_sam
from napari_sam.records.trial import Tried
from napari_sam.widgets.batch import words

_SOURCES = [
    path
    for name in ("records", "segment", "images", "models")
    for path in (Path(napari_sam.__file__).parent / name).rglob("*.py")
]


def messages():
    """Return what the source says with options in it, joined as Python joins it."""
    for path in _SOURCES:
        text = re.sub(r'"\s*\n\s*f?"', "", path.read_text("utf-8"))
        yield from re.findall(r'f?"([^"\n]*--[a-z][^"\n]*)"', text)


def test_no_option_of_the_command_line_is_on_the_screen():
    said = list(messages())
    assert len(said) > 20
    for message in said:
        assert not re.search(r"--[a-z]", words.on_screen(message)), message


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "x is there: add --overwrite to replace it, or choose another folder with "
            "--output",
            "X is there: tick “Replace results that are there” to replace it, or "
            "choose another folder at “Results in”",
        ),
        ("axes must name Y and X", "Axes must name Y and X"),
    ],
)
def test_messages_are_said_in_the_words_of_the_screen(said, shown):
    assert words.on_screen(said) == shown


def test_the_time_that_all_will_take_counts_whole_slices():
    def one(seconds, planes, share):
        where = ("a.tif", "/a.tif", (0,), "Z", (0, 0, 9, 9))
        return Tried(*where, share, 3, seconds, planes, "1.png", "1_labels.tif")

    assert words.estimate([one(2, 10, 1), one(1, 10, 0.5)], 30) == (
        "All 30 images will take about 10 min."
    )
    assert words.estimate([one(0.001, 1, 1)], 2) == "All 2 images will take a moment."
    assert words.estimate([], 2) == ""
