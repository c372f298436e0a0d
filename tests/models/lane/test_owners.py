"""Who keeps a lane alive, and how it ends."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from napari_sam.models.lane import Priority, acquire, checkpoint
from napari_sam.types import ModelError


def lanes():
    names = sorted(t.name for t in threading.enumerate())
    return [name for name in names if name.startswith("napari-sam lane")]


def where(handle, receiver):
    """Return the thread on which a handle's work runs."""
    found = []
    work = threading.current_thread
    handle.submit(work, slot="where", priority=Priority.BATCH, done=found.append)
    receiver.until(lambda: found)
    return found[0]


def test_all_owners_of_a_device_share_one_thread_until_the_last_goes(join, receiver):
    one, two = join(receiver, "one"), join(receiver, "two")
    assert where(one, receiver) is where(two, receiver)
    assert lanes() == ["napari-sam lane cpu"]
    one.close()
    assert where(two, receiver).name == "napari-sam lane cpu"
    two.close(60)
    assert lanes() == []


def test_each_device_has_a_lane(join, receiver):
    one, two, three = (join(receiver, device=d) for d in ("cpu", "cuda", "cuda:0"))
    assert where(one, receiver) is not where(two, receiver)
    assert where(two, receiver) is where(three, receiver)
    assert two.device == "cuda:0"


def test_closing_cancels_what_the_owner_waits_for_and_nothing_else(
    join, receiver, gate
):
    one, two = join(receiver, "one"), join(receiver, "two")
    two.submit(gate.pass_through, slot="gate", priority=Priority.DRAWING)
    gate.wait_until_reached()
    for handle, name in ((one, "one"), (two, "two")):
        handle.submit(
            lambda: None,
            slot="plane",
            priority=Priority.BATCH,
            **receiver.listeners(name),
        )
    one.close()
    gate.open()
    receiver.until(lambda: two.idle)
    assert receiver.told == [("one", "cancelled"), ("two", "done", None)]
    one.close()  # once more does no harm
    assert where(two, receiver)


def test_closing_stops_what_runs(join, receiver, gate):
    def spin():
        gate.reached.set()
        while True:
            checkpoint()

    handle = join(receiver)
    handle.submit(
        spin, slot="spin", priority=Priority.BATCH, **receiver.listeners("spin")
    )
    gate.wait_until_reached()
    handle.close(60)
    assert lanes() == []
    receiver.run_all()
    assert receiver.told == [("spin", "cancelled")]


def test_closing_waits_no_longer_than_it_is_told(join, receiver, gate):
    handle = join(receiver)
    handle.submit(gate.pass_through, slot="long", priority=Priority.BATCH)
    gate.wait_until_reached()
    handle.close(timeout=0)
    assert lanes() == ["napari-sam lane cpu"]
    gate.open()  # the fixture sees that the thread ends


def test_a_new_lane_starts_when_the_last_one_of_its_device_has_ended(
    join, receiver, gate
):
    first = join(receiver)
    order = []

    def long():
        gate.pass_through()
        order.append("long")

    first.submit(long, slot="long", priority=Priority.BATCH)
    gate.wait_until_reached()
    first.close(timeout=0)
    second = join(receiver)
    second.submit(lambda: order.append("new"), slot="new", priority=Priority.DRAWING)
    assert order == []
    gate.open()
    receiver.until(lambda: second.idle)
    assert order == ["long", "new"]


def test_a_callback_on_the_lanes_own_thread_may_close_it():
    closed = threading.Event()

    def close(_):
        handle.close(60)
        closed.set()

    handle = acquire(owner="me", post=lambda function: function())
    handle.submit(lambda: None, slot="work", priority=Priority.BATCH, done=close)
    assert closed.wait(60)


def test_a_closed_handle_takes_no_work(join, receiver):
    handle = join(receiver)
    handle.close()
    with pytest.raises(ModelError, match="acquire a new one"):
        handle.submit(lambda: None, slot="work", priority=Priority.BATCH)


def test_the_device_must_be_known(receiver):
    with pytest.raises(ModelError, match="decided"):
        acquire("auto", owner="me", post=receiver.post)


def run(script):
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120
    )


def test_importing_the_lane_imports_no_torch():
    script = (
        "import sys, napari_sam.models.lane, napari_sam.models.runtime\n"
        "assert not {'torch', 'qtpy', 'napari'} & set(sys.modules)\n"
        "napari_sam.models.lane.checkpoint()\n"
    )
    ended = run(script)
    assert ended.returncode == 0, ended.stderr


PROGRAM_ENDS = """
import threading
from napari_sam.models.lane import Priority, acquire, checkpoint
started = threading.Event()
def spin():
    started.set()
    while True:
        checkpoint()
handle = acquire(owner="me", post=lambda function: function())
handle.submit(
    spin, slot=0, priority=Priority.BATCH, cancelled=lambda: print("cancelled")
)
assert started.wait(100)
"""


def test_the_program_ends_although_nobody_closed_the_lane():
    ended = run(PROGRAM_ENDS)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "cancelled\n", "")


NO_TORCH = """
import sys, threading
sys.modules["torch"] = None  # importing it fails
from napari_sam.models.lane import Priority, acquire
told = threading.Event()
def failed(error):
    print(type(error).__name__, error)
    told.set()
handle = acquire(owner="me", post=lambda function: function())
handle.submit(lambda: 1, slot=0, priority=Priority.BATCH, failed=failed)
assert told.wait(100)
handle.close()
"""


def test_without_torch_each_work_fails_with_a_word_on_it():
    ended = run(NO_TORCH)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("ModelError models cannot run on cpu")
    assert "install torch again" in ended.stdout
