"""Where the pocket model looks to answer a prompt, and what it is told there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from napari_sam.models.pocket.geometry import (
    GIVEN,
    READ,
    prompt_maps,
    read_boxes,
    square_regions,
)
from napari_sam.models.pocket.masks import Known
from napari_sam.models.pocket.network import REGION, Features

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sam.types import FloatArray, Prompt

# A click does not say how large its object is: besides the size read from the
# dense head these are tried, and the predicted IoU chooses.
SCALES = (1.0, 0.7, 1.4)
# Of three guesses the best looks better than it is: another size has to be expected
# to be this much better than the one that was read.
_DOUBT = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One look at a prompt.

    Attributes
    ----------
    number : int
        Which prompt this is.
    prompt : Prompt
    box : float32 array, shape (4,)
        What the decoder looks at the surroundings of.
    trust : float
        GIVEN or READ.
    known : Known, optional
    doubt : float
        What its predicted IoU is lowered by.
    """

    number: int
    prompt: Prompt
    box: FloatArray
    trust: float
    known: Known | None
    doubt: float = 0.0


def views(
    features: Features, prompts: Sequence[Prompt], multimask: bool | None
) -> Iterator[View]:
    """Yield one look at each prompt, or three.

    Parameters
    ----------
    features : Features
        Of one plane; the boxes of lone clicks are read from its dense map.
    prompts : sequence of Prompt
    multimask : bool, optional
        None: three only at a click without anything else.
    """
    read = _read(features, prompts)
    for number, prompt in enumerate(prompts):
        known, box, trust = _known(prompt), read.get(number), READ
        if prompt.box is not None:
            box, trust = np.array(prompt.box, np.float32), GIVEN
        elif known is not None:
            box = known.box
        if box is None:
            continue  # never: without a box or a mask it was read
        if prompt.box is None:
            box = _stretched_to(box, prompt.points[prompt.labels == 1])
        ambiguous = trust == READ and known is None and len(prompt.points) == 1
        several = ambiguous if multimask is None else multimask
        for scale in SCALES if several else SCALES[:1]:
            doubt = 0.0 if scale == SCALES[0] else _DOUBT
            yield View(number, prompt, _scaled(box, scale), trust, known, doubt)


def draw(looks: Sequence[View], device: torch.device) -> tuple[Tensor, Tensor]:
    """Draw what the decoder is told.

    Parameters
    ----------
    looks : sequence of K View
    device : torch.device

    Returns
    -------
    regions : Tensor, shape (K, 4)
    maps : Tensor, shape (K, 6, 64, 64)
    """
    boxes = torch.from_numpy(np.stack([look.box for look in looks]))
    regions = square_regions(boxes)
    points, labels = _clicks([look.prompt for look in looks])
    trust = torch.tensor([look.trust for look in looks])
    masks = has_mask = None
    if any(look.known for look in looks):
        masks = torch.zeros((len(looks), REGION, REGION))
        for mask, look, region in zip(masks, looks, regions.numpy(), strict=True):
            if look.known is not None:
                mask.copy_(torch.from_numpy(look.known.sample(region)))
        has_mask = torch.tensor([float(look.known is not None) for look in looks])
        masks, has_mask = masks.to(device), has_mask.to(device)
    regions = regions.to(device)
    maps = prompt_maps(
        regions,
        points.to(device),
        labels.to(device),
        boxes.to(device),
        trust.to(device),
        masks,
        has_mask,
    )
    return regions, maps


def _known(prompt: Prompt) -> Known | None:
    if prompt.mask is not None:
        return Known(prompt.mask)
    if prompt.previous is not None:
        return Known(prompt.previous.data, prompt.previous.box[:2])
    return None


def _read(features: Features, prompts: Sequence[Prompt]) -> dict[int, FloatArray]:
    """Read the boxes of the prompts that are only clicks from the dense head."""
    clicks = {
        number: prompt.points[prompt.labels == 1]
        for number, prompt in enumerate(prompts)
        if prompt.box is None and prompt.mask is None and prompt.previous is None
    }
    if not clicks:
        return {}
    (dense,), zoom = features.dense, features.zoom
    points = torch.from_numpy(np.concatenate(list(clicks.values()))).to(dense.device)
    boxes = (read_boxes(dense, points * zoom) / zoom).float().cpu().numpy()
    ends = np.cumsum([len(points) for points in clicks.values()])[:-1]
    parts = np.split(boxes, ends)
    return {n: part.mean(0) for n, part in zip(clicks, parts, strict=True)}


def _stretched_to(box: FloatArray, clicks: FloatArray) -> FloatArray:
    """Widen a box so that every foreground click lies in it."""
    if not len(clicks):
        return box
    low = np.minimum(box[:2], clicks.min(0) - 1)
    high = np.maximum(box[2:], clicks.max(0) + 1)
    return np.concatenate([low, high])


def _scaled(box: FloatArray, scale: float) -> FloatArray:
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * scale
    return np.concatenate([centre - half, centre + half]).astype(np.float32)


def _clicks(prompts: Sequence[Prompt]) -> tuple[Tensor, Tensor]:
    """Stack clicks of different number; -1 labels mean no click."""
    most = max([1, *(len(p.points) for p in prompts)])
    points = torch.zeros((len(prompts), most, 2))
    labels = torch.full((len(prompts), most), -1)
    for i, prompt in enumerate(prompts):
        points[i, : len(prompt.points)] = torch.from_numpy(prompt.points)
        labels[i, : len(prompt.points)] = torch.from_numpy(prompt.labels)
    return points, labels
