"""Threads for what is neither drawn nor computed by a model: files and loading."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from napari_sam.models.runtime import stand_back
from napari_sam.types import NapariSamError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.models.lane import Post

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Threads:
    """Named threads, each of which does one thing after the other.

    Parameters
    ----------
    post : callable
        Runs a function on the thread that uses this object.
    """

    def __init__(self, post: Post) -> None:
        self._post = post
        self._threads: dict[str, ThreadPoolExecutor] = {}

    def run(
        self,
        name: str,
        work: Callable[[], T],
        done: Callable[[T], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Run `work` on the thread `name`, and tell the outcome where we are used.

        After `close` nothing is told any more.
        """
        if name not in self._threads:
            self._threads[name] = ThreadPoolExecutor(
                1, f"napari-sam {name}", initializer=stand_back
            )
        threads = self._threads[name]

        def ended(future: Future[T]) -> None:
            if not future.cancelled():
                self._post(partial(deliver, future))

        def deliver(future: Future[Any]) -> None:
            if self._threads.get(name) is not threads:
                return  # closed in the meantime
            error = future.exception()
            if error is None:
                done(future.result())
            elif isinstance(error, Exception):
                failed(error)

        threads.submit(work).add_done_callback(ended)

    def close(self) -> None:
        """Do nothing more; what runs ends by itself. New work can be handed in."""
        for thread in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)
        self._threads = {}


def say(error: Exception) -> str:
    """Return one line that tells people what went wrong."""
    text = " ".join(str(error).split())
    if isinstance(error, NapariSamError):
        return text
    _log.error("an unexpected error", exc_info=error)
    if isinstance(error, MemoryError):
        return "the computer's memory is full: close other images, or take fewer slices"
    return f"something unexpected happened ({type(error).__name__}: {text})"
