"""Importing, loading and predicting open no connection and start no process.

An audit hook sees what Python asks of the system, in whichever library, and stops it.
What `import torch` alone does (on Linux it runs ldconfig) is not ours to judge.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
import torch

from napari_sam.models.ultra import load_ultralytics

if TYPE_CHECKING:
    from pathlib import Path

GUARD = """
    import json, sys
    watching, seen = [], []
    FORBIDDEN = ("socket.connect", "socket.getaddrinfo", "socket.gethostby",
        "socket.sendto", "socket.bind", "urllib.Request", "http.client", "ftplib",
        "subprocess.Popen", "os.system", "os.exec", "os.spawn", "os.posix_spawn",
        "os.fork", "os.startfile")

    def guard(event, arguments):
        if watching and event.startswith(FORBIDDEN):
            seen.append(f"{event} {arguments}"[:200])
            raise OSError("not in this test")

    sys.addaudithook(guard)
    import torch, torchvision
    watching.append(True)
"""
ANNOTATE = """
    import numpy as np
    import napari_sam as ns
    image = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    for model, detector in (("pocket", "nuclei"), ("sam.pt", "yolo.pt")):
        ns.annotate(image, model=model, detector=detector, conf=1e-6, max_det=2)
    assert "ultralytics.nn.tasks" in sys.modules
    print(json.dumps(seen))
"""


def run(code: str, folder: Path, home: Path) -> list[str]:
    """Run code in a process that may be online, and return what was forbidden."""
    dropped = ("YOLO_", "ULTRALYTICS", "XDG_", "PYTEST", "GITHUB_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(GUARD) + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=kept | {"HOME": str(home), "USERPROFILE": str(home)},
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    seen: list[str] = json.loads(done.stdout.splitlines()[-1])
    return seen


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a MobileSAM and a YOLO, both with random weights."""
    folder = tmp_path / "files"
    folder.mkdir()
    builders = load_ultralytics("ultralytics.models.sam.build")
    torch.save(builders.build_mobile_sam(None).state_dict(), folder / "sam.pt")
    tasks = load_ultralytics("ultralytics.nn.tasks")
    detector = tasks.DetectionModel("yolo11n.yaml", nc=1, verbose=False)
    detector.names = {0: "cell"}
    torch.save({"model": detector}, folder / "yolo.pt")
    return folder


def test_nothing_leaves_the_machine_and_no_process_starts(folder, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    files = set(folder.iterdir())
    assert run(ANNOTATE, folder, home) == []
    assert set(folder.iterdir()) == files
    left = {path.relative_to(home).parts[0] for path in home.rglob("*")}
    assert left <= {".cache"}  # torch's and matplotlib's, never settings


def test_the_guard_sees_what_ultralytics_does_by_itself(tmp_path):
    code = "import ultralytics; print(json.dumps(seen))"
    seen = run(code, tmp_path, tmp_path)
    assert seen and all(event.startswith("socket.getaddrinfo") for event in seen)
