"""Every request ends once: done, stale, cancelled or failed."""

from __future__ import annotations

import gc
import random
import threading
import weakref
from collections import Counter

import numpy as np
import pytest
import torch

from napari_sam.models.lane import Cancelled, Ending, Priority, checkpoint, report
from napari_sam.types import ModelError


def submit(handle, receiver, name, work=None, *, slot=None, priority=Priority.BATCH):
    return handle.submit(
        work or (lambda: name),
        slot=slot or name,
        priority=priority,
        **receiver.listeners(name),
    )


def spin():
    """Work that would never end by itself."""
    while True:
        checkpoint()


def test_a_newer_request_of_its_slot_makes_a_waiting_one_stale(busy, receiver, gate):
    old = submit(busy, receiver, "old", slot="plane")
    submit(busy, receiver, "new", slot="plane")
    assert old.unwanted
    gate.open()
    receiver.until(lambda: busy.idle)
    assert receiver.told == [("old", "stale"), ("new", "done", "new")]
    assert old.ending is Ending.STALE


def test_a_newer_request_of_its_slot_stops_a_running_one(handle, receiver, gate):
    def old():
        gate.reached.set()
        spin()

    submit(handle, receiver, "old", old, slot="plane")
    gate.wait_until_reached()
    submit(handle, receiver, "new", slot="plane")
    receiver.until(lambda: handle.idle)
    assert receiver.told == [("old", "stale"), ("new", "done", "new")]


@pytest.mark.parametrize("way", ["newer", "cancel"])
def test_an_answer_on_its_way_is_dropped(handle, receiver, way):
    old = submit(handle, receiver, "old", slot="plane")
    posted = receiver.posted.get(timeout=60)  # done, but nobody has been told
    if way == "newer":
        submit(handle, receiver, "new", slot="plane")
    else:
        old.cancel()
    posted()
    receiver.until(lambda: handle.idle)
    ending = "stale" if way == "newer" else "cancelled"
    assert receiver.told[0] == ("old", ending)


def test_slots_belong_to_their_owner(join, receiver, gate):
    one, same, other = (join(receiver, owner) for owner in ("a", "a", "b"))
    one.submit(gate.pass_through, slot="gate", priority=Priority.DRAWING)
    gate.wait_until_reached()
    submit(one, receiver, "first", slot="plane")
    submit(other, receiver, "other's", slot="plane")
    submit(same, receiver, "second", slot="plane")
    gate.open()
    receiver.until(lambda: one.idle and same.idle and other.idle)
    assert sorted(told[:2] for told in receiver.told) == [
        ("first", "stale"),
        ("other's", "done"),
        ("second", "done"),
    ]


def test_cancelled_before_it_runs_it_never_runs(busy, receiver, gate):
    ran = []
    request = submit(busy, receiver, "work", lambda: ran.append(1))
    request.cancel()
    receiver.run_all()
    assert receiver.told == [("work", "cancelled")]  # at once, not when it is its turn
    gate.open()
    receiver.until(lambda: busy.idle)
    assert not ran


def test_cancelled_while_it_runs_it_stops_at_a_checkpoint(handle, receiver, gate):
    closed = []

    def work():
        gate.reached.set()
        try:
            spin()
        except Exception:  # a model that thinks it can go on
            return "wrong"
        finally:
            closed.append(True)

    request = submit(handle, receiver, "work", work)
    gate.wait_until_reached()
    request.cancel()
    receiver.until(lambda: handle.idle)
    assert receiver.told == [("work", "cancelled")]
    assert closed


def test_work_that_swallows_the_cancel_still_ends_as_cancelled(handle, receiver, gate):
    def work():
        gate.reached.set()
        try:
            spin()
        except BaseException:
            return "an answer nobody wants"

    request = submit(handle, receiver, "work", work)
    gate.wait_until_reached()
    request.cancel()
    receiver.until(lambda: handle.idle)
    assert receiver.told == [("work", "cancelled")]


def test_cancel_after_the_end_changes_nothing(handle, receiver):
    request = submit(handle, receiver, "work")
    receiver.until(lambda: handle.idle)
    request.cancel()
    receiver.run_all()
    assert receiver.told == [("work", "done", "work")]
    assert request.ending is Ending.DONE


def test_errors_are_handed_over(handle, receiver):
    error = ValueError("what was wrong")

    def work():
        raise error

    submit(handle, receiver, "work", work)
    receiver.until(lambda: handle.idle)
    assert receiver.told == [("work", "failed", error)]


def test_an_error_nobody_asks_about_is_logged(handle, receiver, caplog):
    handle.submit(lambda: 1 / 0, slot="work", priority=Priority.BATCH)
    receiver.until(lambda: handle.idle)
    assert "ZeroDivisionError" in caplog.text


def torch_is_full():
    return torch.empty(1 << 60, dtype=torch.uint8)


