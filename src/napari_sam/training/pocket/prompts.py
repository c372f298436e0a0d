"""Random prompts for training: boxes, clicks, and corrections of an answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from napari_sam.models.pocket.geometry import GIVEN, READ, sample_positions
from napari_sam.training.pocket.config import CLICKS, PromptMix

Array = npt.NDArray[Any]
_MIX = PromptMix()
_DEPTH = 10  # samples from the rim of a mistake, beyond which all are equally deep
SMALLEST_AREA = 12  # pixels; smaller pieces are noise of the ground truth


def draw_prompts(
    labels: Array,
    centreness: Array,
    count: int,
    random: np.random.Generator,
    mix: PromptMix = _MIX,
) -> dict[str, Array]:
    """Choose objects of a crop and a prompt for each.

    Parameters
    ----------
    labels, centreness : (H, W)
    count : int
        Objects to choose; fewer are repeated.
    random : Generator
    mix : PromptMix

    Returns
    -------
    dict
        ids (K,), 0 if the crop has no object; areas (K,); points (K, 4, 2);
        marks (K, 4), 1, 0 or -1; boxes (K, 4); trust (K,); stretch (K,), by
        which a box that is read from the dense head is to be scaled; middles
        (K, 2), where to read the box if reads (K,) is 1; masks (K,), 1 if a
        wrong mask of the object is to be shown.
    """
    drawn: dict[str, Array] = {
        "ids": np.zeros(count, np.int64),
        "areas": np.zeros(count, np.float32),
        "points": np.zeros((count, CLICKS, 2), np.float32),
        "marks": np.full((count, CLICKS), -1, np.int64),
        "boxes": np.tile(np.array([0, 0, 16, 16], np.float32), (count, 1)),
        "trust": np.zeros(count, np.float32),
        "stretch": np.ones(count, np.float32),
        "middles": np.zeros((count, 2), np.float32),
        "reads": np.zeros(count, np.float32),
        "masks": np.zeros(count, np.float32),
    }
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    present = np.flatnonzero(sizes >= SMALLEST_AREA)
    if present.size == 0:
        return drawn
    repeats = -(-count // present.size)
    ids = np.concatenate([random.permutation(present) for _ in range(repeats)])[:count]
    found = ndimage.find_objects(labels)
    for k, number in enumerate(ids):
        rows, columns = found[number - 1]
        sides = [rows.start, columns.start, rows.stop, columns.stop]
        box = np.array(sides, np.float32)
        drawn["ids"][k], drawn["areas"][k] = number, sizes[number]
        _draw_one(drawn, k, box, labels == number, centreness, random, mix)
    return drawn


def _draw_one(
    drawn: dict[str, Array],
    k: int,
    box: Array,
    mask: Array,
    centreness: Array,
    random: np.random.Generator,
    mix: PromptMix,
) -> None:
    clicks = 0
    way = random.random()
    if way < mix.box:
        loose = random.random() < mix.loose
        drawn["boxes"][k] = (_loose if loose else _jitter)(box, mix.spread, random)
        drawn["trust"][k] = GIVEN
        clicks = int(random.random() < 0.2)
    elif way < mix.box + mix.found:
        inner = np.where(mask, centreness, -1).argmax()
        middle = np.array(np.unravel_index(inner, mask.shape)) + 0.5
        drawn["boxes"][k] = _jitter(box, mix.spread, random)  # until it can be read
        drawn["middles"][k], drawn["reads"][k] = middle, 1
        drawn["trust"][k] = GIVEN
    elif way < mix.box + mix.found + mix.mask:
        drawn["boxes"][k] = _jitter(box, mix.spread, random)
        drawn["trust"][k], drawn["masks"][k] = READ, 1
    else:
        clicks = 1 if random.random() < 0.8 else int(random.integers(2, CLICKS + 1))
        drawn["boxes"][k] = _jitter(box, 0.25, random)
        drawn["trust"][k] = READ
        if random.random() < 0.5:
            drawn["stretch"][k] = np.exp(random.uniform(np.log(0.6), np.log(1.7)))
    for c in range(clicks):
        inside = c == 0 or random.random() < 0.5
        point = _inside(mask, centreness, random) if inside else None
        if point is None:
            point = _outside(mask, box, random)
        drawn["points"][k, c] = point
        y, x = np.clip(point.astype(int), 0, np.array(mask.shape) - 1)
        drawn["marks"][k, c] = int(mask[y, x])


def _jitter(box: Array, spread: float, random: np.random.Generator) -> Array:
    sides = np.tile(box[2:] - box[:2], 2)
    moved: Array = box + random.uniform(-spread, spread, 4) * sides
    return moved.astype(np.float32)


def _loose(box: Array, spread: float, random: np.random.Generator) -> Array:
    """Return a box that is too wide by up to half, or too tight by up to a sixth."""
    half = np.tile(box[2:] - box[:2], 2) / 2 * np.array([-1, -1, 1, 1])
    wider = box + half * random.uniform(-0.17, 0.5)
    return _jitter(wider, spread / 2, random)


def _inside(mask: Array, centreness: Array, random: np.random.Generator) -> Array:
    choice = mask
    if random.random() < 0.4:
        choice = mask & (centreness > 0.6)
    pixels = np.flatnonzero(choice if choice.any() else mask)
    at: Array = np.array(np.unravel_index(random.choice(pixels), mask.shape))
    return np.asarray(at + random.random(2))


def _outside(mask: Array, box: Array, random: np.random.Generator) -> Array:
    sides = box[2:] - box[:2]
    for _ in range(10):
        point = random.uniform(box[:2] - 0.3 * sides, box[2:] + 0.3 * sides)
        y, x = np.clip(point.astype(int), 0, np.array(mask.shape) - 1)
        if not mask[y, x]:
            return point
    return point


def correct(
    logits: Tensor,
    target: Tensor,
    valid: Tensor,
    regions: Tensor,
    random: Tensor,
    inner: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Click where the answer is wrong.

    Parameters
    ----------
    logits, target, valid : (R, 64, 64)
    regions : (R, 4)
    random : (R, 64 * 64)
        Uniform random numbers.
    inner : bool, (R,), optional
        Where to click in the middle of the larger mistake, what is missing or what
        is beyond, as people do; elsewhere on any wrong sample.

    Returns
    -------
    points : (R, 1, 2)
    marks : (R, 1)
        -1 where nothing is wrong.
    """
    found = logits > 0
    wrong = (found != (target > 0.5)) & (valid > 0.5)
    # Samples surrounded by mistakes count more, as a person would click there.
    near = torch.nn.functional.avg_pool2d(wrong[:, None].float(), 5, 1, 2)[:, 0]
    weight = wrong * near**2 * random.view_as(logits)
    if inner is not None:
        missing, beyond = wrong & ~found, wrong & found
        lacks = missing.sum((1, 2)) >= beyond.sum((1, 2))
        larger = torch.where(lacks[:, None, None], missing, beyond)
        middle = _depth(larger) + 0.5 * random.view_as(logits) * larger
        weight = torch.where(inner[:, None, None], middle, weight)
    at = weight.flatten(1).argmax(1)
    side = target.shape[-1]
    y, x = sample_positions(regions)
    row, column = at // side, at % side
    points = torch.stack([y.gather(1, row[:, None]), x.gather(1, column[:, None])], -1)
    marks = (target.flatten(1).gather(1, at[:, None]) > 0.5).long()
    marks[~wrong.flatten(1).any(1)] = -1
    return points, marks


def _depth(inside: Tensor) -> Tensor:
    """Return how many samples each lies from the rim of its area, at most ten."""
    left = inside[:, None].float()
    depth = left
    for _ in range(_DEPTH - 1):
        left = -torch.nn.functional.max_pool2d(-left, 3, 1, 1)
        depth = depth + left
    return depth[:, 0]


def spoiled(target: Tensor, random: torch.Generator) -> Tensor:
    """Return masks (R, 64, 64), True or False, that are wrong in the ways people draw.

    The outline wanders, and the whole is too large or too small.
    """
    count = len(target)
    coarse = torch.rand((count, 1, 9, 9), generator=random) - 0.5
    wander = torch.nn.functional.interpolate(
        coarse, target.shape[-2:], mode="bicubic", align_corners=False
    )[:, 0]
    soft = torch.nn.functional.avg_pool2d(target[:, None], 9, 1, 4)[:, 0]
    by, size = torch.rand((2, count, 1, 1), generator=random)
    wrong = soft + by * 1.2 * wander > 0.5 + 0.6 * (size - 0.5)
    empty = ~wrong.flatten(1).any(1)
    return torch.where(empty[:, None, None], target > 0.5, wrong)
