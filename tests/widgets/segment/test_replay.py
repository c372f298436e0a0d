"""What is done in the widget is saved so that the command can do it again."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel

from napari_sam.widgets.segment.panel import Segment

SAVING = "napari_sam.widgets.segment.sections.saving"
ANSWER_MS = 60_000


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    """Keep what must not be lost where the test ends."""
    monkeypatch.setenv("NAPARI_SAM_HOME", str(tmp_path / "home"))


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Choose this folder, whatever is asked for."""
    place = tmp_path / "out"
    dialog = f"{SAVING}.QFileDialog.getExistingDirectory"
    monkeypatch.setattr(dialog, lambda *_: str(place))
    return place


def click(panel, qtbot, y, x):
    """Click as napari does: at the centre of a pixel, in its coordinates."""
    session, points = panel.bridge.session, panel.bridge.desk.prompts.points
    points.add(np.array([[*panel.bridge.desk.index, y - 0.5, x - 0.5]]))
    qtbot.waitUntil(
        lambda: (
            bool(session.suggestions)
            and not any(one.waiting for one in session.suggestions.values())
        ),
        timeout=ANSWER_MS,
    )


def save(panel, qtbot):
    panel.view.notice.clear()
    panel.view.save.click()
    qtbot.waitUntil(lambda: "saved in" in panel.view.notice.text(), timeout=ANSWER_MS)


def replay(folder, output):
    words = ["replay", str(folder), "--output", str(output)]
    kept = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    return subprocess.run(
        [sys.executable, "-m", "napari_sam.cli", *words],
        capture_output=True,
        text=True,
        env=kept,
    )


@pytest.mark.parametrize("colour", [False, True])
def test_what_was_clicked_on_a_file_is_done_again(
    frames, qtbot, tmp_path, folder, colour, no_thread_is_left
):
    path = tmp_path / "nuclei.tif"
    if colour:
        frames = np.stack([frames, frames // 2, frames], -1)
    tifffile.imwrite(path, frames, photometric="rgb" if colour else "minisblack")
    viewer = ViewerModel()
    panel = Segment(viewer)
    qtbot.addWidget(panel)
    viewer.open(path, plugin="napari")
    viewer.dims.set_current_step(0, 0)
    qtbot.waitUntil(lambda: bool(panel.bridge.keeper._print), timeout=20_000)
    for place in ((33.2, 44.2), (58.6, 10.8), (62.0, 77.7)):
        click(panel, qtbot, *place)
        panel.view.add.click()
    layer = panel.bridge.desk.labels.layer
    layer.selected_label = 2
    layer.paint((0, 40, 60), 2)
    history = panel.bridge.session.history
    qtbot.waitUntil(lambda: history.undo_text == "Paint", timeout=ANSWER_MS)
    panel.bridge.undo()
    panel.bridge.undo()
    panel.bridge.redo()
    save(panel, qtbot)
    labels = panel.bridge.session.store.labels.copy()
    panel.end()
    done = replay(folder, tmp_path / "again.tif")
    assert (done.returncode, done.stderr) == (0, "")
    assert np.array_equal(tifffile.imread(tmp_path / "again.tif"), labels)
    assert len(np.unique(labels)) >= 3
