"""torch and what hangs on it come into a process that has drawn a window."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.window
def test_a_viewer_survives_torchvision_and_triton_still_works(tmp_path):
    script = Path(__file__).with_name("late_torch.py")
    environment = os.environ | {"TRITON_CACHE_DIR": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-X", "faulthandler", script],
        capture_output=True,
        text=True,
        timeout=280,
        env=environment,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.endswith("alive\n")
