"""From prompts to what the decoder takes: regions, prompt maps, boxes read.

Everything here works on tensors in (y, x) pixels and is shared by training
and use, so that the network meets the same maps in both.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_sam.models.pocket.network import REGION, STRIDE

MARGIN = 1.7  # side of a region over the longer side of its box
SMALLEST = 8.0  # pixels; a region is never smaller than MARGIN times this
GIVEN, READ = 1.0, 0.5  # how much the box map is to be trusted
_CLICK = 1.5  # standard deviation of a click's spot, in samples of the region


def square_regions(boxes: Tensor) -> Tensor:
    """Return the square region (..., 4) around each box (..., 4)."""
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    side = (boxes[..., 2:] - boxes[..., :2]).amax(-1, keepdim=True)
    half = side.clamp(min=SMALLEST) * (MARGIN / 2)
    return torch.cat([centre - half, centre + half], -1)


def sample_positions(regions: Tensor, size: int = REGION) -> tuple[Tensor, Tensor]:
    """Return y and x (..., size) of the centres of a region's samples."""
    steps = (torch.arange(size, device=regions.device) + 0.5) / size
    low, extent = regions[..., :2], regions[..., 2:] - regions[..., :2]
    at = low[..., None] + extent[..., None] * steps
    return at[..., 0, :], at[..., 1, :]


def prompt_maps(
    regions: Tensor,
    points: Tensor,
    labels: Tensor,
    boxes: Tensor,
    trust: Tensor,
    masks: Tensor | None = None,
    has_mask: Tensor | None = None,
) -> Tensor:
    """Draw prompts into their regions.

    Parameters
    ----------
    regions : (K, 4)
    points : (K, P, 2)
        Clicks (y, x) in pixels.
    labels : (K, P)
        1 foreground, 0 background, -1 no click.
    boxes : (K, 4)
    trust : (K,)
        GIVEN, READ, or 0 where there is no box.
    masks : (K, 64, 64), optional
        Probabilities of the object as known so far.
    has_mask : (K,), optional
        1 where `masks` holds one, else 0.

    Returns
    -------
    (K, 6, 64, 64)
    """
    y, x = sample_positions(regions)
    cell = (regions[:, 2] - regions[:, 0]) / REGION
    scale = 2 * (_CLICK * cell) ** 2
    away_y = (y[:, None] - points[..., :1]) ** 2 / scale[:, None, None]
    away_x = (x[:, None] - points[..., 1:]) ** 2 / scale[:, None, None]
    # Without the limit the spots end in denormal numbers, which processors are
    # many times slower with.
    near_y, near_x = (torch.exp(-away.clamp(max=20)) for away in (away_y, away_x))
    spots = near_y[..., :, None] * near_x[..., None, :]  # (K, P, 64, 64)
    foreground = (spots * (labels == 1)[..., None, None]).amax(1)
    background = (spots * (labels == 0)[..., None, None]).amax(1)
    has_box = (trust > 0).to(regions.dtype)[:, None, None]
    rows = _coverage(y, cell, boxes[:, 0], boxes[:, 2])
    columns = _coverage(x, cell, boxes[:, 1], boxes[:, 3])
    box = rows[:, :, None] * columns[:, None, :] * has_box
    ones = torch.ones_like(box)
    if masks is None or has_mask is None:
        mask = known = torch.zeros_like(box)
    else:
        known = ones * has_mask[:, None, None]
        mask = masks * known
    maps = [foreground, background, box, ones * trust[:, None, None], mask, known]
    return torch.stack(maps, 1)


def _coverage(at: Tensor, cell: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return the covered part (K, 64) of each sample along one axis, 0 to 1."""
    half = cell[:, None] / 2
    first = torch.maximum(at - half, low[:, None])
    last = torch.minimum(at + half, high[:, None])
    return ((last - first) / cell[:, None]).clamp(0, 1)


def resample(values: Tensor, old: Tensor, new: Tensor, outside: float) -> Tensor:
    """Carry maps (K, 64, 64) from their regions (K, 4) over to other regions."""
    y, x = sample_positions(new)
    extent = old[:, 2:] - old[:, :2]
    y = (y - old[:, :1]) / extent[:, :1] * 2 - 1
    x = (x - old[:, 1:2]) / extent[:, 1:] * 2 - 1
    square = (-1, REGION, REGION)
    grid = torch.stack([x[:, None].expand(square), y[..., None].expand(square)], -1)
    moved = F.grid_sample((values - outside)[:, None], grid, align_corners=False)
    return moved[:, 0] + outside


def cell_boxes(dense: Tensor, cells: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Return the boxes that cells of a dense map (6, h, w) read.

    Parameters
    ----------
    dense : (6, h, w)
    cells : (rows, columns), each of shape (...), optional
        By default all, (h, w): many more than a few clicks need.

    Returns
    -------
    (4, ...)
    """
    if cells is None:
        height, width = dense.shape[-2:]
        rows = torch.arange(height, device=dense.device)[:, None].expand(-1, width)
        cells = rows, torch.arange(width, device=dense.device).expand(height, -1)
    rows, columns = cells
    y, x = (rows + 0.5) * STRIDE, (columns + 0.5) * STRIDE
    top, left, bottom, right = dense[2:, rows, columns].clamp(max=7).exp()
    return torch.stack([y - top, x - left, y + bottom, x + right])


def read_boxes(dense: Tensor, points: Tensor) -> Tensor:
    """Read the box of the object under each click.

    The cells around a click vote: those that see foreground and agree with the
    cell under the click, so that a touching neighbour has no say.

    Parameters
    ----------
    dense : (6, h, w)
    points : (K, 2)

    Returns
    -------
    (K, 4)
    """
    height, width = dense.shape[-2:]
    own = (points / STRIDE).floor().long()
    steps = torch.arange(-1, 2, device=dense.device)
    rows = (own[:, :1, None] + steps[:, None]).expand(-1, 3, 3).flatten(1)
    columns = (own[:, 1:, None] + steps[None, :]).expand(-1, 3, 3).flatten(1)
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    votes = cell_boxes(dense, (rows, columns)).permute(1, 2, 0)  # (K, 9, 4)
    away_y = (rows + 0.5) * STRIDE - points[:, :1]
    away_x = (columns + 0.5) * STRIDE - points[:, 1:]
    weight = torch.exp(-(away_y**2 + away_x**2) / (2 * STRIDE**2))
    weight = weight * dense[1, rows, columns].sigmoid()
    agree = paired_iou(votes, votes[:, 4:5].expand_as(votes)) > 0.5
    weight = weight * agree + 1e-6
    return (votes * weight[..., None]).sum(1) / weight.sum(1, keepdim=True)


def paired_iou(first: Tensor, second: Tensor) -> Tensor:
    """Return the IoU (...) of boxes (..., 4) with boxes (..., 4)."""
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    area = (first[..., 2:] - first[..., :2]).clamp(min=0).prod(-1)
    other = (second[..., 2:] - second[..., :2]).clamp(min=0).prod(-1)
    return shared / (area + other - shared).clamp(min=1e-6)
