"""Write the averaged weights of a training as a file that can be shipped.

    python -m napari_sam.training.pocket.export runs/pocket --version 0.1.0

The catalog's sha256 is to be replaced by the one that is printed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from napari_sam.models.pocket.network import PocketNetwork
from napari_sam.models.pocket.weights import save_weights
from napari_sam.models.sniff import file_sha256

SHIPPED = Path(__file__).parents[2] / "models" / "weights" / "pocket.safetensors"


def averaged_network(checkpoint: Path) -> PocketNetwork:
    """Return the running average of the weights in a training's checkpoint."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    return averaged(state["average"])


def averaged(state: dict[str, Tensor]) -> PocketNetwork:
    """Return a network of the state of an `AveragedModel`."""
    network = PocketNetwork()
    prefix = "module."
    network.load_state_dict(
        {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    )
    return network.eval()


def exported_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of an exported file, to go on training with them."""
    return {
        name: t.float() if t.is_floating_point() else t
        for name, t in load_file(path).items()
    }


def main() -> None:
    """Export one run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--version", required=True)
    parser.add_argument("--output", type=Path, default=SHIPPED)
    arguments = parser.parse_args()
    network = averaged_network(arguments.run / "checkpoint.pt")
    save_weights(network, arguments.output, version=arguments.version)
    print(arguments.output, file_sha256(arguments.output))


if __name__ == "__main__":
    main()
