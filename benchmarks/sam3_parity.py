"""Compare SAM 3's answers with those of Meta's own package, on random weights.

    PYTHON benchmarks/sam3_parity.py [BLOCKS]

PYTHON is that of an environment of its own, with this package and, from PyPI, Meta's
sam3 0.1.4 and what it imports. Builds Meta's tracker with so many of the encoder's 32
blocks (4 unless told otherwise: a random network shows nothing more with all of them),
asks both about an image that ships, and prints how far logits and predicted IoUs are
apart and how many pixels differ; exits 1 where logits differ by more than a thousandth
of the largest.
"""

from __future__ import annotations

import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from sam3 import model_builder
from sam3.model.sam1_task_predictor import SAM3InteractiveImagePredictor

from napari_sam import load_model
from napari_sam.data import FOLDER
from napari_sam.images import make_plane
from napari_sam.models.ultra import load_ultralytics
from napari_sam.types import Prompt

MOST = 1e-3
ASKED = {
    "one click, three masks": ([(250, 310)], [1], None, True),
    "one click": ([(250, 310)], [1], None, False),
    "two clicks": ([(250, 310), (40, 60)], [1, 0], None, False),
    "box": (None, None, (200, 260, 290, 380), False),
    "box and click": ([(250, 310)], [1], (200, 260, 290, 380), False),
}


def main(blocks: int) -> int:
    """Compare; return the exit code."""
    torch.manual_seed(0)
    builders: Any = load_ultralytics("ultralytics.models.sam.build_sam3")
    for module in (model_builder, builders):
        module.ViT = partial(_cut, module.ViT, blocks)
    theirs = _meta().eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.pt"
        state = {_in_file(k): t for k, t in theirs.state_dict().items()}
        torch.save({"model": state}, path)
        model: Any = load_model(path, device="cpu")
    predictor = SAM3InteractiveImagePredictor(theirs, max_hole_area=0.0)
    plane = make_plane(tifffile.imread(FOLDER / "images" / "fluorescence.tif"))
    start = time.perf_counter()
    predictor.set_image(plane.pixels)
    there = time.perf_counter() - start
    start = time.perf_counter()
    embedding = model.encode(plane)
    here = time.perf_counter() - start
    print(f"encoder with {blocks} blocks: {there:.1f} s there, {here:.1f} s here")
    wrong = 0
    for name, (points, labels, box, several) in ASKED.items():
        xy = None if points is None else np.array(points)[:, ::-1].copy()
        corners = None if box is None else np.array(box)[[1, 0, 3, 2]]
        masks, scores, low = predictor.predict(
            xy, None if labels is None else np.array(labels), corners, None, several
        )
        prompt = Prompt(
            points=None if points is None else np.array(points) + 0.5,
            labels=labels,
            box=None if box is None else np.array(box) + 0.5,
        )
        (raw,) = model.decode_logits(embedding, [prompt], multimask=several)
        (answer,) = model.decode(embedding, [prompt], multimask=several)
        away = np.abs(np.clip(raw.logits, -32, 32) - low).max() / np.abs(low).max()
        apart = np.abs(raw.scores - scores).max()
        best = masks[int(np.argmax(scores))] > 0
        pixels = (answer.best.full(plane.shape) != best).mean()
        wrong += away > MOST
        print(f"{name}: logits {away:.1e}, IoU {apart:.1e}, pixels {pixels:.1e}")
    return int(wrong > 0)


def _cut(whole: Any, blocks: int, **options: Any) -> Any:
    return whole(**{**options, "depth": blocks, "global_att_blocks": (blocks - 1,)})


def _meta() -> Any:
    """Build Meta's tracker with its encoder where there is no graphics card."""
    zeros = torch.zeros

    def on_cpu(*size: Any, **options: Any) -> torch.Tensor:
        options.pop("device", None)
        return zeros(*size, **options)

    torch.zeros = on_cpu  # it asks for "cuda" whatever there is
    try:
        network = model_builder.build_tracker(False, with_backbone=True)
        neck = model_builder._create_vision_backbone(enable_inst_interactivity=True)
    finally:
        torch.zeros = zeros
    network.backbone.vision_backbone = neck
    for parameter in network.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.7 / parameter[0].numel() ** 0.5)
    return network


def _in_file(name: str) -> str:
    """Return what a tensor of the tracker is called in Meta's file."""
    if name.startswith("backbone."):
        return f"detector.{name}"
    return f"tracker.{name}"


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 4))
