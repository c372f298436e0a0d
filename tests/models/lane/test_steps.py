"""Whole stacks, step by step."""

from __future__ import annotations

import threading

from napari_sam.models.lane import Priority


def test_steps_come_one_by_one_and_clicks_between_them(handle, receiver):
    def planes():
        for number in range(4):
            if number == 2:
                handle.submit(
                    lambda: None,
                    slot="click",
                    priority=Priority.DRAWING,
                    done=receiver.tell("click"),
                )
            yield number

    handle.submit_steps(
        planes,
        slot="stack",
        priority=Priority.BATCH,
        each=receiver.tell("plane"),
        done=receiver.tell("done"),
    )
    receiver.until(lambda: handle.idle)
    assert receiver.told == [
        ("plane", 0),
        ("plane", 1),
        ("plane", 2),
        ("click", None),
        ("plane", 3),
        ("done", 4),
    ]


def test_a_cancel_keeps_the_steps_that_arrived(handle, receiver, gate):
    closed = []

    def planes():
        try:
            yield 0
            gate.pass_through()
            yield 1
            yield 2
        finally:
            closed.append(threading.current_thread().name)

    request = handle.submit_steps(
        planes,
        slot="stack",
        priority=Priority.BATCH,
        each=receiver.tell("plane"),
        **receiver.listeners("stack"),
    )
    gate.wait_until_reached()
    receiver.run_all()
    request.cancel()
    gate.open()
    receiver.until(lambda: handle.idle)
    assert receiver.told == [("plane", 0), ("stack", "cancelled")]
    assert closed == ["napari-sam lane cpu"]


def test_a_step_that_fails_ends_the_rest(handle, receiver):
    def planes():
        yield 0
        raise OSError("plane 1 cannot be read")

    handle.submit_steps(
        planes,
        slot="stack",
        priority=Priority.BATCH,
        each=receiver.tell("plane"),
        failed=lambda error: receiver.told.append(str(error)),
    )
    receiver.until(lambda: handle.idle)
    assert receiver.told == [("plane", 0), "plane 1 cannot be read"]
