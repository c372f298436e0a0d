"""Frames and parts: where things are before and after."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sam.models.yolo.letterbox import fit, scale
from napari_sam.models.yolo.parts import cut


@pytest.mark.parametrize("shape", [(300, 420), (64, 64), (3, 500), (1001, 77)])
@pytest.mark.parametrize("stride", [None, 32])
def test_boxes_come_back_from_a_frame(shape, stride):
    framed = fit(np.zeros((*shape, 3), np.uint8), (320, 320), stride)
    height, width = framed.pixels.shape[:2]
    assert (height, width) == (320, 320) or stride == 32
    assert height % 32 == width % 32 == 0
    (top, left), (gy, gx) = framed.pad, framed.gain
    box = torch.tensor([[left, top, left + shape[1] * gx, top + shape[0] * gy]])
    assert framed.back(box)[0].tolist() == pytest.approx([0, 0, *shape], abs=1e-3)
    beyond = torch.tensor([[-50.0, -50.0, 900.0, 900.0]])
    assert framed.back(beyond)[0].tolist() == [0, 0, *shape]


def test_a_frame_holds_the_plane_and_grey_around_it():
    framed = fit(np.full((100, 200, 3), 250, np.uint8), (128, 128), None)
    (top, left), inner = framed.pad, np.zeros((128, 128), bool)
    assert (top, left) == (32, 0)
    inner[32:96] = True
    assert (framed.pixels[inner] == 250).all()
    assert (framed.pixels[~inner] == 114).all()


@pytest.mark.parametrize("factor", [0.25, 1.0, 2.7])
def test_a_scaled_plane_is_padded_to_the_stride(factor):
    framed = scale(np.full((90, 130, 3), 9, np.uint8), factor, 32)
    inner = [round(90 * factor), round(130 * factor)]
    assert (framed.pixels[: inner[0], : inner[1]] == 9).all()
    assert framed.pixels.any(-1).sum() == inner[0] * inner[1]
    whole = torch.tensor([[0.0, 0.0, inner[1], inner[0]]])
    assert framed.back(whole)[0].tolist() == pytest.approx([0, 0, 90, 130])


@pytest.mark.parametrize("shape", [(100, 100), (101, 333), (64, 1000), (7, 3)])
@pytest.mark.parametrize(("side", "overlap"), [(64, 16), (50, 0), (100, 99)])
def test_every_point_belongs_to_one_part_that_holds_what_is_around_it(
    shape, side, overlap
):
    owners = np.zeros(shape, int)
    y, x = (np.arange(n) + 0.5 for n in shape)
    for (y0, x0, y1, x1), (top, left, bottom, right) in cut(shape, side, overlap):
        assert 0 <= y0 < y1 <= shape[0]
        assert 0 <= x0 < x1 <= shape[1]
        assert max(y1 - y0, x1 - x0) <= side
        rows, columns = (y >= top) & (y < bottom), (x >= left) & (x < right)
        owners += rows[:, None] & columns
        for low, high, owned, at, n in (
            (y0, y1, rows, y, shape[0]),
            (x0, x1, columns, x, shape[1]),
        ):
            # Half the overlap around what is owned, unless the plane ends there.
            assert low == 0 or at[owned].min() - low >= overlap / 2 - 0.5
            assert high == n or high - at[owned].max() >= overlap / 2 - 0.5
    assert (owners == 1).all()
