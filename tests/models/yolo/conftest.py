"""YOLO networks with random weights that see something, as files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from napari_sam.models.ultra import load_ultralytics, quiet

MakeFile = Callable[..., Path]


def draw_photo() -> npt.NDArray[np.uint8]:
    """Coloured blobs and gradients, uint8 (300, 420, 3): every channel differs."""
    random = np.random.default_rng(1)
    y, x = np.mgrid[:300, :420]
    image = np.zeros((300, 420, 3))
    for _ in range(40):
        cy, cx, r = (
            random.uniform(0, 300),
            random.uniform(0, 420),
            random.uniform(5, 40),
        )
        inside = np.exp(-((((y - cy) ** 2 + (x - cx) ** 2) / r**2) ** 2))
        image += inside[..., None] * random.uniform(0, 255, 3)
    image += random.normal(0, 8, image.shape) + (x / 420 * 60)[..., None]
    return np.clip(image, 0, 255).astype(np.uint8)


def random_module(
    architecture: str, *, classes: int = 3, channels: int = 3, seed: int = 0
) -> Any:
    """An ultralytics module whose answers depend on what it sees.

    Freshly made ones answer the same everywhere: their norms have seen nothing
    and their class scores start near zero.
    """
    tasks = load_ultralytics("ultralytics.nn.tasks")
    task = next((t for t in ("seg", "obb") if f"-{t}" in architecture), "")
    kind = {"seg": tasks.SegmentationModel, "obb": tasks.OBBModel}.get(
        task, tasks.DetectionModel
    )
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(seed)
        module = kind(architecture, ch=channels, nc=classes, verbose=False)
        photo = torch.from_numpy(draw_photo()).permute(2, 0, 1)[None] / 255
        photo = photo[:, :channels]
        # Of all sizes that tests look at: deep layers meet another world at each.
        sizes = [(s, s * 7 // 5 // 32 * 32) for s in (128, 192, 256, 384, 480)]
        scenes = [torch.nn.functional.interpolate(photo, size=size) for size in sizes]
        for layer in module.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = None  # the average of the passes to come
        with torch.no_grad():
            module.train()
            for scene in scenes:
                module(scene)
            spread_scores(module.eval(), scenes)
    module.names = {i: f"kind {i}" for i in range(classes)}
    module.task = {"seg": "segment", "obb": "obb"}.get(task, "detect")
    return module


# RT-DETR with few layers: the smallest that ultralytics ships has 30 million weights.
QUERIES = {
    "nc": 3,
    "scales": {"l": [1.0, 1.0, 1024]},
    "backbone": [
        [-1, 1, "Conv", [16, 3, 2]],
        [-1, 1, "Conv", [32, 3, 2]],
        [-1, 1, "Conv", [32, 3, 2]],
        [-1, 1, "Conv", [64, 3, 2]],
        [-1, 1, "Conv", [64, 3, 2]],
    ],
    "head": [[[2, 3, 4], 1, "RTDETRDecoder", ["nc", 64, 60, 4, 4, 2, 128]]],
}


def random_queries(seed: int = 0) -> Any:
    """A small RT-DETR whose answers depend on what it sees."""
    tasks = load_ultralytics("ultralytics.nn.tasks")
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(seed)
        module = tasks.RTDETRDetectionModel(QUERIES, nc=3, verbose=False).eval()
        photo = torch.from_numpy(draw_photo()).permute(2, 0, 1)[None] / 255
        scene = torch.nn.functional.interpolate(photo, size=(320, 320))
        for layer in module.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = None
        with torch.no_grad():
            for layer in module.model[:-1]:
                layer.train()
            for _ in range(2):
                module(scene)
            module.eval()
            head = module.model[-1]
            for layer in (*head.dec_score_head, head.enc_score_head):
                torch.nn.init.normal_(layer.weight, std=0.3)
            for boxes in head.dec_bbox_head:
                torch.nn.init.normal_(boxes.layers[-1].weight, std=0.05)
    module.names = {i: f"kind {i}" for i in range(3)}
    module.task = "detect"
    return module


def save_module(module: Any, path: Path) -> Path:
    """Write a checkpoint as ultralytics' trainer does."""
    module.args = {"imgsz": 640, "task": module.task}
    torch.save({"model": module, "train_args": module.args}, path)
    return path


def spread_scores(module: Any, scenes: list[torch.Tensor]) -> None:
    """Scale the class scores so that a few places have sure answers, none ties."""
    head = module.model[-1]
    seen: dict[Any, list[torch.Tensor]] = {}
    branches = [head.cv3, getattr(head, "one2one_cv3", None) or []]
    layers = [scale[-1] for branch in branches for scale in branch]
    hooks = [
        layer.register_forward_hook(
            lambda layer, _, out: seen.setdefault(layer, []).append(out.flatten(2))
        )
        for layer in layers
    ]
    for scene in scenes:
        module(scene)
    for hook in hooks:
        hook.remove()
    for layer in layers:
        logits = torch.cat(seen[layer], 2)[0]
        gain = 1.2 / logits.std(1)
        layer.weight.mul_(gain[:, None, None, None])
        layer.bias.copy_((layer.bias - logits.mean(1)) * gain - 3.0)


@pytest.fixture(scope="session")
def make_pt(tmp_path_factory: pytest.TempPathFactory) -> MakeFile:
    """Write a checkpoint as ultralytics' trainer does, once per architecture."""
    folder = tmp_path_factory.mktemp("yolo")

    def make(architecture: str = "yolo11n.yaml", **options: Any) -> Path:
        name = architecture.removesuffix(".yaml")
        path = folder / f"{name}{'-'.join(map(str, options.values()))}.pt"
        if not path.exists():
            queries = architecture.startswith("rtdetr")
            make = random_queries if queries else partial(random_module, architecture)
            save_module(make(**options), path)
        return path

    return make


@pytest.fixture(scope="session")
def photo() -> npt.NDArray[np.uint8]:
    return draw_photo()


@pytest.fixture(scope="session")
def build() -> Callable[..., Any]:
    return random_module


@pytest.fixture(scope="session")
def save() -> Callable[[Any, Path], Path]:
    return save_module
