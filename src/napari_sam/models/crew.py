"""Threads that take parts of one decoding each.

A decoder's products are small. Two threads of OpenMP on one of them wait for each
other longer than they compute, and for a multiple of that where a viewer keeps a core
busy. So on a CPU every thread takes prompts of its own and computes alone.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


class Crew:
    """As many threads as torch would use, or on another device than the CPU one.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        self.size = torch.get_num_threads() if device.type == "cpu" else 1
        self._alone = device.type == "cpu"
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def share(self, work: Callable[[slice], T], begin: int, end: int) -> list[T]:
        """Let each thread do an equal part of begin..end-1.

        Parameters
        ----------
        work : callable
            Takes the part as a slice; `begin` < `end`.

        Returns
        -------
        list
            What `work` returned, in order of the parts.
        """
        size = math.ceil((end - begin) / self.size)
        parts = [slice(i, min(i + size, end)) for i in range(begin, end, size)]
        if not self._alone:
            return [work(part) for part in parts]
        with _one_thread_each():
            if len(parts) == 1:
                return [work(parts[0])]
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.size, initializer=_prepare)
            return list(self._pool.map(work, parts))


def _prepare() -> None:
    """Set up a thread that works beside others."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # they are slow, and a lane's are flushed, too


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let the threads of the pool compute alone.

    Most of torch counts the threads of each thread of Python, but MKL, which does
    the products, counts those of the process.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
