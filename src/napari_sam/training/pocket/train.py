"""Train the pocket model; stop and go on at any time.

    python -m napari_sam.training.pocket.train CONFIG.yaml --data DATA --out RUN

`CONFIG.yaml` has the fields of `config.Config`. A checkpoint is written beside and
renamed, so a killed training goes on from the last one. The run's folder also has the
whole configuration, `curve.csv` with the losses, `validation.csv` with what the
averaged weights reach on the validation part, and at the end `curves.png`.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from napari_sam.models.pocket.network import REGION, Features, PocketNetwork
from napari_sam.training.pocket.config import Config, read_config, write_config
from napari_sam.training.pocket.curves import save_curves
from napari_sam.training.pocket.data import Crops, find_sources
from napari_sam.training.pocket.evaluate import evaluate
from napari_sam.training.pocket.export import SHIPPED, averaged, exported_state
from napari_sam.training.pocket.losses import dense_loss, mask_loss
from napari_sam.training.pocket.pretrained import load_imagenet
from napari_sam.training.pocket.rounds import Rounds
from napari_sam.training.pocket.targets import region_targets

Batch = dict[str, Tensor]
CURVES = (
    "iou", "iou_box", "iou_click", "iou_mask", "iou_again",
    "centre", "foreground", "box", "sides",
    "entropy", "dice", "score", "entropy_again", "dice_again", "score_again",
)  # fmt: skip
_LOWEST = 0.01  # of the learning rate
_UNREAD = 300  # steps of a new network, before which its dense head says nothing


class Trainer:
    """Network, optimizer and running average, with their checkpoint."""

    def __init__(self, config: Config, out: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        torch.manual_seed(config.seed)
        self.config, self.out = config, out
        self.step, self.seconds = 0, 0.0
        self.network = PocketNetwork()
        if config.start == "imagenet":
            load_imagenet(self.network.encoder.backbone)
        else:
            shipped = config.start == "shipped"
            path = SHIPPED if shipped else Path(config.start)
            self.network.load_state_dict(exported_state(path))
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
        self._began = time.monotonic() - self.seconds

    @property
    def path(self) -> Path:
        """The checkpoint file."""
        return self.out / "checkpoint.pt"

    @property
    def done(self) -> float:
        """Which part of the schedule is over, 0 to 1."""
        done = self.step / self.config.steps
        if self.config.minutes is not None:
            done = max(done, self.seconds / 60 / self.config.minutes)
        return min(1.0, done)

    def _factor(self, step: int) -> float:
        warm = min(1.0, (step + 1) / self.config.warm_up)
        fall = (1 + math.cos(math.pi * self.done)) / 2
        return warm * (_LOWEST + (1 - _LOWEST) * fall)

    def _average(self, average: Tensor, value: Tensor, count: Tensor | int) -> Tensor:
        if not average.is_floating_point():
            return value
        keep = min(self.config.average, (1 + int(count)) / (10 + int(count)))
        return average.lerp(value, 1 - keep)

    def _resume(self) -> None:
        state = torch.load(self.path, weights_only=True)
        self.step, self.seconds = state["step"], state["seconds"]
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.random.set_state(state["random"])

    def save(self) -> None:
        """Write the checkpoint beside the old one, then rename."""
        state = {
            "step": self.step,
            "seconds": self.seconds,
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
        if self.config.freeze_norms:
            _freeze_norms(self.network)
        features = self.network.encode(batch["pixels"])
        losses = dense_loss(features.dense, batch)
        rounds = Rounds(batch, self.random)
        new = self.config.start == "imagenet" and self.step < _UNREAD
        maps = rounds.first(features, read=not new)
        masks, iou, logits = self._decode(features, batch, rounds, maps)
        losses |= masks
        reached = {"iou": float(iou.mean())}
        masked = batch["masks"].flatten() == 1
        boxed = batch["trust"].flatten() == 1
        chosen = batch["ids"].flatten() > 0
        picks = {"box": boxed, "click": ~boxed & ~masked, "mask": masked}
        for name, pick in picks.items():
            reached[f"iou_{name}"] = float(iou[pick & chosen].mean())
        chances = torch.tensor(self.config.corrections)
        count = int(torch.multinomial(chances, 1, generator=self.random))
        for left in reversed(range(count)):
            maps = rounds.corrected(logits)
            with torch.set_grad_enabled(left == 0):  # only the last round is learned
                again, iou, logits = self._decode(features, batch, rounds, maps)
        if count:
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
        self.seconds = time.monotonic() - self._began
        return {k: float(v.detach()) for k, v in losses.items()} | reached

    def _decode(
        self, features: Features, batch: Batch, rounds: Rounds, maps: Tensor
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        regions = rounds.regions
        with torch.autocast(regions.device.type, torch.bfloat16, self.config.mixed):
            logits, score = self.network.decode(features, regions, maps)
        logits, score = logits.float(), score.float()
        target, valid = region_targets(batch["labels"], batch["ids"], regions)
        used = (batch["ids"].flatten() > 0).float()[:, None, None]
        flat = regions.flatten(0, 1)
        sample = ((flat[:, 2] - flat[:, 0]) / REGION) ** 2
        total = batch["areas"].flatten() / sample
        missing = (total - target.sum((1, 2))).clamp(min=0)
        losses, iou = mask_loss(
            logits.flatten(0, 1),
            score.flatten(),
            target * used,
            valid * used,
            missing,
            self.config.edge,
        )
        return losses, iou, logits.detach()


def _freeze_norms(network: nn.Module) -> None:
    """Use the running statistics, as in use, and leave them as they are."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def train(
    trainer: Trainer,
    data: Path,
    save_minutes: float,
    stop_at: int,
    workers: int = 0,
) -> None:
    """Train until the schedule is over, or until a step.

    Parameters
    ----------
    trainer : Trainer
    data : Path
    save_minutes : float
        Time between two checkpoints.
    stop_at : int
    workers : int
        Processes that cut crops; the crops are the same for any number.
    """
    config, out = trainer.config, trainer.out
    crops = Crops(
        find_sources(data, "train"), config, start=trainer.step * config.crops
    )
    loader = iter(DataLoader(crops, batch_size=config.crops, num_workers=workers))
    log: list[dict[str, float]] = []
    saved = time.monotonic()
    while trainer.done < 1 and trainer.step < stop_at:
        log.append(trainer.train_step(next(loader)))
        if trainer.step % 20 == 0:
            _append(out / "curve.csv", _means(trainer, log))
            log = []
        if time.monotonic() - saved > save_minutes * 60:
            trainer.save()
            saved = time.monotonic()
        if config.evaluate_every and trainer.step % config.evaluate_every == 0:
            _validate(trainer, data)
    trainer.save()
    if config.evaluate_every:
        _validate(trainer, data)
    save_curves([out], out / "curves.png")


