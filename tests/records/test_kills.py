"""A run that is killed at steps of the write protocol, as by a cut of power."""

import subprocess
import sys
from pathlib import Path

import pytest

KILLS = Path(__file__).parents[2] / "benchmarks" / "kills.py"


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_a_run_killed_at_many_steps_ends_as_an_undisturbed_one() -> None:
    # The script compares labels, table and which planes were computed twice; its exit
    # code is 1 where something differs.
    command = [sys.executable, str(KILLS), "--planes", "6", "--kills", "8"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split(" kills over ")[0]) >= 6, done.stdout
    assert "the table: equal" in done.stdout
