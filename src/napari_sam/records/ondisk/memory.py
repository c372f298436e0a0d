"""How much memory there is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")


def available() -> int | None:
    """Return how many bytes programs can have without swapping; None if unknown."""
    if sys.platform == "win32":
        return _windows()
    try:
        lines = _MEMINFO.read_text().splitlines()
    except OSError:
        return _all_of_it()
    found = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    kilobytes = next(found, None)
    return None if kilobytes is None else int(kilobytes) * 1024


def _all_of_it() -> int | None:
    # macOS does not say how much is free to those who use no library for it.
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None


def _windows() -> int | None:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in "abcdefg"),
        )

    status = Status(length=ctypes.sizeof(Status))
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009, only there on Windows
    return int(status.b) if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else None
