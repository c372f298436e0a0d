"""The lane of somebody whose models change, and with them the device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.models.lane.handle import LaneHandle, acquire

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari_sam.models.lane.request import Post


class OwnLane:
    """Joins the lane of a device when it is first asked for, and leaves the last one.

    Parameters
    ----------
    owner : hashable
    post : callable
        See `acquire`.
    """

    def __init__(self, owner: Hashable, post: Post) -> None:
        self._owner, self._post = owner, post
        self._joined: tuple[str, LaneHandle] | None = None

    def on(self, device: str) -> LaneHandle:
        """Return the lane of a device; that of another one is left at once."""
        if self._joined is not None and self._joined[0] != device:
            self.close(timeout=0.0)
        if self._joined is None:
            lane = acquire(device, owner=self._owner, post=self._post)
            self._joined = device, lane
        return self._joined[1]

    @property
    def idle(self) -> bool:
        """Whether nothing of this owner is to be done."""
        return self._joined is None or self._joined[1].idle

    def close(self, timeout: float = 2.0) -> None:
        """Leave the lane; it can be joined again. See `LaneHandle.close`."""
        if self._joined is not None:
            self._joined[1].close(timeout)
        self._joined = None
