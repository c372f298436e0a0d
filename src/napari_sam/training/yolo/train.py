"""Train the nuclei detector that ships.

    python -m napari_sam.training.yolo.train DATA RUN [--resume]

`DATA` holds `dsb2018/`; `RUN` gets the crops, ultralytics' checkpoints and its
results.csv. The same seed, machine and number of threads repeat a run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import typer
import yaml

from napari_sam.models.ultra import load_ultralytics
from napari_sam.models.yolo.shipped import load_shipped
from napari_sam.training.yolo.crops import write_crops

CONFIG = Path(__file__).with_name("config.yaml")
SHIPPED = Path(__file__).parents[2] / "models" / "weights" / "nuclei-yolo.safetensors"


def read_config(path: Path = CONFIG) -> dict[str, Any]:
    """Return the training's configuration."""
    config: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return config


def train(data: Path, run: Path, config: dict[str, Any], *, resume: bool) -> Path:
    """Write crops and train on them; return the path of the last checkpoint.

    Parameters
    ----------
    data, run : Path
    config : dict
        As in config.yaml.
    resume : bool
        Go on from the last checkpoint of `run`.
    """
    yolo = load_ultralytics().YOLO
    last = run.resolve() / "yolo" / "weights" / "last.pt"
    threads = torch.get_num_threads()
    if resume:
        network = yolo(last)
    else:
        description = write_crops(data, run / "crops", config["crops"], config["seed"])
        network = yolo(config["architecture"])
        if config["start"] == "shipped":
            network.model, _ = load_shipped(SHIPPED)
            # Else ultralytics' trainer begins with random weights.
            network.ckpt = {"model": network.model}
    # Ultralytics lowers it when it selects the device.
    network.add_callback("on_train_start", lambda _: torch.set_num_threads(threads))
    if resume:
        network.train(resume=True)
    else:
        network.train(
            data=str(description),
            project=str(run.resolve()),
            name="yolo",
            device="cpu",
            plots=False,
            pretrained=config["start"] == "shipped",
            single_cls=True,
            seed=config["seed"] % 2**31,
            **config["train"],
        )
    return last


def main(data: Path, run: Path, resume: bool = False, config: Path = CONFIG) -> None:
    """Train from the command line."""
    typer.echo(train(data, run, read_config(config), resume=resume))


if __name__ == "__main__":
    typer.run(main)
