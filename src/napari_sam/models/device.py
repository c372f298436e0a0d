"""Where models run."""

from __future__ import annotations

import torch

from napari_sam.types import ModelError


def resolve_device(name: str) -> torch.device:
    """Turn a user's words into a device that works here.

    Parameters
    ----------
    name : str
        "auto" (the first of cuda, mps and cpu that is there), "cpu", "cuda",
        "cuda:1", "mps".

    Raises
    ------
    ModelError
        If there is no such device on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        if torch.backends.mps.is_available():
            return torch.device("mps")
        return torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    here = device is not None and (
        device.type == "cpu"
        or (device.type == "mps" and torch.backends.mps.is_available())
        or (
            device.type == "cuda"
            and torch.cuda.is_available()
            and (device.index or 0) < torch.cuda.device_count()
        )
    )
    if device is None or not here:
        raise ModelError(
            f'there is no device "{name}" on this machine; use --device auto or cpu'
        )
    return device


def device_of_worker(name: str, number: int) -> str:
    """Return where one of several processes on this machine runs its models.

    Graphics cards are dealt out in turn, unless one was named.

    Parameters
    ----------
    name : str
        As for `resolve_device`.
    number : int
        Of the process, from 0.
    """
    if name in ("auto", "cuda") and (cards := torch.cuda.device_count()):
        return f"cuda:{number % cards}"
    return name


def has_fast_bfloat16(device: torch.device) -> bool:
    """Tell whether a processor multiplies bfloat16 at least as fast as float32.

    Those with AVX-512 BF16 or AMX do. Others emulate it; graphics cards are fast
    enough as they are.
    """
    if device.type != "cpu":
        return False
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    asked = (getattr(torch.cpu, name, None) for name in names)
    return any(supported() for supported in asked if supported is not None)
