"""Random actions in a real window: a short walk of what benchmarks/monkey.py does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MONKEY = Path(__file__).parents[3] / "benchmarks" / "monkey.py"


@pytest.mark.window
def test_random_actions_break_nothing():
    ended = subprocess.run(
        [sys.executable, MONKEY, "--seed", "4", "--actions", "60"],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "60 actions" in ended.stdout
