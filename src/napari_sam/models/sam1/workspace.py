"""Memory that is used again for every prompt.

A prompt's image takes 4 MB in each step. Asked for anew each time, the pages of that
go back to the system and come again: about 3,000 page faults a prompt.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor


class Workspace:
    """Named buffers; for one thread at a time."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._buffers: dict[str, Tensor] = {}

    def take(self, name: str, *shape: int) -> Tensor:
        """Return a float32 buffer; it holds whatever its last user left there."""
        size = prod(shape)
        buffer = self._buffers.get(name)
        if buffer is None or buffer.numel() < size:
            buffer = torch.empty(size, device=self._device)
            self._buffers[name] = buffer
        return buffer[:size].view(shape)
