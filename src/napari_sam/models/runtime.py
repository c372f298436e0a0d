"""How torch comes into a running viewer, and how a lane's thread is set up.

Nothing here imports torch before it is asked to. Whoever imports torch or
torchvision while a window may be open does it through `import_torch`.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import math
import os
import sys
import threading
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from types import ModuleType

_TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
# At 5 the viewer stutters a little more (benchmarks/gui_stall.py); at 15, as at 10.
_NICE = 10


def import_torch() -> ModuleType:
    """Import torch so that an open viewer neither ends nor stalls.

    torchvision (through torch's compiler) imports triton, whose library brings
    an LLVM of its own. Where the graphics driver has loaded another LLVM, as
    Mesa does when a window is drawn in software, triton's calls end up in the
    wrong one and the process dies. So triton's library is loaded here first, in
    such a way that it prefers its own symbols; triton works as usual afterwards.

    torch's libraries are loaded without Python's lock: a second or two in which
    the viewer goes on drawing.

    May be called from any thread, any number of times.
    """
    with _unfelt():
        _shield_triton()
        if "torch" not in sys.modules:
            _preload_torch()
        return importlib.import_module("torch")


def stand_back() -> None:
    """Let this thread, and those that it starts, leave a busy core to the viewer's.

    Only where the system knows how much each thread matters: on Linux. Nothing is
    lost where a core is free.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):  # a container may forbid it
            now = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, max(now, _NICE))


def warm(*modules: str) -> None:
    """Import torch and what comes on top of it ahead of time, on this thread.

    Parameters
    ----------
    *modules : str
        For example "torchvision": some seconds of Python code, which the viewer
        does not feel when another thread runs it here.
    """
    import_torch()
    with _unfelt():
        for name in modules:
            importlib.import_module(name)


def enter(device: str) -> Callable[[], AbstractContextManager[None]]:
    """Set this thread up to run models.

    Thread counts and the handling of denormals belong to a thread, so a lane
    calls this on its own.

    Parameters
    ----------
    device : str
        "cpu", "cuda:0", "mps".

    Returns
    -------
    callable
        Gives a context manager for one piece of work: inference mode, and none
        of the autocast of the work around it, if it runs inside another's.
    """
    torch = import_torch()
    if "OMP_NUM_THREADS" not in os.environ:  # else someone has decided already
        # One core is the viewer's: where both want all of them, threads that compute
        # together wait for each other, and clicks are answered later, not sooner.
        torch.set_num_threads(max(1, min(torch.get_num_threads(), usable_cores() - 1)))
    # Activations near zero become denormals on some images, and those are
    # handled some hundred times more slowly.
    torch.set_flush_denormal(True)
    kind = torch.device(device).type

    @contextmanager
    def surround() -> Iterator[None]:
        with (
            torch.inference_mode(),
            torch.autocast("cpu", enabled=False),
            torch.autocast(kind, enabled=False),
        ):
            yield

    return surround


def use_threads(count: int) -> None:
    """Let what this thread computes keep so many cores busy.

    For a process that has models and no lane.
    """
    import_torch().set_num_threads(count)


def lane_threads() -> int:
    """Return how many threads a lane computes with on the processor."""
    chosen = os.environ.get("OMP_NUM_THREADS", "")
    return int(chosen) if chosen.isdecimal() else max(1, usable_cores() - 1)


def usable_cores() -> int:
    """Return how many cores this process may keep busy.

    Two threads of one core share its arithmetic units and gain nothing; a
    container may be allowed fewer than the machine has. Where the system does
    not tell, it is the number of processors.
    """
    try:
        allowed = os.sched_getaffinity(0)
    except AttributeError:  # Windows and macOS have none
        return os.cpu_count() or 1
    cores = set()
    for processor in allowed:
        try:
            cores.add(Path(_TOPOLOGY.format(processor)).read_text())
        except OSError:
            cores.add(str(processor))
    return max(1, min(len(cores), _quota()))


def _quota() -> int:
    """Return how many processors the container may use (Linux control groups)."""
    try:
        quota, period = _QUOTA.read_text().split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # none, or "max"
        return os.cpu_count() or 1


@contextmanager
def _unfelt() -> Iterator[None]:
    """Put off garbage collection: importing makes it run again and again.

    A full collection walks over every object of the viewer and keeps Python's
    lock all the while: pauses of several 100 ms during one import of torch.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _shield_triton() -> None:
    """Load triton's library so that its LLVM calls itself, not the driver's."""
    if not sys.platform.startswith("linux") or "triton._C.libtriton" in sys.modules:
        return
    folder = _package("triton")
    # Other C libraries than glibc do not know the flag, nor has triton wheels there.
    flags = os.RTLD_NOW | getattr(os, "RTLD_DEEPBIND", 0)
    for library in sorted(folder.glob("_C/libtriton*.so")) if folder else ():
        # Python's own import of triton then finds it loaded, and leaves it so.
        _dlopen(library, flags)


def _preload_torch() -> None:
    """Load torch's libraries in the order and way in which torch does it."""
    if sys.platform == "win32":  # has its own rules, kept by torch
        return
    folder = _package("torch")
    if folder is None:
        return
    ending = "dylib" if sys.platform == "darwin" else "so"
    needed = folder / "lib" / f"libtorch_global_deps.{ending}"
    if needed.is_file() and _dlopen(needed, os.RTLD_NOW | os.RTLD_GLOBAL):
        _dlopen(needed.with_name(f"libtorch.{ending}"), os.RTLD_NOW)


def _package(name: str) -> Path | None:
    """Return the folder of a package without importing it; None if there is none."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):  # half installed, or a stand-in
        spec = None
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def _dlopen(library: Path, flags: int) -> bool:
    """Load a library without Python's lock; whether it worked.

    `ctypes.CDLL` keeps the lock while it loads; functions it calls do not.
    A library that cannot be loaded is left to the package that wants it.
    """
    function = ctypes.CDLL(None).dlopen
    function.argtypes = (ctypes.c_char_p, ctypes.c_int)
    function.restype = ctypes.c_void_p
    return bool(function(os.fsencode(library), flags))
