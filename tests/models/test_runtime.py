"""How torch is brought in, and how a thread is set up to run models."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading

import pytest
import torch

from napari_sam.models import runtime

LOADED_FIRST = """
import sys
from pathlib import Path
from napari_sam.models import runtime

def loaded():
    maps = Path("/proc/self/maps").read_text().splitlines()
    return {line.split("/")[-1] for line in maps if "/" in line}

def library(name):
    return any(file.startswith(name) for file in loaded())

assert not library("libtorch_cpu") and not library("libtriton")
runtime._shield_triton()
runtime._preload_torch()
assert "torch" not in sys.modules and "triton" not in sys.modules
assert library("libtorch_cpu")
assert library("libtriton") or runtime._package("triton") is None
torch = runtime.import_torch()
assert (torch.ones(2) + 1).tolist() == [2.0, 2.0]
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
def test_the_libraries_are_loaded_before_python_imports_them():
    ended = subprocess.run(
        [sys.executable, "-c", LOADED_FIRST], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr


def test_garbage_is_collected_again_after_an_import(monkeypatch, tmp_path):
    (tmp_path / "watched_import.py").write_text("import gc; seen = gc.isenabled()")
    (tmp_path / "failing_import.py").write_text("raise OSError('no')")
    monkeypatch.syspath_prepend(tmp_path)
    assert gc.isenabled()
    runtime.warm("watched_import")
    assert sys.modules.pop("watched_import").seen is False
    assert gc.isenabled()
    with pytest.raises(OSError, match="no"):
        runtime.warm("failing_import")
    assert gc.isenabled()
    gc.disable()
    try:
        runtime.import_torch()
        assert not gc.isenabled()  # somebody wants it so
    finally:
        gc.enable()


def in_a_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def denormals_survive():
    tiny = torch.full((64,), 1e-30)
    return bool((tiny * 1e-10).any())


def test_a_lane_flushes_denormals_and_other_threads_do_not():
    def on_a_lane():
        runtime.enter("cpu")
        return denormals_survive()

    assert not in_a_thread(on_a_lane)
    assert denormals_survive()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it by thread")
def test_a_thread_stands_back_with_those_that_it_starts_and_no_other():
    def niceness():
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def on_a_lane():
        runtime.stand_back()
        return niceness(), in_a_thread(niceness)

    before = niceness()
    own, started = in_a_thread(on_a_lane)
    assert own == started == max(before, 10)
    assert niceness() == in_a_thread(niceness) == before


def test_thread_counts_are_set_on_the_lane_alone(monkeypatch):
    def on_a_lane():
        runtime.enter("cpu")
        return torch.get_num_threads()

    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    count = in_a_thread(on_a_lane)
    assert 1 <= count <= runtime.usable_cores()
    assert torch.get_num_threads() == before


def test_a_count_the_user_has_set_is_kept(monkeypatch):
    def on_a_lane():
        torch.set_num_threads(7)
        runtime.enter("cpu")
        return torch.get_num_threads()

    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert in_a_thread(on_a_lane) == 7
    # New threads start with what any thread has set last.
    in_a_thread(lambda: torch.set_num_threads(before))


def test_usable_cores_counts_cores_not_their_threads(monkeypatch, tmp_path):
    """Four processors, two to a core; a fifth one is not allowed."""
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system does not tell")
    for processor, siblings in enumerate(("0,2", "1,3", "0,2", "1,3", "4")):
        (tmp_path / f"cpu{processor}").write_text(siblings)
    monkeypatch.setattr(runtime, "_TOPOLOGY", str(tmp_path / "cpu{}"))
    monkeypatch.setattr(runtime, "_QUOTA", tmp_path / "max")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert runtime.usable_cores() == 2
    (tmp_path / "max").write_text("50000 100000\n")  # half a processor
    assert runtime.usable_cores() == 1
    (tmp_path / "max").write_text("max 100000\n")
    assert runtime.usable_cores() == 2


def test_a_package_that_is_not_there_is_no_error():
    assert runtime._package("there_is_no_such_package") is None
    assert not runtime._dlopen(runtime.Path("/there/is/no/such.so"), os.RTLD_NOW)
