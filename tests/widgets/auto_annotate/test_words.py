import numpy as np
import pytest

from napari_sam.models.catalog import list_models
from napari_sam.segment.result import PlaneResult
from napari_sam.segment.table import empty_table
from napari_sam.widgets.auto_annotate import words
from napari_sam.widgets.auto_annotate.state import State


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "a moment"), (7.4, "7 s"), (42, "40 s"), (500, "8 min"), (9000, "2.5 h")],
)
def test_times(seconds, text):
    assert words.duration(seconds) == text


def test_what_a_search_will_do():
    assert "all 40 slices of “nuclei”" in words.plan(40, "Z", "nuclei")
    assert "all 6 frames" in words.plan(6, "T", "nuclei")
    assert "slice" not in words.plan(1, "", "nuclei")
    assert "Open an image first" in words.plan(0, "", "")


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (State("preparing", 0, 9), "Getting ready…"),
        (State("running", 0, 9), "Slice 1 of 9…"),
        (State("running", 3, 9, 42.0), "Slice 4 of 9, about 40 s left"),
        (State("running", 0, 1), "Finding objects…"),
        (
            State("running", 0, 1, 100.0, part=0.37),
            "Finding objects: 37 %, about 2 min left",
        ),
        (
            State("running", 2, 9, 500.0, part=0.5),
            "Slice 3 of 9: 50 %, about 8 min left",
        ),
    ],
)
def test_progress(state, text):
    assert words.progress(state, "Z") == text


@pytest.mark.parametrize(
    ("state", "objects", "text"),
    [
        (
            State("done", 9, 9),
            1234,
            "1,234 objects found in 9 slices, in the layer “a”.",
        ),
        (State("done", 1, 1), 1, "1 object found, in the layer “a”."),
        (State("done", 9, 9), 0, "No objects found in 9 slices. A lower confidence"),
        (State("stopped", 2, 9), 5, "Stopped. 5 objects in the 2 slices done so far"),
        (State("stopped", 0, 9), 0, "Stopped before anything was found."),
    ],
)
def test_outcomes(state, objects, text):
    assert words.outcome(state, objects, "Z", "a").startswith(text)


def test_a_failure_says_what_is_kept():
    assert words.failure(State("failed", 0, 9, error="No."), "Z") == "No."
    assert "of the 2 slices done before" in words.failure(State("failed", 2, 9), "Z")


def test_full_and_blank_planes_are_pointed_out():
    def plane(at, truncated, *warnings):
        labels = np.zeros((2, 2), np.uint32)
        return PlaneResult((at,), labels, empty_table(), truncated, warnings)

    results = [plane(0, True, "limit"), plane(1, False), plane(2, False, "blank")]
    full, blank = words.warnings(results, "Z", 300)
    assert "limit of 300 objects was reached in 1 slice" in full
    assert "no contrast: 1 slice of one colour" in blank


def test_no_jargon_in_the_menus():
    titles = [words.title_of(entry) for entry in list_models()]
    assert len(set(titles)) == len(titles)
    for word in ("pocket", "yolo", "detector", "embedding", "prompt"):
        assert not any(word in title.lower() for title in titles)
