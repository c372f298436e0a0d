"""One answer of a server, read on a thread of its own.

Whoever waits for it is free to leave at any moment, also while nothing comes: a read
from the network cannot be broken off by the thread that does it.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Said: TypeAlias = requests.Response | bytes | Exception | None

_CHUNK: Final = 1 << 18
_AHEAD: Final = 4  # pieces that are read before somebody takes them
_WAIT: Final = (15, 60)  # seconds to connect, and between two pieces
_TICK: Final = 0.1  # seconds after which whoever waits is asked again


class Wire:
    """Asks a server for a file; a context, which ends with whoever waits.

    Parameters
    ----------
    url : str
    headers : mapping of str to str
    tick : callable
        Is called several times a second while nothing comes; what it raises ends it.

    Attributes
    ----------
    answer : requests.Response
        Whose content is to be had from `chunks` only.

    Raises
    ------
    requests.exceptions.RequestException
        Also from `chunks`.
    """

    answer: requests.Response

    def __init__(
        self, url: str, headers: Mapping[str, str], tick: Callable[[], None]
    ) -> None:
        self._url, self._headers, self._tick = url, dict(headers), tick
        self._said: queue.Queue[Said] = queue.Queue(_AHEAD)
        self._left = threading.Event()

    def __enter__(self) -> Wire:
        # A daemon: where a server keeps silent, nobody waits for it to end.
        reader = threading.Thread(
            target=self._read, name="napari-sam download: read", daemon=True
        )
        reader.start()
        try:
            answer = self._next()
        except BaseException:
            self._left.set()
            raise
        self.answer = cast("requests.Response", answer)  # always the first
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        with contextlib.suppress(AttributeError, OSError, ValueError, RuntimeError):
            # Wakes a read that waits; of urllib3 below 2.3 it ends with its timeout.
            self.answer.raw.shutdown()

    def chunks(self) -> Iterator[bytes]:
        """Yield the content, piece by piece."""
        while isinstance(chunk := self._next(), bytes):
            yield chunk

    def _next(self) -> Said:
        while True:
            try:
                said = self._said.get(timeout=_TICK)
            except queue.Empty:
                self._tick()
            else:
                if isinstance(said, Exception):
                    raise said
                return said

    def _read(self) -> None:
        try:
            with requests.get(
                self._url, headers=self._headers, stream=True, timeout=_WAIT
            ) as answer:
                self._say(answer)
                for chunk in answer.iter_content(_CHUNK):
                    if not self._say(chunk):
                        return
            self._say(None)
        except Exception as error:
            self._say(error)

    def _say(self, said: Said) -> bool:
        """Hand something over; False where nobody waits any more."""
        while not self._left.is_set():
            with contextlib.suppress(queue.Full):
                self._said.put(said, timeout=_TICK)
                return True
        return False
