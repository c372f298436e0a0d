"""A layer of memory attention gives ultralytics' values."""

from __future__ import annotations

import pytest
import torch
from ultralytics.models.sam.modules.blocks import RoPEAttention
from ultralytics.models.sam.modules.memory_attention import MemoryAttentionLayer

from napari_sam.models.sam2 import recall
from napari_sam.models.sam2.recall import Layer

GRID, WIDTH, NARROW = 8, 32, 8


def attention(**options):
    options |= {"num_heads": 1, "downsample_rate": 1, "feat_sizes": (GRID, GRID)}
    return RoPEAttention(embedding_dim=WIDTH, **options)


@pytest.mark.parametrize("rows", [7, 64])
@pytest.mark.parametrize(("maps", "words"), [(1, 0), (3, 0), (1, 4), (3, 12)])
@torch.inference_mode()
def test_a_layer_is_the_layer(monkeypatch, rows, maps, words):
    torch.manual_seed(0)
    monkeypatch.setattr(recall, "_ROWS", rows)
    theirs = MemoryAttentionLayer(
        WIDTH,
        64,
        self_attn=attention(),
        cross_attn=attention(kv_in_dim=NARROW, rope_k_repeat=True),
    ).eval()
    for parameter in theirs.parameters():
        parameter += 0.3 * torch.randn_like(parameter)
    x = torch.randn(1, GRID**2, WIDTH)
    memory, places = torch.randn(2, maps * GRID**2 + words, NARROW)
    expected = theirs(x, memory[None], places[None], None, words)
    layer = Layer(theirs, GRID)
    found = layer.digest(layer.recall(layer.look(x)[0], memory, places, words))
    torch.testing.assert_close(found, expected[0], rtol=1e-4, atol=1e-4)
    nowhere = theirs(x, memory[None], 0 * places[None], None, words)
    assert (expected - nowhere).abs().max() > 0.01
