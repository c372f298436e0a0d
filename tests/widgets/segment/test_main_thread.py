"""No model, no pass over a whole slice and no file is the main thread's business."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def watched():
    """Return what was noticed during a session, in a process of its own."""
    script = Path(__file__).with_name("main_thread.py")
    ended = subprocess.run(
        [sys.executable, "-X", "faulthandler", script],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.window
def test_the_main_thread_does_none_of_it(watched):
    assert watched["session"] == []
    assert watched["closing"] == []


@pytest.mark.window
def test_all_of_it_was_done_elsewhere(watched):
    done = watched["elsewhere"]
    assert done["load"] == 1
    assert done["encode"] == 5
    assert done["decode"] >= 6
    assert done["read"] >= 5
    assert done["pass"] >= 5
    assert done["write"] >= 4
    assert watched["objects"] > 10
    assert {"labels/nuclei.tif", "objects.csv", "prompts.json"} <= {*watched["files"]}


@pytest.mark.window
@pytest.mark.parametrize(
    ("deed", "kinds"),
    [
        ("read", {"read"}),
        ("model", {"encode", "torch"}),
        ("scan", {"pass"}),
        ("pack", {"pass"}),
        ("write", {"write"}),
    ],
)
def test_it_would_have_been_noticed(watched, deed, kinds):
    noted = watched["misdeeds"][deed]
    assert kinds <= {line.split(" in ")[0] for line in noted}
