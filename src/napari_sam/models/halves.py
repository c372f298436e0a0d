"""Tensors as arrays of half precision, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    import numpy.typing as npt


def halved(tensor: Tensor) -> npt.NDArray[Any]:
    """Return a tensor as float16; as float32 where that cannot hold it."""
    half = tensor.half()
    kept = half if bool(half.isfinite().all()) else tensor.float()
    array: npt.NDArray[Any] = kept.contiguous().cpu().numpy()
    return array


def restored(array: npt.NDArray[Any], device: torch.device) -> Tensor:
    """Return such an array as a float32 tensor of its own."""
    return torch.tensor(array, device=device).float()
