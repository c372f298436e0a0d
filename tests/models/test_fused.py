"""Fused layers give the values of torch's, with oneDNN and without."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from napari_sam.models import fused
from napari_sam.models.fused import Convolution, Linear, Mlp, join, multiply, quicken


@pytest.fixture(autouse=True, params=["as it is", "without oneDNN"])
def _seeded(request, monkeypatch):
    torch.manual_seed(0)
    if request.param == "without oneDNN":
        monkeypatch.setattr(fused, "_has_onednn", lambda: False)


@pytest.mark.parametrize("gelu", [False, True])
@torch.inference_mode()
def test_a_linear_layer(gelu):
    layer = nn.Linear(12, 20)
    x = torch.randn(2, 5, 12)
    expected = F.gelu(layer(x)) if gelu else layer(x)
    torch.testing.assert_close(Linear(layer, gelu=gelu)(x), expected)
    # Of what is only a view, too.
    across = torch.randn(12, 7).T
    expected = F.gelu(layer(across)) if gelu else layer(across)
    torch.testing.assert_close(Linear(layer, gelu=gelu)(across), expected)


@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 1},
        {"kernel_size": 1, "bias": False},
        {"kernel_size": 3, "padding": 1, "groups": 8},
        {"kernel_size": 3, "stride": 2, "padding": 1},
    ],
)
@torch.inference_mode()
def test_a_convolution(gelu, options):
    layer = nn.Conv2d(8, 16, **options)
    x = torch.randn(2, 8, 9, 11).contiguous(memory_format=torch.channels_last)
    expected = F.gelu(layer(x)) if gelu else layer(x)
    torch.testing.assert_close(Convolution(layer, gelu=gelu)(x), expected)


@pytest.mark.parametrize("rows", [1, 4, 100])
@torch.inference_mode()
def test_two_layers_in_strips(monkeypatch, rows):
    monkeypatch.setattr(fused, "ROWS", rows)
    first, second = nn.Linear(6, 24), nn.Linear(24, 5)
    x = torch.randn(3, 7, 6)
    torch.testing.assert_close(Mlp(first, second)(x), second(F.gelu(first(x))))


@torch.inference_mode()
def test_where_numbers_are_rounded_on_purpose_they_are():
    layer = nn.Linear(12, 20)
    x = torch.randn(5, 12)
    with torch.autocast("cpu", torch.bfloat16):
        found = Linear(layer, gelu=True)(x)
    assert found.dtype == torch.bfloat16


@torch.inference_mode()
def test_two_convolutions_are_one():
    first, second = nn.Conv2d(5, 8, 3, padding=1), nn.Conv2d(8, 4, 1)
    x = torch.randn(1, 5, 6, 7)
    torch.testing.assert_close(join(first, second)(x), second(first(x)))


@torch.inference_mode()
def test_products_of_all_with_all():
    rows, others = torch.randn(7, 6), torch.randn(9, 6)
    torch.testing.assert_close(multiply(rows, others), rows @ others.T)


class _Perceptron(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(4, 8), act, nn.Linear(8, 4)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))


@pytest.mark.parametrize("act", [nn.GELU(), nn.GELU("tanh"), nn.ReLU()])
@torch.inference_mode()
def test_a_network_made_of_them_stays_the_same(act):
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(2), nn.Linear(6, 4))
    network.append(_Perceptron(act))
    x = torch.randn(2, 3, 2, 3)
    expected = network(x)
    quicken(network)
    assert not any(type(m) in (nn.Linear, nn.Conv2d) for m in network.modules())
    torch.testing.assert_close(network(x), expected)
