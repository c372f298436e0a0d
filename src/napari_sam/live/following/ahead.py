"""Planes for the lane: the next one is read while models run on this one."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Final

from napari_sam.models.lane import checkpoint
from napari_sam.models.runtime import stand_back

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.images import Plane
    from napari_sam.live.prompting.reading import Reader
    from napari_sam.live.values import Index

_PAUSE: Final = 0.05  # seconds after which a waiting click may run


class Ahead:
    """Reads planes one after the other, in the order in which they are asked for.

    Parameters
    ----------
    reader : Reader
    index_of : callable
        Returns where a plane is by its number.
    count : int
        Planes that there are.
    """

    def __init__(
        self, reader: Reader, index_of: Callable[[int], Index], count: int
    ) -> None:
        self._reader, self._index_of, self._count = reader, index_of, count
        self._thread = ThreadPoolExecutor(
            1, "napari-sam follow: read", initializer=stand_back
        )
        self._last: int | None = None
        self._next: tuple[int, Future[Plane]] | None = None

    def __call__(self, number: int) -> Plane:
        """Return a plane; on the lane, where others go first while it is read.

        Raises
        ------
        ImageError
            If it cannot be read.
        """
        known, self._next = self._next, None
        if known is None or known[0] != number:
            known = number, self._thread.submit(self._read, number)
        step = 1 if self._last is None else number - self._last
        self._last, after = number, number + step
        if abs(step) == 1 and 0 <= after < self._count:
            self._next = after, self._thread.submit(self._read, after)
        while not wait([known[1]], _PAUSE).done:
            checkpoint()
        return known[1].result()

    def close(self) -> None:
        """Read no more; what is being read ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _read(self, number: int) -> Plane:
        return self._reader.plane(self._index_of(number))
