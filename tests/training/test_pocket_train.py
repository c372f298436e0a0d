"""A real, tiny training in a process of its own: stopped, resumed, exported."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch
import yaml
from pydantic import ValidationError

import napari_sam as ns
from napari_sam.training.pocket.config import read_config
from napari_sam.training.pocket.export import SHIPPED, exported_state
from napari_sam.training.pocket.train import Trainer

if TYPE_CHECKING:
    from pathlib import Path


def run(module: str, *arguments: str | Path) -> str:
    command = [sys.executable, "-m", f"napari_sam.training.pocket.{module}"]
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def train(data: Path, out: Path, settings: Path, until: int) -> dict[str, torch.Tensor]:
    options = ["--threads", "1", "--stop-at", str(until)]
    run("train", settings, "--data", data, "--out", out, *options)
    state = torch.load(out / "checkpoint.pt", weights_only=True)
    assert state["step"] == until
    return state["network"]


def settings(folder: Path, **fields: object) -> Path:
    small = {"steps": 4, "crops": 1, "objects": 2, "warm_up": 1}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(small | fields), "utf-8")
    return path


def test_a_resumed_training_ends_where_an_unbroken_one_does(data, tmp_path):
    config = settings(tmp_path)
    unbroken = train(data, tmp_path / "a", config, 4)
    train(data, tmp_path / "b", config, 2)
    resumed = train(data, tmp_path / "b", config, 4)
    for name, value in unbroken.items():
        if value.is_floating_point():
            # Threads add in another order; more than that may not differ.
            assert torch.allclose(value, resumed[name], atol=2e-3), name
    weights = tmp_path / "pocket.safetensors"
    printed = run("export", tmp_path / "a", "--version", "test", "--output", weights)
    model = ns.load_model(weights, device="cpu")
    assert model.info.sha256 in printed
    assert model.info.version == "test"


def test_a_training_from_what_ships_starts_as_good_and_keeps_its_norms(data, tmp_path):
    config = settings(
        tmp_path, start="shipped", freeze_norms=True, rate=1e-5, backbone_rate=1e-6
    )
    trained = train(data, tmp_path / "run", config, 2)
    shipped = exported_state(SHIPPED)
    for name, value in shipped.items():
        if "running" in name:
            assert torch.equal(value, trained[name]), name
        elif value.is_floating_point():
            assert torch.allclose(value, trained[name], atol=1e-3), name
    written = {path.name for path in (tmp_path / "run").iterdir()}
    assert written == {"checkpoint.pt", "config.yaml", "curves.png"}


def test_a_configuration_says_only_what_differs_from_another(tmp_path):
    settings(tmp_path, seed=3, rate=0.5)
    ablation = tmp_path / "ablation.yaml"
    ablation.write_text("base: config.yaml\nseed: 4\n", "utf-8")
    config = read_config(ablation)
    assert (config.seed, config.rate, config.steps) == (4, 0.5, 4)


def test_a_misspelt_setting_is_refused(tmp_path):
    with pytest.raises(ValidationError, match="stepz"):
        read_config(settings(tmp_path, stepz=3))


def test_the_learning_rate_falls_by_the_clock(tmp_path):
    config = read_config(settings(tmp_path, steps=10**6, minutes=10.0))
    trainer = Trainer(config, tmp_path, 1)
    assert trainer.done == 0
    trainer.seconds = 300
    assert trainer.done == pytest.approx(0.5)
    trainer.seconds = 700
    assert trainer.done == 1
