"""The report in a browser: keys, buttons, answers that are kept and saved."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_sam.data import FOLDER
from napari_sam.records.page import write_report
from napari_sam.records.run import run
from napari_sam.segment.recipe import Recipe

pytestmark = pytest.mark.window
ANSWERS = ["right", "right", "wrong", "cannot say", "right"]


def test_objects_are_judged_with_keys_and_the_answers_saved(tmp_path):
    run([FOLDER / "images" / "fluorescence.tif"], tmp_path / "out", Recipe())
    report = write_report(tmp_path / "out", None, seed=0, images=1)
    downloads = tmp_path / "saved"
    downloads.mkdir()
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("judging.py"), report, downloads],
        capture_output=True,
        text=True,
        env=os.environ | {"QTWEBENGINE_DISABLE_SANDBOX": "1"},  # root has none
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    answers = json.loads((downloads / "answers.json").read_text("utf-8"))
    total = len(answers["objects"])
    assert total > 20

    begun = f"0 of {total} looked at: 0 right, 0 wrong, 0 cannot say."
    judged = f"5 of {total} looked at: 3 right, 1 wrong, 1 cannot say. Precision 75.0 %"
    assert said["opened"] == {"verdict": begun, "at": -1, "bare": ""}
    assert said["begun"] == {"verdict": begun, "at": 0, "bare": ""}
    assert said["judged"]["verdict"].startswith(judged)
    assert said["judged"]["at"] == 5
    assert said["hidden"]["bare"] == "bare"
    # Another look at the page goes on where it was.
    assert said["again"]["verdict"] == said["judged"]["verdict"]
    assert said["gone on"]["at"] == 5
    assert said["forgotten"]["verdict"] == begun

    assert [one["answer"] for one in answers["objects"][:6]] == [*ANSWERS, None]
    assert (answers["right"], answers["wrong"], answers["cannot_say"]) == (3, 1, 1)
    with (downloads / "answers.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["answer"] for row in rows[:6]] == [*ANSWERS, ""]
    assert len(rows) == total
