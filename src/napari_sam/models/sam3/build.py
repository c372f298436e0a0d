"""From tensors to a network that runs: ultralytics' modules, strictly loaded.

Ultralytics itself loads what fits and leaves the rest at random.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from napari_sam.models.sam1.build import load
from napari_sam.models.sam3.architecture import for_prompts
from napari_sam.models.ultra import load_ultralytics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def build(tensors: Mapping[str, Tensor], *, source: str = "") -> nn.Module:
    """Build the half of SAM 3 that answers prompts and give it its weights.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        A flat state dict with Meta's names, of any float dtype; float32 tensors
        are used as they are, not copied.
    source : str
        What errors call the checkpoint: its path.

    Returns
    -------
    nn.Module
        ultralytics' `SAM3Model`; float32, on the tensors' device, for evaluation,
        without gradients.

    Raises
    ------
    ModelError
        If a tensor is missing, has another shape, or is not part of the network.
    """
    where = f"{source}: " if source else ""
    what = f"{where}this looks like SAM 3"
    return load(empty(), for_prompts(tensors), what=what)


def empty() -> nn.Module:
    """Return the network with weights that mean nothing."""
    builders: Any = load_ultralytics("ultralytics.models.sam.build_sam3")
    # Not on the meta device: it keeps tables that are in no checkpoint.
    with torch.random.fork_rng(devices=[]), _without_a_file(builders):
        network: nn.Module = builders.build_interactive_sam3("")
    return network


@contextmanager
def _without_a_file(builders: Any) -> Iterator[None]:
    """Let a network be built that reads no checkpoint: there is no other way in."""
    read = builders._load_checkpoint
    builders._load_checkpoint = lambda model, *_, **__: model
    try:
        yield
    finally:
        builders._load_checkpoint = read
