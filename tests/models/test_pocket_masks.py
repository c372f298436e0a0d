"""What a region sees of a mask, sampled only where the region is."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from napari_sam.models.pocket.masks import Known
from napari_sam.models.pocket.network import REGION, crop


def sampled(probabilities, region):
    """The same in words of torch: the whole plane as floats."""
    plane = torch.from_numpy(probabilities.astype(np.float32))[None, None]
    side = region[2] - region[0]
    finer = max(1, int(np.ceil(2 * side / REGION)) // 2)
    at = torch.tensor(region, dtype=torch.float32)[None, None]
    return F.avg_pool2d(crop(plane, at, 1, REGION * finer), finer)[0, 0].numpy()


REGIONS = {
    "small": (30.3, 41.1, 47.9, 58.7),
    "a sample a pixel": (40, 20, 104, 84),
    "large": (-70.5, -90.25, 330.5, 310.75),
    "over the rim": (100.2, 150.1, 190.2, 240.1),
    "beside": (-300, -300, -200, -200),
}


@pytest.mark.parametrize("region", REGIONS.values(), ids=REGIONS)
def test_a_region_sees_the_same_as_of_the_whole_plane(region):
    random = np.random.default_rng(0)
    logits = random.normal(size=(131, 173)).astype(np.float32) * 3
    seen = Known(logits).sample(np.array(region, np.float32))
    expected = sampled(1 / (1 + np.exp(-logits)), region)
    np.testing.assert_allclose(seen, expected, atol=2e-4)


@pytest.mark.parametrize("region", REGIONS.values(), ids=REGIONS)
@pytest.mark.parametrize("kind", [np.bool_, np.uint8, np.int64])
def test_pixels_in_their_own_box_are_sampled_as_on_the_plane(region, kind):
    plane = np.zeros((131, 173), kind)
    plane[40:90, 20:60] = 1
    plane[70:80, 50:90] = 1
    whole, part = Known(plane), Known(plane[40:90, 20:90], (40, 20))
    assert whole.box.tolist() == part.box.tolist() == [40, 20, 90, 90]
    place = np.array(region, np.float32)
    np.testing.assert_allclose(whole.sample(place), part.sample(place), atol=1e-6)
    np.testing.assert_allclose(whole.sample(place), sampled(plane, region), atol=2e-4)


def test_a_mask_as_large_as_the_plane_takes_little_memory():
    mask = np.ones((4000, 5000), np.bool_)
    region = np.array([-1400, -1000, 5400, 5800], np.float32)
    tracemalloc.start()
    seen = Known(mask).sample(region)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < mask.nbytes
    assert seen[32, 32] == pytest.approx(1, abs=1e-4)
    assert seen[0].max() == 0
