"""ultralytics comes in without its side effects, and its files without their code."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
import torch

from napari_sam.models.ultra import load_ultralytics, load_yolo_module, quiet


def run(code: str, home: Path, **environment: str) -> dict[str, object]:
    """Run code in a process with an empty home folder and return what it prints."""
    dropped = ("OMP_", "YOLO_", "QT_QPA_P", "XDG_", "ULTRALYTICS", "PYTEST")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    kept |= {"HOME": str(home), "USERPROFILE": str(home), **environment}
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=kept,
        cwd=home,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


STATE = """
    import json, logging, os, sys, warnings
    import cv2, numpy, torch
    from PIL import Image

    def state():
        return {
            "environment": dict(os.environ),
            "threads": [torch.get_num_threads(), cv2.getNumThreads()],
            "printing": [str(torch.rand(1, 50) * 0), str(numpy.ones(2) / 3)],
            "warnings": str(warnings.filters),
            "functions": str([Image.open, torch.save, cv2.imread, cv2.imshow]),
            "logging": logging.getLogger().level,
        }

    # cv2 sets these two itself.
    for name in ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR"):
        os.environ.pop(name, None)
    before = state()
"""


def test_importing_it_changes_nothing_in_the_process(tmp_path):
    code = (
        STATE
        + """
    from napari_sam.models.ultra import load_ultralytics
    load_ultralytics("ultralytics.models.sam.build")
    load_ultralytics("ultralytics.nn.tasks")
    assert "ultralytics.nn.tasks" in sys.modules
    print(json.dumps([before, state()]))
    """
    )
    before, after = run(code, tmp_path)
    assert before == after
    assert not list(tmp_path.iterdir())


def test_imported_before_torch_it_does_not_take_its_threads_away(tmp_path):
    code = """
    import json, os
    from napari_sam.models.ultra import load_ultralytics
    load_ultralytics()
    import torch
    assert "OMP_NUM_THREADS" not in os.environ
    assert "QT_QPA_FONTDIR" not in os.environ  # cv2 sets it
    plugins = os.environ["QT_QPA_PLATFORM_PLUGIN_PATH"]  # cv2 replaces it
    print(json.dumps([torch.get_num_threads(), plugins]))
    """
    alone = "import torch, json; print(json.dumps(torch.get_num_threads()))"
    chosen = str(tmp_path)
    found = run(code, tmp_path, QT_QPA_PLATFORM_PLUGIN_PATH=chosen)
    assert found == [run(alone, tmp_path), chosen]


def test_what_another_plugin_has_imported_is_switched_off_too(tmp_path):
    code = """
    import json, os, types
    os.environ["YOLO_OFFLINE"] = "1"
    import ultralytics.utils.checks
    from ultralytics.utils import SETTINGS, events
    for module in (ultralytics.utils, ultralytics.utils.checks, events):
        module.ONLINE = module.AUTOINSTALL = True
    events.events.enabled = True
    events.events.t = 2e9  # the last time that something was sent: just now
    settings = SETTINGS.file.read_text()

    def queued():
        what = types.SimpleNamespace(mode="predict", task="detect", model="yolo11n.pt")
        events.events(what, "cpu")
        return len(events.events.events)

    before = queued()
    from napari_sam.models.ultra import load_ultralytics
    load_ultralytics()
    on = [ultralytics.utils.ONLINE, ultralytics.utils.checks.AUTOINSTALL, events.ONLINE]
    assert SETTINGS.file.read_text() == settings
    print(json.dumps([before, queued(), on, SETTINGS["sync"]]))
    """
    assert run(code, tmp_path) == [1, 0, [False] * 3, False]


def test_the_users_settings_are_read_and_not_written(tmp_path):
    code = """
    import json
    from napari_sam.models.ultra import load_ultralytics
    settings = load_ultralytics().SETTINGS
    print(json.dumps([settings["weights_dir"], settings["sync"]]))
    """
    folder = tmp_path / ".config" / "Ultralytics"
    folder.mkdir(parents=True)
    text = json.dumps({"weights_dir": "/mine", "sync": True})
    (folder / "settings.json").write_text(text)
    assert run(code, tmp_path, XDG_CONFIG_HOME=str(folder.parent)) == ["/mine", False]
    assert (folder / "settings.json").read_text() == text


def test_nothing_is_said_and_threads_stay_while_it_works(capfd):
    load_ultralytics()
    logger = logging.getLogger("ultralytics")
    level, threads = logger.level, torch.get_num_threads()
    try:
        logger.setLevel(logging.INFO)
        with quiet():
            logger.error("an unimportant remark")
            torch.set_num_threads(threads + 1)
        assert logger.level == logging.INFO
    finally:
        logger.setLevel(level)
    assert torch.get_num_threads() == threads
    assert capfd.readouterr() == ("", "")


def test_two_threads_that_import_it_at_once_get_along():
    got: list[object] = []
    threads = [
        threading.Thread(target=lambda: got.append(load_ultralytics().__name__))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == ["ultralytics"] * 4


@pytest.fixture(scope="module")
def yolo(tmp_path_factory):
    """A detector as ultralytics saves it, with official files' features."""
    tasks = load_ultralytics("ultralytics.nn.tasks")
    module = tasks.DetectionModel("yolo11n.yaml", nc=2, verbose=False)
    module.names = {0: "cell", 1: "nucleus"}
    module.stride = torch.tensor([8.0, 16.0, 32.0])
    path = tmp_path_factory.mktemp("yolo") / "best.pt"
    checkpoint = {
        "epoch": -1,
        "model": None,
        "ema": module.half(),
        "train_args": {"imgsz": 320, "data": Path("cells.yaml"), "task": "detect"},
        "train_metrics": {"fitness": torch.tensor(0.5).double().numpy()[()]},
        "version": "8.4.0",
    }
    torch.save(checkpoint, path)
    return path


@pytest.mark.parametrize(
    "name", ["best.pt", "yolov5s.pt", "it's mine (1).pt", "UPPER.PT", "weights.bin"]
)
def test_a_detector_is_loaded_whatever_its_name(yolo, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(yolo.read_bytes())
    found = load_yolo_module(Path(name))
    assert found.names == ("cell", "nucleus")
    assert (found.task, found.stride, found.imgsz) == ("detect", 32, 320)
    assert not found.module.training
    assert {p.dtype for p in found.module.parameters()} == {torch.float32}
    saved = torch.load(yolo, weights_only=False)["ema"].float().state_dict()
    assert all(torch.equal(t, saved[k]) for k, t in found.module.state_dict().items())
    with torch.inference_mode():
        assert found.module(torch.zeros(1, 3, 64, 64))[0].shape[:2] == (1, 6)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("task", ["segment", "obb", "pose", "classify"])
def test_every_task_is_told(task, tmp_path):
    tasks = load_ultralytics("ultralytics.nn.tasks")
    classes = {
        "segment": (tasks.SegmentationModel, "yolo11n-seg.yaml"),
        "obb": (tasks.OBBModel, "yolo11n-obb.yaml"),
        "pose": (tasks.PoseModel, "yolo11n-pose.yaml"),
        "classify": (tasks.ClassificationModel, "yolo11n-cls.yaml"),
    }
    make, config = classes[task]
    module = make(config, nc=1, verbose=False)
    module.names = {0: "cell"}
    torch.save({"model": module, "train_args": {}}, tmp_path / "a.pt")
    assert load_yolo_module(tmp_path / "a.pt").task == task
