"""Masks cut out in their own boxes are those of the whole plane."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from segment_anything.modeling.sam import Sam
from segment_anything.utils.amg import calculate_stability_score

from napari_sam.models.sam1.geometry import INPUT, LOW, Frame
from napari_sam.models.sam1.masks import full_logits, stability_score, to_mask


class _Side:
    img_size = INPUT


class _Postprocessor(Sam):
    """Meta's `postprocess_masks` without the networks, which it does not use."""

    def __init__(self):
        torch.nn.Module.__init__(self)
        self.image_encoder = _Side()


def meta_logits(frame, logits):
    low = torch.from_numpy(logits)[None, None]
    return _Postprocessor().postprocess_masks(low, frame.inner, frame.shape)[0, 0]


def blob(y, x, radius, seed=0):
    rows, columns = np.mgrid[:LOW, :LOW] + 0.5
    noise = np.random.default_rng(seed).normal(0, 0.3, (LOW, LOW))
    away = np.hypot(rows - y, columns - x)
    return ((radius - away) + noise).astype(np.float32)


SHAPES = [(300, 300), (520, 696), (3000, 2251), (9, 14), (1, 1), (700, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "logits",
    [
        blob(40, 60, 12),
        blob(0, 0, 3),
        blob(128, 128, 300),
        blob(100, 100, 0.6),
        np.random.default_rng(1).normal(size=(LOW, LOW)).astype(np.float32),
    ],
    ids=["small", "corner", "everything", "speck", "noise"],
)
def test_a_mask_is_what_meta_postprocesses(shape, logits):
    frame = Frame.of(shape)
    expected = meta_logits(frame, logits).numpy()
    np.testing.assert_allclose(full_logits(frame, logits), expected, atol=1e-3)
    mask = to_mask(frame, logits, score=0.5)
    sure = np.abs(expected) > 1e-3
    np.testing.assert_array_equal(mask.full(shape)[sure], expected[sure] > 0)
    if mask.area:
        y0, x0, y1, x1 = mask.box
        assert mask.data.shape == (y1 - y0, x1 - x0)
        assert mask.data.any(1)[[0, -1]].all()
        assert mask.data.any(0)[[0, -1]].all()
        assert mask.score == 0.5


def test_nothing_above_the_threshold_is_an_empty_mask_with_the_score_0():
    mask = to_mask(Frame.of((50, 60)), np.full((LOW, LOW), -1, np.float32), 0.9)
    assert (mask.area, mask.score, mask.stability) == (0, 0, 0)


def test_what_lies_in_the_padding_is_no_part_of_the_plane():
    logits = np.full((LOW, LOW), -5, np.float32)
    logits[:, 200:] = 5
    mask = to_mask(Frame.of((100, 50)), logits, 0.9)
    assert (mask.area, mask.score) == (0, 0)


def test_large_planes_are_upsampled_in_parts_with_the_same_result():
    shape = (5000, 4000)
    frame, logits = Frame.of(shape), blob(128, 100, 120)
    mask = to_mask(frame, logits, 0.9)
    expected = meta_logits(frame, logits).numpy()
    sure = np.abs(expected) > 1e-3
    np.testing.assert_array_equal(mask.full(shape)[sure], expected[sure] > 0)


def test_stability_is_metas():
    logits = blob(100, 120, 20)
    expected = calculate_stability_score(torch.from_numpy(logits)[None], 0.0, 1.0)
    assert stability_score(logits) == pytest.approx(float(expected))
    assert stability_score(np.full((4, 4), -3, np.float32)) == 0
