"""Write a trained YOLO as files that can be shipped: YAML and safetensors.

    python -m napari_sam.training.yolo.export RUN/yolo/weights/best.pt --version 0.1.0

The YAML is the architecture, the safetensors the weights as ultralytics keeps them
(the running average, in fp16). The catalog's sha256 is to be replaced by the one
that is printed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import torch
import typer
import yaml
from safetensors.torch import save

from napari_sam.models.ultra import load_ultralytics
from napari_sam.training.yolo.train import CONFIG, SHIPPED, read_config


def export(checkpoint: Path, output: Path, *, version: str, object_size: float) -> None:
    """Write `output` and, beside it, the same name with `.yaml`.

    Parameters
    ----------
    checkpoint : Path
        best.pt or last.pt of a training that has ended. It is unpickled: only for
        files of one's own.
    output : Path
        Ends in .safetensors.
    version : str
    object_size : float
        sqrt(area) in pixels of the median nucleus in the training's crops.
    """
    load_ultralytics()
    network = torch.load(checkpoint, map_location="cpu", weights_only=False)["model"]
    metadata = {
        "architecture": "yolo",
        "version": version,
        "names": json.dumps(list(network.names.values())),
        "object_size": str(object_size),
    }
    tensors = {
        name: tensor.half().contiguous() if tensor.is_floating_point() else tensor
        for name, tensor in network.state_dict().items()
    }
    kept = ("nc", "scale", "scales", "backbone", "head")
    layers = {key: network.yaml[key] for key in kept if key in network.yaml}
    text = yaml.safe_dump(layers, sort_keys=False, default_flow_style=None)
    _replace(output.with_suffix(".yaml"), text.encode())
    _replace(output, save(tensors, metadata))


def _replace(path: Path, content: bytes) -> None:
    """Write beside `path`, then rename."""
    beside = path.with_name(f"{path.name}.tmp")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def main(
    checkpoint: Path,
    version: Annotated[str, typer.Option()],
    output: Path = SHIPPED,
    config: Path = CONFIG,
) -> None:
    """Export from the command line."""
    from napari_sam.models.sniff import file_sha256

    size = read_config(config)["crops"]["object_size"]
    export(checkpoint, output, version=version, object_size=size)
    typer.echo(f"{output} {file_sha256(output)}")


if __name__ == "__main__":
    typer.run(main)
