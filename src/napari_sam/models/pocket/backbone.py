"""EfficientNet-Lite0 as a feature extractor (Tan & Le 2019, arXiv:1905.11946).

"Lite" drops squeeze-and-excitation and uses ReLU6, which keeps it quick on
CPUs. Layer names follow our own structure; `training.pocket.pretrained` maps
the ImageNet weights onto them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# (kernel, stride, expansion, input, output, repeats)
_STAGES = (
    (3, 1, 1, 32, 16, 1),
    (3, 2, 6, 16, 24, 2),
    (5, 2, 6, 24, 40, 2),
    (3, 2, 6, 40, 80, 3),
    (5, 1, 6, 80, 112, 3),
    (5, 2, 6, 112, 192, 4),
    (3, 1, 6, 192, 320, 1),
)
# Stages whose output is handed on, with their channels: strides 2, 4, 8, 16, 32.
OUTPUTS = {0: 16, 1: 24, 2: 40, 4: 112, 6: 320}


class Conv(nn.Module):
    """Convolution and, unless told otherwise, ReLU6.

    The batch norm of the original is folded into the weights: it would be
    frozen anyway, since batches here are far too small for statistics.
    Padding is TensorFlow's "same" for even sizes (one pixel more after than
    before at stride 2), because the ImageNet weights were trained with it.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        *,
        groups: int = 1,
        activate: bool = True,
    ) -> None:
        super().__init__()
        total = kernel - stride
        before, after = total // 2, total - total // 2
        self.pad = None if before == after else (before, after, before, after)
        self.conv = nn.Conv2d(
            inputs,
            outputs,
            kernel,
            stride,
            padding=before if self.pad is None else 0,
            groups=groups,
        )
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        """Apply to (N, C, H, W) with even H and W."""
        if self.pad is not None:
            x = F.pad(x, self.pad)
        x = self.conv(x)
        return F.relu6(x, inplace=True) if self.activate else x


class Block(nn.Module):
    """Mobile inverted bottleneck: expand, depthwise, project, skip."""

    def __init__(
        self, kernel: int, stride: int, expansion: int, inputs: int, outputs: int
    ) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = Conv(inputs, hidden, 1) if expansion > 1 else nn.Identity()
        self.depthwise = Conv(hidden, hidden, kernel, stride, groups=hidden)
        self.project = Conv(hidden, outputs, 1, activate=False)
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Apply to (N, C, H, W)."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.skip else y


class Backbone(nn.Module):
    """Feature maps at strides 2, 4, 8, 16 and 32 of an RGB image."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(3, 32, 3, 2)
        stages = []
        for kernel, stride, expansion, inputs, outputs, repeats in _STAGES:
            blocks = [Block(kernel, stride, expansion, inputs, outputs)]
            blocks += [
                Block(kernel, 1, expansion, outputs, outputs)
                for _ in range(repeats - 1)
            ]
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return maps of 16, 24, 40, 112 and 320 channels.

        Parameters
        ----------
        x : float tensor, shape (N, 3, H, W)
            Pixels as (value - 127) / 128; H and W are multiples of 32.
        """
        x = self.stem(x)
        maps = []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in OUTPUTS:
                maps.append(x)
        return maps


def prepare(pixels: Tensor) -> Tensor:
    """Turn uint8 pixels (N, 3, H, W) into what the backbone was trained with."""
    return (pixels.to(torch.float32) - 127.0) / 128.0
