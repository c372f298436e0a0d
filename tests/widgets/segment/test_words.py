from datetime import datetime
from types import SimpleNamespace

import numpy as np
import pytest

from napari_sam.live.values import Suggestion
from napari_sam.types import Candidates, Mask
from napari_sam.widgets.segment import words


def candidates(*sizes):
    return Candidates(
        tuple(
            Mask((0, 0, n, n), np.ones((n, n), bool), score=0.5 + n / 100)
            for n in sizes
        )
    )


def said(*suggestions, current=None):
    known = {one.key: one for one in suggestions}
    return words.suggestion(known, current)


def status(phase, *, seconds=0.0, model="pocket", device="cpu", error=""):
    return SimpleNamespace(
        phase=phase, seconds=seconds, model=model, device=device, error=error
    )


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (status("loading", device=""), "Loading “Built-in model”…"),
        (status("preparing"), "Preparing this slice on the processor…"),
        (
            status("preparing", seconds=12, device="cuda:0"),
            "Preparing this slice on the graphics card, 12 s so far…",
        ),
        (status("answering"), "Outlining on the processor…"),
        (status("ready"), "Ready. Built-in model on the processor."),
        (status("ready", model="/a/vit_b.pth"), "Ready. vit_b.pth on the processor."),
        (status("failed", error="No."), "⚠ No."),
    ],
)
def test_what_runs(state, text):
    assert words.status(state, "Z") == text


def test_a_single_image_is_no_slice():
    assert words.status(status("preparing"), "").startswith("Preparing this image")
    assert words.status(status("preparing"), "T").startswith("Preparing this frame")
    assert "Open an image first" in words.status(status("no image"), "")


def test_a_suggestion_has_a_size_and_a_confidence():
    one = Suggestion("a", (), (), candidates(3, 9, 20), choice=1, waiting=False)
    assert said(one, current="a") == "Suggestion 2 of 3 (medium): confidence 0.59."
    one = Suggestion("a", (), (), candidates(9, 3), choice=1, waiting=False)
    assert "2 of 2 (small)" in said(one, current="a")
    one = Suggestion("a", (), (), candidates(9), waiting=False)
    assert said(one, current="a") == "Suggestion: confidence 0.59."


def test_several_open_suggestions_are_counted():
    one = Suggestion("a", (), (), candidates(9), waiting=False)
    others = [Suggestion(n, (), (), candidates(9), waiting=False) for n in range(2)]
    assert said(one, *others, current="a").endswith(" 2 more are open.")
    assert said(one, others[0], current="a").endswith(" 1 more is open.")


def test_no_answer_is_said_as_a_sentence():
    one = Suggestion("a", (), (), error="nothing found there", waiting=False)
    assert said(one, current="a") == "⚠ Nothing found there."
    assert said(Suggestion("a", (), ()), current="a") == "Outlining…"
    assert said() == "Click on an object."


def test_how_many_objects_there_are():
    assert words.objects(0, "a") == ""
    assert words.objects(1, "a") == "1 object in the layer “a”."
    assert words.objects(1234, "a") == "1,234 objects in the layer “a”."


def test_what_could_be_restored():
    text = words.left_behind(datetime(2026, 3, 1, 9, 5), 41)
    assert "41 objects" in text
    assert "01 March 2026 at 09:05" in text


def test_what_undo_takes_back():
    assert words.undo_tip("", "Ctrl+Z") == "Nothing to take back (Ctrl+Z)"
    assert "add object 3" in words.undo_tip("Add object 3", "Ctrl+Z")
    assert words.undo_tip("Click", "K", redo=True) == "Do again: click (K)"


def test_no_jargon():
    text = " ".join(words.HINT).lower()
    for word in ("prompt", "mask", "embedding", "tile", "pocket", "decoder"):
        assert word not in text
