"""A real, tiny training in a process of its own: stopped, resumed, exported."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import torch

import napari_sam as ns

if TYPE_CHECKING:
    from pathlib import Path


def run(module: str, *arguments: str | Path) -> str:
    command = [sys.executable, "-m", f"napari_sam.training.pocket.{module}"]
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def train(data: Path, out: Path, steps: int, until: int) -> dict[str, torch.Tensor]:
    options = ["--crops", "1", "--objects", "2", "--save-every", str(until)]
    options += ["--threads", "1", "--warm-up", "1", "--steps", str(steps)]
    run("train", data, "--out", out, *options, "--stop-at", str(until))
    state = torch.load(out / "checkpoint.pt", weights_only=True)
    assert state["step"] == until
    return state["network"]


def test_a_resumed_training_ends_where_an_unbroken_one_does(data, tmp_path):
    unbroken = train(data, tmp_path / "a", 4, 4)
    train(data, tmp_path / "b", 4, 2)
    resumed = train(data, tmp_path / "b", 4, 4)
    for name, value in unbroken.items():
        if value.is_floating_point():
            # Threads add in another order; more than that may not differ.
            assert torch.allclose(value, resumed[name], atol=2e-3), name
    weights = tmp_path / "pocket.safetensors"
    printed = run("export", tmp_path / "a", "--version", "test", "--output", weights)
    model = ns.load_model(weights, device="cpu")
    assert model.info.sha256 in printed
    assert model.info.version == "test"
