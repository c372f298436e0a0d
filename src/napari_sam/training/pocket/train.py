"""Train the pocket model; stop and go on at any time.

    python -m napari_sam.training.pocket.train DATA --out runs/pocket --steps 6000

A checkpoint is written beside and renamed, so a killed training goes on from
the last one. `curve.csv` has the losses, `config.json` the settings.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from napari_sam.models.pocket.geometry import (
    READ,
    prompt_maps,
    read_boxes,
    resample,
    square_regions,
)
from napari_sam.models.pocket.network import REGION, Features, PocketNetwork
from napari_sam.training.pocket.data import CROP, Crops, find_sources
from napari_sam.training.pocket.losses import dense_loss, mask_loss
from napari_sam.training.pocket.pretrained import load_imagenet
from napari_sam.training.pocket.prompts import correct
from napari_sam.training.pocket.targets import region_targets

Batch = dict[str, Tensor]
CURVES = (
    "iou", "iou_box", "iou_click", "iou_again",
    "centre", "foreground", "box", "sides",
    "entropy", "dice", "score", "entropy_again", "dice_again", "score_again",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that determines a training, beside the data."""

    steps: int = 6000
    crops: int = 4
    objects: int = 6
    rate: float = 1e-3
    backbone_rate: float = 3e-4
    decay: float = 1e-2
    warm_up: int = 100
    refine: float = 0.4  # how often a step has a second, correcting round
    average: float = 0.998  # of the weights that are kept, at the end
    seed: int = 0