def _validate(trainer: Trainer, data: Path) -> None:
    network = averaged(trainer.average.state_dict())
    found = evaluate(network, data, trainer.out, trainer.config.evaluate_objects)
    row = {"step": str(trainer.step), "seconds": f"{trainer.seconds:.0f}"}
    row |= {name: f"{value:.4f}" for name, value in found.items()}
    _append(trainer.out / "validation.csv", row)


def main() -> None:
    """Parse arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0, help="that cut crops")
    parser.add_argument("--minutes", type=float, help="instead of the config's")
    parser.add_argument("--save-minutes", type=float, default=4)
    parser.add_argument("--stop-at", type=int, help="stop early, to go on later")
    arguments = parser.parse_args()
    config = read_config(arguments.config)
    if arguments.minutes is not None:
        config = config.model_copy(update={"minutes": arguments.minutes})
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_config(config, arguments.out / "config.yaml")
    trainer = Trainer(config, arguments.out, arguments.threads)
    stop_at = arguments.stop_at or config.steps
    train(trainer, arguments.data, arguments.save_minutes, stop_at, arguments.workers)


def _means(trainer: Trainer, log: list[dict[str, float]]) -> dict[str, str]:
    """Return a row of means; a round that did not happen leaves a gap."""
    row = {"step": str(trainer.step), "seconds": f"{trainer.seconds:.0f}"}
    for name in CURVES:
        seen = [e[name] for e in log if name in e and not math.isnan(e[name])]
        row[name] = f"{sum(seen) / len(seen):.4f}" if seen else ""
    return row


def _append(path: Path, row: dict[str, str]) -> None:
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


if __name__ == "__main__":
    main()
