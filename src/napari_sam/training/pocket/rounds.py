"""What the decoder is shown in training: a first prompt, then corrections.

Regions, boxes and masks are made as `models.pocket.views` makes them in use: around
the box that was given, else around the one that the dense head reads at the clicks,
else around what is known of the object.
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_sam.models.pocket.geometry import (
    GIVEN,
    prompt_maps,
    read_boxes,
    resample,
    square_regions,
)
from napari_sam.models.pocket.network import REGION, Features
from napari_sam.training.pocket.data import CROP
from napari_sam.training.pocket.prompts import correct, spoiled
from napari_sam.training.pocket.targets import region_targets

Batch = dict[str, Tensor]
_WIDER = 1.5  # mistakes are looked for beyond the region, too


class Rounds:
    """The prompts of one batch, from round to round.

    Parameters
    ----------
    batch : dict
        As from `data.Crops`, stacked.
    random : Generator
    """

    def __init__(self, batch: Batch, random: torch.Generator) -> None:
        self._batch, self._random = batch, random
        self.points, self.marks = batch["points"], batch["marks"]
        self.boxes, self.trust = batch["boxes"], batch["trust"]
        self.regions = square_regions(self.boxes)
        self._masks: Tensor | None = None
        self._known = batch["masks"].flatten()

    @torch.no_grad()
    def first(self, features: Features, *, read: bool) -> Tensor:
        """Return the maps of the first round.

        Parameters
        ----------
        features : Features
        read : bool
            Whether the dense head has something to say already.
        """
        batch = self._batch
        if read:
            self.boxes = self._read(features)
        centre = (self.boxes[..., :2] + self.boxes[..., 2:]) / 2
        half = (self.boxes[..., 2:] - self.boxes[..., :2]) / 2
        half = (half * batch["stretch"][..., None]).clamp(1.5, CROP)
        self.boxes = torch.cat([centre - half, centre + half], -1)
        self.regions = square_regions(self.boxes)
        if self._known.any():
            target, _ = region_targets(batch["labels"], batch["ids"], self.regions)
            wrong = spoiled(target, self._random).float()
            shown = batch["masks"][..., None] > 0
            around = _around(wrong, self.regions)
            self.boxes = torch.where(shown, around, self.boxes)
            self._move(wrong)
        return self._maps()

    @torch.no_grad()
    def corrected(self, logits: Tensor) -> Tensor:
        """Return the maps of the next round: a click where `logits` are wrong.

        Parameters
        ----------
        logits : (N, K, 64, 64)
            The answer to the last round.
        """
        batch, flat = self._batch, self.regions.flatten(0, 1)
        answer = logits.flatten(0, 1)
        grow = (self.regions[..., 2:] - self.regions[..., :2]) * (_WIDER - 1) / 2
        low, high = self.regions[..., :2] - grow, self.regions[..., 2:] + grow
        wide = torch.cat([low, high], -1)
        target, valid = region_targets(batch["labels"], batch["ids"], wide)
        seen = resample(answer, flat, wide.flatten(0, 1), -8.0)
        noise = torch.rand((len(flat), REGION**2), generator=self._random)
        inner = self._chance(0.6, len(flat))
        points, marks = correct(seen, target, valid, wide.flatten(0, 1), noise, inner)
        # Now and then nothing new is said: what is known is to be kept or mended.
        marks[self._chance(0.1, len(flat))] = -1
        shape = self.regions.shape[:2]
        self.points = torch.cat([self.points, points.view(*shape, 1, 2)], 2)
        self.marks = torch.cat([self.marks, marks.view(*shape, 1)], 2)
        found = (answer > 0).flatten(1).any(1)
        given = (self.trust == GIVEN)[..., None]
        known = found.view(*shape, 1) & ~given
        around = self._stretched(_around(answer, self.regions))
        self.boxes = torch.where(known, around, self.boxes)
        soft = self._chance(0.15, len(flat))[:, None, None]
        mask = torch.where(soft, answer.sigmoid(), (answer > 0).float())
        self._known = found.float()
        self._move(mask)
        return self._maps()

    def _read(self, features: Features) -> Tensor:
        batch = self._batch
        reads = batch["reads"][..., None] > 0
        lone = (self.trust != GIVEN) & (batch["masks"] == 0)
        boxes = []
        for i, dense in enumerate(features.dense.detach()):
            count, clicks = self.points.shape[1:3]
            read = read_boxes(dense, self.points[i].flatten(0, 1))
            votes = (self.marks[i] == 1).float()[..., None]
            mean = (read.view(count, clicks, 4) * votes).sum(1)
            mean = mean / votes.sum(1).clamp(min=1)
            found = read_boxes(dense, batch["middles"][i])
            own = torch.where(reads[i], found, self.boxes[i])
            boxes.append(torch.where(lone[i][:, None], mean, own))
        read = torch.stack(boxes)
        return torch.where(lone[..., None], self._stretched(read), read)

    def _stretched(self, boxes: Tensor) -> Tensor:
        """Widen boxes so that every foreground click lies in them."""
        clicked = (self.marks == 1)[..., None]
        far = torch.full_like(self.points, torch.inf)
        low = torch.where(clicked, self.points - 1, far).amin(2)
        high = torch.where(clicked, self.points + 1, -far).amax(2)
        return torch.cat(
            [
                torch.minimum(boxes[..., :2], low),
                torch.maximum(boxes[..., 2:], high),
            ],
            -1,
        )

    def _move(self, masks: Tensor) -> None:
        """Look at the boxes from now on, and carry masks over from the old regions."""
        old, self.regions = self.regions, square_regions(self.boxes)
        self._masks = resample(
            masks, old.flatten(0, 1), self.regions.flatten(0, 1), 0.0
        )

    def _chance(self, part: float, count: int) -> Tensor:
        return torch.rand(count, generator=self._random) < part

    def _maps(self) -> Tensor:
        maps = prompt_maps(
            self.regions.flatten(0, 1),
            self.points.flatten(0, 1),
            self.marks.flatten(0, 1),
            self.boxes.flatten(0, 1),
            self.trust.flatten(),
            self._masks,
            None if self._masks is None else self._known,
        )
        return maps.view(*self.regions.shape[:2], *maps.shape[1:])


def _around(values: Tensor, regions: Tensor) -> Tensor:
    """Return the boxes (N, K, 4) of what is above 0 in maps (N * K, 64, 64)."""
    inside = values > 0
    low, extent = regions[..., :2], regions[..., 2:] - regions[..., :2]
    ends = []
    for axis in (2, 1):
        line = inside.any(axis).float()
        first = line.argmax(1)
        last = REGION - line.flip(1).argmax(1)
        ends.append(torch.stack([first, last]).view(2, *regions.shape[:2]))
    first, last = torch.stack(ends, -1) / REGION
    return torch.cat([low + first * extent, low + last * extent], -1)
