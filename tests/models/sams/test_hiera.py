"""SAM 2's blocks in strips are ultralytics' blocks."""

from __future__ import annotations

import pytest
import torch
from ultralytics.models.sam.modules.blocks import MultiScaleBlock

from napari_sam.models.sam2 import hiera
from napari_sam.models.sam2.hiera import Block

BLOCKS = {
    "windows": {"window_size": 4},
    "windows that do not fit": {"window_size": 5},
    "all": {"window_size": 0},
    "half the size": {"window_size": 4, "dim_out": 24, "q_stride": (2, 2)},
    "half, not fitting": {"window_size": 6, "dim_out": 24, "q_stride": (2, 2)},
}


@pytest.mark.parametrize("rows", [1, 100, 10**6])
@pytest.mark.parametrize("kind", BLOCKS)
@torch.inference_mode()
def test_blocks_in_strips_are_the_blocks(monkeypatch, kind, rows):
    torch.manual_seed(0)
    monkeypatch.setattr(hiera, "ROWS", rows)
    theirs = MultiScaleBlock(
        **{"dim": 12, "dim_out": 12, "num_heads": 2, **BLOCKS[kind]}
    )
    x = torch.randn(2, 16, 16, 12)
    before = x.clone()
    torch.testing.assert_close(Block(theirs.eval())(x), theirs(x))
    assert torch.equal(x, before)
