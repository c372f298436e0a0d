"""The widget is the first thing that is opened in a session of napari."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.window
@pytest.mark.parametrize("options", [(), ("--close",)], ids=["wait", "close"])
def test_the_window_lives_while_the_first_layers_are_loaded(options, tmp_path):
    script = Path(__file__).with_name("cold_start.py")
    ended = subprocess.run(
        [sys.executable, script, *options],
        capture_output=True,
        text=True,
        timeout=280,
        env=os.environ | {"NAPARI_SAM_HOME": str(tmp_path)},
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.endswith("alive\n")
