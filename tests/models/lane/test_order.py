"""What runs when: priorities, checkpoints, work inside work."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest
import torch

from napari_sam.models.lane import Priority, checkpoint, report, wait


def submit(handle, receiver, name, priority, work=None):
    return handle.submit(
        work or (lambda: name),
        slot=name,
        priority=priority,
        **receiver.listeners(name),
    )


def test_the_more_urgent_goes_first_and_equals_in_their_order(busy, receiver, gate):
    for name, priority in [
        ("stack", Priority.BATCH),
        ("next", Priority.NEIGHBOUR),
        ("shown", Priority.ON_SCREEN),
        ("click", Priority.DRAWING),
        ("previous", Priority.NEIGHBOUR),
    ]:
        submit(busy, receiver, name, priority)
    gate.open()
    receiver.until(lambda: busy.idle)
    order = [name for name, *_ in receiver.told]
    assert order == ["click", "shown", "next", "previous", "stack"]


def test_a_checkpoint_lets_only_more_urgent_work_pass(handle, receiver):
    ran = []

    def encode():
        ran.append("encode begins")
        for name in ("plane", "click"):
            priority = Priority.DRAWING if name == "click" else Priority.ON_SCREEN
            submit(handle, receiver, name, priority, lambda name=name: ran.append(name))
        checkpoint()
        ran.append("encode ends")

    submit(handle, receiver, "encode", Priority.ON_SCREEN, encode)
    receiver.until(lambda: handle.idle)
    assert ran == ["encode begins", "click", "encode ends", "plane"]


def test_work_inside_work_inside_work_keeps_its_answers_apart(handle, receiver):
    inner = {Priority.BATCH: Priority.ON_SCREEN, Priority.ON_SCREEN: Priority.DRAWING}

    def nest(priority):
        if priority in inner:
            below = inner[priority]
            submit(handle, receiver, below.name, below, lambda: nest(below))
            checkpoint()
        return priority.name.lower()

    submit(handle, receiver, "BATCH", Priority.BATCH, lambda: nest(Priority.BATCH))
    receiver.until(lambda: handle.idle)
    assert receiver.told == [
        ("DRAWING", "done", "drawing"),
        ("ON_SCREEN", "done", "on_screen"),
        ("BATCH", "done", "batch"),
    ]


def test_what_ends_badly_inside_does_not_touch_the_work_around_it(handle, receiver):
    def fail():
        raise ValueError("no")

    def encode():
        submit(handle, receiver, "bad", Priority.DRAWING, fail)
        dropped = submit(handle, receiver, "dropped", Priority.DRAWING, dropped_work)
        cell.append(dropped)
        checkpoint()
        return "whole"

    def dropped_work():
        cell[0].cancel()
        checkpoint()

    cell = []
    submit(handle, receiver, "encode", Priority.BATCH, encode)
    receiver.until(lambda: handle.idle)
    assert [told[:2] for told in receiver.told] == [
        ("bad", "failed"),
        ("dropped", "cancelled"),
        ("encode", "done"),
    ]


def test_while_work_waits_for_a_plane_clicks_are_answered(handle, receiver):
    plane = Future()
    submit(handle, receiver, "stack", Priority.BATCH, lambda: wait(plane))
    submit(handle, receiver, "click", Priority.DRAWING)
    receiver.until(lambda: receiver.told)
    assert receiver.told == [("click", "done", "click")]
    plane.set_result("a plane")
    receiver.until(lambda: handle.idle)
    assert receiver.told[1:] == [("stack", "done", "a plane")]


def test_waiting_for_a_plane_ends_with_a_cancel(handle, receiver, gate):
    def stack():
        gate.reached.set()
        wait(Future())

    request = submit(handle, receiver, "stack", Priority.BATCH, stack)
    gate.wait_until_reached()
    request.cancel()
    receiver.until(lambda: handle.idle)
    assert receiver.told == [("stack", "cancelled")]


def test_a_plane_that_cannot_be_read_fails_the_work_that_waits(handle, receiver):
    plane = Future()
    plane.set_exception(OSError("gone"))
    submit(handle, receiver, "stack", Priority.BATCH, lambda: wait(plane))
    receiver.until(lambda: handle.idle)
    ((_, ending, error),) = receiver.told
    assert ending == "failed"
    assert str(error) == "gone"


def test_elsewhere_there_is_nothing_to_stop_at(handle):
    checkpoint()
    report(1)
    ready = Future()
    ready.set_result(3)
    assert wait(ready) == 3


def test_work_runs_off_the_callers_thread_in_inference_mode(handle, receiver):
    def work():
        return threading.current_thread(), torch.is_inference_mode_enabled()

    submit(handle, receiver, "work", Priority.BATCH, work)
    receiver.until(lambda: handle.idle)
    ((_, _, (thread, inference)),) = receiver.told
    assert thread is not threading.current_thread()
    assert inference
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("outer", ["autocast", "grad"])
def test_the_setting_of_the_work_around_it_does_not_reach_a_click(
    handle, receiver, outer
):
    def click():
        product = torch.ones(4, 4) @ torch.ones(4, 4)
        return product.dtype, torch.is_inference_mode_enabled()

    def encode():
        around = (
            torch.autocast("cpu", dtype=torch.bfloat16)
            if outer == "autocast"
            else torch.inference_mode(False)
        )
        with around:
            submit(handle, receiver, "click", Priority.DRAWING, click)
            checkpoint()
            return click()

    submit(handle, receiver, "encode", Priority.BATCH, encode)
    receiver.until(lambda: handle.idle)
    (_, _, inside), (_, _, around) = receiver.told
    assert inside == (torch.float32, True)
    assert around != inside
