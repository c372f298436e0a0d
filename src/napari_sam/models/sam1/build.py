"""From tensors to a network that runs: ultralytics' modules, strictly loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_sam.models.sam1.architecture import Architecture
from napari_sam.models.ultra import load_ultralytics
from napari_sam.types import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Looked up from the weights again at every `eval()`; some files carry them.
_DERIVED = (".attn.ab", ".attn.attention_bias_idxs")
_NAMED = 3  # tensors that an error names


def build(
    architecture: Architecture, tensors: Mapping[str, Tensor], *, source: str = ""
) -> nn.Module:
    """Build a network and give it its weights.

    Parameters
    ----------
    architecture : Architecture
    tensors : mapping of str to Tensor
        A flat state dict with Meta's names, of any float dtype; float32 tensors
        are used as they are, not copied.
    source : str
        What errors call the checkpoint: its path.

    Returns
    -------
    nn.Module
        With `image_encoder`, `prompt_encoder` and `mask_decoder`; float32, on
        the tensors' device, for evaluation, without gradients.

    Raises
    ------
    ModelError
        If a tensor is missing, has another shape, or is not part of the network.
    """
    name = f"SAM 1 ({architecture.value})"
    where = f"{source}: " if source else ""
    return load(empty(architecture), tensors, what=f"{where}this looks like {name}")


def load(
    network: nn.Module, tensors: Mapping[str, Tensor], *, what: str = "the model"
) -> nn.Module:
    """Give a network exactly the weights that it needs.

    Parameters
    ----------
    network : nn.Module
        From `empty`.
    tensors : mapping of str to Tensor
    what : str
        How errors begin.

    Returns
    -------
    nn.Module
        The same network.
    """
    given = {k: t for k, t in tensors.items() if not k.endswith(_DERIVED)}
    _check(network.state_dict(), given, what)
    weights = {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in given.items()
    }
    network.load_state_dict(weights, assign=True)
    # MobileSAM keeps attention biases that it looks up when `eval()` is called,
    # which the builder has done already: with random weights.
    return network.train().eval().requires_grad_(False)


def empty(architecture: Architecture) -> nn.Module:
    """Return the network without weights, for SAM b/l/h without their memory."""
    builders = load_ultralytics("ultralytics.models.sam.build")
    network: nn.Module
    if architecture is Architecture.VIT_T:
        # Its attention keeps index tables that are in no checkpoint.
        with torch.random.fork_rng(devices=[]):
            network = builders.build_mobile_sam(None)
        return network
    make = getattr(builders, f"build_sam_{architecture.value}")
    with torch.device("meta"):
        network = make(None)
    # In no checkpoint, so they stay on the meta device; `ImageEncoder` has its own.
    del network.pixel_mean, network.pixel_std
    return network


def _check(
    expected: Mapping[str, Tensor], given: Mapping[str, Tensor], what: str
) -> None:
    missing = sorted(expected.keys() - given.keys())
    if missing:
        raise ModelError(
            f"{what}, but {_some(missing)} missing; the file is incomplete, fetch "
            "it again or save the whole model"
        )
    unknown = sorted(given.keys() - expected.keys())
    if unknown:
        raise ModelError(
            f"{what}, but {_some(unknown)} not part of it; models with added layers "
            "(SAM-HQ, adapters, LoRA) cannot be loaded"
        )
    for name, tensor in expected.items():
        if tensor.shape != given[name].shape:
            raise ModelError(
                f'{what}, but the tensor "{name}" is {tuple(given[name].shape)} '
                f"instead of {tuple(tensor.shape)}; only models for 1024×1024 "
                "pixels can be loaded"
            )


def _some(names: Sequence[str]) -> str:
    """Name a few tensors: `"a", "b", "c" and 7 more tensors are`."""
    named = ", ".join(f'"{name}"' for name in names[:_NAMED])
    if len(names) == 1:
        return f"the tensor {named} is"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"the tensors {named}{more} are"
