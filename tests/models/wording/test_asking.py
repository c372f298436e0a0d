"""Words as people type them, and which detectors can be asked for any."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from napari_sam import load_detector
from napari_sam.models.wording.asking import (
    MOST,
    NOTHING,
    Asked,
    can_be_asked,
    check_words,
    split_words,
)
from napari_sam.types import ModelError

READS = "detector.backbone.language_backbone.encoder.token_embedding.weight"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        (" , ;\n", ()),
        ("nucleus", ("nucleus",)),
        ("blue   cell,nucleus", ("blue cell", "nucleus")),
        ("Nucleus, nucleus,NUCLEUS", ("Nucleus",)),
        ("核，细胞、 Zellkern; ядро", ("核", "细胞", "Zellkern", "ядро")),
    ],
)
def test_words_are_read_as_they_are_typed(text, words):
    assert split_words(text) == words
    assert check_words(words) == words


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["cell", " "], "a word is empty"),
        (["cell", "Cell"], "there twice"),
        (["a" * 300], "is too long"),
        ([f"word {i}" for i in range(MOST + 1)], "101 words are too many"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(words, problem):
    with pytest.raises(ModelError, match=problem):
        check_words(words)
    with pytest.raises(ModelError, match=problem):
        load_detector("nuclei", words=words)


def test_sam3_can_be_asked_for_words_and_examples(tmp_path):
    sam3 = Asked(words=True, alone=False, examples=True)
    torch.save({"model": {READS: torch.zeros(2)}}, tmp_path / "mine.pt")
    assert can_be_asked(tmp_path / "mine.pt") == sam3
    save_file({READS: torch.zeros(2)}, tmp_path / "mine.safetensors")
    assert can_be_asked(tmp_path / "mine.safetensors") == sam3


def test_others_cannot_be_asked_for_anything(tmp_path):
    torch.save({"a": torch.zeros(2)}, tmp_path / "other.pt")
    (tmp_path / "page.pt").write_text("<html>")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "other.pt").read_bytes()[:90])
    (tmp_path / "boxes.csv").write_text("label,y0,x0,y1,x1\n")
    names = ("other.pt", "page.pt", "cut.pt", "boxes.csv", "none.pt", "")
    for name in names:
        assert can_be_asked(tmp_path / name) == NOTHING
    assert can_be_asked("nuclei") == can_be_asked("yoloe-11s") == NOTHING


def test_asking_needs_no_torch():
    code = (
        "import sys; from napari_sam.models.wording.asking import can_be_asked; "
        "can_be_asked('sam3.pt'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "False"
