"""The faster encoder gives ultralytics' values, and can be interrupted."""

from __future__ import annotations

import copy

import pytest
import torch
from ultralytics.models.sam.modules.blocks import REAttention
from ultralytics.models.sam.modules.tiny_encoder import Attention, Conv2d_BN

from napari_sam.models.sam1 import encoder, vit
from napari_sam.models.sam1.tiny_vit import WindowAttention, fold_norms
from napari_sam.models.sam1.vit import RelativeAttention


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def randomised(module):
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) + 0.5)
    return module.eval()


@pytest.mark.parametrize("most", [1, 300, 36 * 36, 10**6])
@torch.inference_mode()
def test_attention_in_parts_is_the_attention(monkeypatch, most):
    theirs = REAttention(32, num_heads=4, use_rel_pos=True, input_size=(6, 6))
    torch.nn.init.normal_(theirs.rel_pos_h)
    torch.nn.init.normal_(theirs.rel_pos_w)
    monkeypatch.setattr(vit, "_ON_CPU", most)
    x = torch.randn(3, 6, 6, 32)
    torch.testing.assert_close(RelativeAttention(theirs)(x), theirs(x))


@torch.inference_mode()
def test_attention_in_windows_is_the_attention():
    theirs = Attention(32, 8, num_heads=4, attn_ratio=1, resolution=(7, 7))
    torch.nn.init.normal_(theirs.attention_biases)
    theirs.train().eval()
    x = torch.randn(5, 49, 32)
    torch.testing.assert_close(WindowAttention(theirs)(x), theirs(x))


@torch.inference_mode()
def test_folded_norms_are_the_norms():
    theirs = randomised(torch.nn.Sequential(Conv2d_BN(4, 8, 3, pad=1), torch.nn.GELU()))
    ours = copy.deepcopy(theirs)
    fold_norms(ours)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in ours.modules())
    x = torch.randn(2, 4, 9, 9)
    torch.testing.assert_close(ours(x), theirs(x))


class _Unwanted(BaseException):
    pass


def test_encoding_ends_between_two_blocks(mobile, planes, monkeypatch):
    passed = []

    def checkpoint():
        passed.append(len(passed))
        if len(passed) == 3:
            raise _Unwanted

    monkeypatch.setattr(encoder, "checkpoint", checkpoint)
    with pytest.raises(_Unwanted):
        mobile.ours.encode(planes["tiny"])
    assert len(passed) == 3


def test_bfloat16_is_near(mobile, mobile_network, planes):
    plane = planes["wide"]
    exact, _ = mobile.see(plane)
    rounded = mobile_network("bfloat16").encode(plane)
    expected, found = (e.tiles[0].features for e in (exact, rounded))
    assert found.dtype == torch.float32
    error = (found - expected).square().mean().sqrt() / expected.std()
    assert 0 < error < 0.1
