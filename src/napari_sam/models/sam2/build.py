"""From tensors to a network that runs: ultralytics' modules, strictly loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from napari_sam.models.sam1.build import load
from napari_sam.models.sam2.architecture import Size
from napari_sam.models.ultra import load_ultralytics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam.models.sam2.architecture import Architecture

_BUILDERS = {Size.TINY: "t", Size.SMALL: "s", Size.BASE_PLUS: "b", Size.LARGE: "l"}


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
        ultralytics' `SAM2Model`; float32, on the tensors' device, for evaluation,
        without gradients.

    Raises
    ------
    ModelError
        If a tensor is missing, has another shape, or is not part of the network.
    """
    where = f"{source}: " if source else ""
    what = f"{where}this looks like {architecture.name}"
    return load(empty(architecture), tensors, what=what)


def empty(architecture: Architecture) -> nn.Module:
    """Return the network with weights that mean nothing."""
    builders = load_ultralytics("ultralytics.models.sam.build")
    make = getattr(builders, f"build_sam2_{_BUILDERS[architecture.size]}")
    # Not on the meta device: it keeps tables that are in no checkpoint.
    with torch.random.fork_rng(devices=[]):
        network: Any = make(None)
        if architecture.newer:
            # ultralytics makes 2.1 only where a file's name says so.
            network.no_obj_embed_spatial = nn.Parameter(torch.zeros(1, network.mem_dim))
            network.proj_tpos_enc_in_obj_ptrs = True
            network.use_signed_tpos_enc_to_obj_ptrs = True
            network.obj_ptr_tpos_proj = nn.Linear(network.hidden_dim, network.mem_dim)
        else:
            network.add_tpos_enc_to_obj_ptrs = False
    module: nn.Module = network
    return module