def numpy_is_full():
    return np.empty(1 << 60, np.uint8)


@pytest.mark.parametrize("allocate", [torch_is_full, numpy_is_full])
def test_without_memory_it_says_what_to_do_and_lets_go(handle, receiver, allocate):
    held = []

    def work():
        large = np.zeros(10)
        held.append(weakref.ref(large))
        allocate()

    submit(handle, receiver, "work", work)
    receiver.until(lambda: handle.idle)
    ((_, ending, error),) = receiver.told
    assert ending == "failed"
    assert isinstance(error, ModelError)
    assert "close other programs" in str(error)
    assert "\n" not in str(error)
    gc.collect()
    assert held[0]() is None


def test_no_work_ends_the_lane(handle, receiver):
    def leave():
        raise SystemExit(3)

    def stop():
        raise Cancelled

    submit(handle, receiver, "leave", leave)
    submit(handle, receiver, "stop", stop)
    submit(handle, receiver, "work")
    receiver.until(lambda: handle.idle)
    (_, _, error), *others = receiver.told
    assert "SystemExit(3)" in str(error)
    assert others == [("stop", "cancelled"), ("work", "done", "work")]


def test_a_receiver_that_is_gone_does_not_end_the_lane(join, receiver, caplog):
    class Gone:
        def post(self, function):
            raise RuntimeError("wrapped C/C++ object has been deleted")

    gone, here = join(Gone(), "gone"), join(receiver, "here")
    request = gone.submit(lambda: 1, slot="work", priority=Priority.BATCH)
    submit(here, receiver, "work")
    receiver.until(lambda: here.idle)
    assert receiver.told == [("work", "done", "work")]
    assert gone.idle
    assert request.ending is Ending.DONE
    assert "deleted" in caplog.text


def test_a_callback_that_fails_does_not_end_the_lane(join, receiver, caplog):
    class AtOnce:
        def post(self, function):
            function()

    def fail(_):
        raise ValueError("in the callback")

    direct, here = join(AtOnce(), "direct"), join(receiver, "here")
    direct.submit(lambda: 1, slot="work", priority=Priority.BATCH, done=fail)
    submit(here, receiver, "work")
    receiver.until(lambda: here.idle)
    assert receiver.told == [("work", "done", "work")]
    assert "in the callback" in caplog.text


def test_answers_do_not_stay_in_memory(handle, receiver):
    answers = []

    def work():
        answer = np.zeros(10)
        answers.append(weakref.ref(answer))
        return answer

    request = handle.submit(work, slot="work", priority=Priority.BATCH)
    receiver.until(lambda: request.ending is not None)
    # The lane may not yet have come back to its queue.
    submit(handle, receiver, "after")
    receiver.until(lambda: handle.idle)
    gc.collect()
    assert answers[0]() is None


def test_progress_comes_as_its_newest_value(handle, receiver):
    def work():
        for value in range(100):
            report(value)

    seen = []
    handle.submit(
        work,
        slot="work",
        priority=Priority.BATCH,
        progress=seen.append,
        done=lambda _: seen.append("done"),
    )
    submit(handle, receiver, "after")  # the receiver looks when all is reported
    receiver_saw = [receiver.posted.get(timeout=60) for _ in range(3)]
    for function in receiver_saw:
        function()
    assert seen == [99, "done"]


def test_progress_stops_with_a_cancel(handle, receiver, gate):
    def work():
        report(1)
        gate.pass_through()
        report(2)
        checkpoint()

    seen = []
    request = handle.submit(
        work, slot="work", priority=Priority.BATCH, progress=seen.append
    )
    gate.wait_until_reached()
    receiver.run_all()
    request.cancel()
    gate.open()
    receiver.until(lambda: handle.idle)
    assert seen == [1]


def test_whatever_happens_each_request_ends_once(join, receiver):
    handles = [join(receiver, owner) for owner in range(3)]
    endings = Counter()
    requests = []

    def work():
        for _ in range(5):
            checkpoint()

    def pester(seed):
        choose = random.Random(seed)
        for _ in range(150):
            number = len(requests) + seed * 10_000
            told = {
                ending: lambda *_, n=number, e=ending: endings.update([(n, e)])
                for ending in ("done", "failed", "cancelled", "stale")
            }
            request = choose.choice(handles).submit(
                work,
                slot=choose.randrange(4),
                priority=choose.choice(list(Priority)),
                **told,
            )
            requests.append(request)
            if choose.random() < 0.3:
                choose.choice(requests[-5:]).cancel()

    threads = [threading.Thread(target=pester, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    receiver.until(lambda: all(handle.idle for handle in handles))
    assert sum(endings.values()) == len(requests) == 450
    assert {request.ending for request in requests} == {
        Ending.DONE,
        Ending.STALE,
        Ending.CANCELLED,
    }
