"""The pocket model's file: safetensors, convolutions in fp16, norms in fp32."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_sam.models.pocket.network import PocketNetwork
from napari_sam.types import ModelError

if TYPE_CHECKING:
    from pathlib import Path

ARCHITECTURE = "pocket-2"


def save_weights(network: PocketNetwork, path: Path, *, version: str) -> None:
    """Write a network's weights beside `path`, then rename.

    Parameters
    ----------
    network : PocketNetwork
    path : Path
    version : str
        Kept in the file's metadata, shown to users and saved with results.
    """
    tensors = {name: _packed(t) for name, t in network.state_dict().items()}
    metadata = {"architecture": ARCHITECTURE, "version": version}
    beside = path.with_suffix(".tmp")
    with beside.open("wb") as file:
        file.write(save(tensors, metadata))
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def _packed(tensor: Tensor) -> Tensor:
    # Running statistics and biases are small, and fp16 would round them where
    # it matters; convolutions are nearly all of the file.
    kind = torch.float16 if tensor.ndim == 4 else tensor.dtype
    return tensor.detach().to(kind).contiguous()


def load_weights(path: Path) -> tuple[PocketNetwork, str]:
    """Read a network, in evaluation mode with batch norm folded in.

    Returns
    -------
    network : PocketNetwork
        On the CPU, float32.
    version : str

    Raises
    ------
    ModelError
        If the file is missing, damaged, or holds another architecture.
    """
    if not path.is_file():
        raise ModelError(f"{path}: there is no such file; check the path")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path}: this is no readable safetensors file ({error}); fetch it again"
        ) from error
    if metadata.get("architecture") != ARCHITECTURE:
        raise ModelError(
            f"{path}: this is no checkpoint of the built-in model; this version "
            'loads the built-in model ("pocket") and its own fine-tuned files'
        )
    network = PocketNetwork()
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(
            f"{path}: the tensors do not fit the built-in model; the file is "
            "damaged or from another version"
        ) from error
    network.eval().requires_grad_(False)
    _fold_norms(network)
    return network.to(memory_format=torch.channels_last), metadata["version"]


def _fold_norms(network: nn.Module) -> None:
    """Fold each batch norm into the convolution before it: same values, faster."""
    for module in network.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for i in range(len(module) - 1):
            convolution, norm = module[i], module[i + 1]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                module[i] = fuse_conv_bn_eval(convolution, norm)
                module[i + 1] = nn.Identity()