class Trainer:
    """Network, optimizer and running average, with their checkpoint."""

    def __init__(self, config: Config, out: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        torch.manual_seed(config.seed)
        self.config, self.out = config, out
        self.step = 0
        self.network = PocketNetwork()
        load_imagenet(self.network.encoder.backbone)
        self.network.to(memory_format=torch.channels_last)
        backbone = list(self.network.encoder.backbone.parameters())
        known = {id(p) for p in backbone}
        rest = [p for p in self.network.parameters() if id(p) not in known]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": rest, "lr": config.rate},
                {"params": backbone, "lr": config.backbone_rate},
            ],
            weight_decay=config.decay,
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._factor)
        self.average = torch.optim.swa_utils.AveragedModel(
            self.network, avg_fn=self._average, use_buffers=True
        )
        self.random = torch.Generator().manual_seed(config.seed)
        if self.path.exists():
            self._resume()

    @property
    def path(self) -> Path:
        """The checkpoint file."""
        return self.out / "checkpoint.pt"

    def _factor(self, step: int) -> float:
        warm = min(1.0, (step + 1) / self.config.warm_up)
        done = torch.tensor(min(1.0, step / self.config.steps))
        return warm * float(0.01 + 0.99 * (1 + torch.cos(torch.pi * done)) / 2)

    def _average(self, average: Tensor, value: Tensor, count: Tensor | int) -> Tensor:
        if not average.is_floating_point():
            return value
        keep = min(self.config.average, (1 + int(count)) / (10 + int(count)))
        return average.lerp(value, 1 - keep)

    def _resume(self) -> None:
        state = torch.load(self.path, weights_only=True)
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.random.set_state(state["random"])

    def save(self) -> None:
        """Write the checkpoint beside the old one, then rename."""
        state = {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": self.random.get_state(),
        }
        beside = self.path.with_suffix(".tmp")
        torch.save(state, beside)
        os.replace(beside, self.path)

    def train_step(self, batch: Batch) -> dict[str, float]:
        """Take one step; return the losses and the IoUs reached."""
        self.network.train()
        features = self.network.encode(batch["pixels"])
        losses = dense_loss(features.dense, batch)
        maps, regions = self._first_prompts(features, batch)
        masks, iou, logits, target, valid = self._decode(features, batch, regions, maps)
        losses |= masks
        reached = {"iou": float(iou.mean())}
        boxed = batch["trust"].flatten() == 1
        chosen = batch["ids"].flatten() > 0
        for name, pick in (("iou_box", boxed), ("iou_click", ~boxed)):
            reached[name] = float(iou[pick & chosen].mean())
        if torch.rand((), generator=self.random) < self.config.refine:
            maps, regions = self._second_prompts(batch, regions, logits, target, valid)
            again, iou, *_ = self._decode(features, batch, regions, maps)
            losses |= {f"{name}_again": loss for name, loss in again.items()}
            reached["iou_again"] = float(iou[chosen].mean())
        total = torch.stack(list(losses.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.schedule.step()
        self.average.update_parameters(self.network)
        self.step += 1
        return {k: float(v.detach()) for k, v in losses.items()} | reached

    @torch.no_grad()
    def _first_prompts(self, features: Features, batch: Batch) -> tuple[Tensor, Tensor]:
        boxes = batch["boxes"]
        if self.step > 300:  # before, the dense head has nothing to say
            read = torch.stack(
                [
                    read_boxes(dense, clicks[:, 0])
                    for dense, clicks in zip(
                        features.dense, batch["points"], strict=True
                    )
                ]
            )
            boxes = torch.where(batch["trust"][..., None] == READ, read, boxes)
        centre = (boxes[..., :2] + boxes[..., 2:]) / 2
        half = (boxes[..., 2:] - boxes[..., :2]) / 2 * batch["stretch"][..., None]
        half = half.clamp(1.5, CROP)
        boxes = torch.cat([centre - half, centre + half], -1)
        batch["boxes"] = boxes
        regions = square_regions(boxes)
        return self._maps(batch, regions), regions

    @staticmethod
    def _maps(
        batch: Batch,
        regions: Tensor,
        masks: Tensor | None = None,
    ) -> Tensor:
        known = None if masks is None else torch.ones(len(masks))
        maps = prompt_maps(
            regions.flatten(0, 1),
            batch["points"].flatten(0, 1),
            batch["marks"].flatten(0, 1),
            batch["boxes"].flatten(0, 1),
            batch["trust"].flatten(),
            masks,
            known,
        )
        return maps.view(*regions.shape[:2], *maps.shape[1:])

    @torch.no_grad()
    def _second_prompts(
        self,
        batch: Batch,
        regions: Tensor,
        logits: Tensor,
        target: Tensor,
        valid: Tensor,
    ) -> tuple[Tensor, Tensor]:
        flat = regions.flatten(0, 1)
        noise = torch.rand((len(flat), REGION**2), generator=self.random)
        points, marks = correct(logits, target, valid, flat, noise)
        shape = regions.shape[:2]
        batch["points"] = torch.cat([batch["points"], points.view(*shape, 1, 2)], 2)
        batch["marks"] = torch.cat([batch["marks"], marks.view(*shape, 1)], 2)
        # The next look may be at another scale, as it is around a mask's box.
        shift = torch.empty((*shape, 1)).uniform_(-0.2, 0.25, generator=self.random)
        move = torch.empty((*shape, 2)).uniform_(-0.08, 0.08, generator=self.random)
        side = regions[..., 2:] - regions[..., :2]
        grow = side * shift / 2
        low = regions[..., :2] - grow + move * side
        high = regions[..., 2:] + grow + move * side
        moved = torch.cat([low, high], -1)
        masks = resample(logits, flat, moved.flatten(0, 1), -8.0).sigmoid()
        hard = torch.rand((len(masks), 1, 1), generator=self.random) < 0.5
        masks = torch.where(hard, (masks > 0.5).float(), masks)
        return self._maps(batch, moved, masks), moved

    def _decode(
        self, features: Features, batch: Batch, regions: Tensor, maps: Tensor
    ) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor, Tensor]:
        logits, score = self.network.decode(features, regions, maps)
        target, valid = region_targets(batch["labels"], batch["ids"], regions)
        used = (batch["ids"].flatten() > 0).float()[:, None, None]
        flat = regions.flatten(0, 1)
        sample = ((flat[:, 2] - flat[:, 0]) / REGION) ** 2
        total = batch["areas"].flatten() / sample
        missing = (total - target.sum((1, 2))).clamp(min=0)
        losses, iou = mask_loss(
            logits.flatten(0, 1), score.flatten(), target * used, valid * used, missing
        )
        return losses, iou, logits.detach().flatten(0, 1), target, valid


def main() -> None:
    """Parse arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save-every", type=int, default=200)
    parser.add_argument("--stop-at", type=int, help="stop early, to go on later")
    for name, default in asdict(Config()).items():
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, type=type(default), default=default)
    values = vars(parser.parse_args())
    data, out = values.pop("data"), values.pop("out")
    threads, save_every = values.pop("threads"), values.pop("save_every")
    stop_at = values.pop("stop_at")
    config = Config(**values)
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(asdict(config), indent=1), "utf-8")
    trainer = Trainer(config, out, threads)
    sources = find_sources(data, "train")
    done = trainer.step * config.crops
    crops = Crops(sources, config.objects, config.seed, start=done)
    loader = DataLoader(crops, batch_size=config.crops, num_workers=1)
    last = min(config.steps, stop_at or config.steps)
    log, start = [], time.monotonic()
    for batch in loader:
        log.append(trainer.train_step(batch))
        if trainer.step % 20 == 0:
            seconds = time.monotonic() - start
            _append(out / "curve.csv", trainer.step, seconds, log)
            log = []
        finished = trainer.step >= last
        if finished or trainer.step % save_every == 0:
            trainer.save()
        if finished:
            return


def _append(path: Path, step: int, seconds: float, log: list[dict[str, float]]) -> None:
    """Add a row of means; a second round that did not happen leaves a gap."""
    row = {"step": str(step), "seconds": f"{seconds:.0f}"}
    for name in CURVES:
        seen = [e[name] for e in log if name in e and not math.isnan(e[name])]
        row[name] = f"{sum(seen) / len(seen):.4f}" if seen else ""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


if __name__ == "__main__":
    main()
