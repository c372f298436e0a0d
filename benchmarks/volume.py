"""Follow nuclei of a volume from one click each; compare with the truth.

Usage: python benchmarks/volume.py DATA

DATA/gonuclear_3d holds images and masks. The click is in the middle of each nucleus, on
the slice in the middle of those that it is on. As a baseline, what that click gave is
taken for all of the nucleus's own slices: who draws it knows where it ends, and moves
nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path

import numpy as np
import tifffile

import napari_sam as ns
from napari_sam.segment.overlap import middle
from napari_sam.types import Mask, Prompt

STACKS = ("1135", "1137", "1139", "1170")
LEAST = 20  # pixels of a nucleus on its middle slice


def clicks(truth: np.ndarray) -> dict[int, dict[int, Prompt]]:
    """Return a click on each nucleus."""
    found = {}
    for number in np.unique(truth)[1:].tolist():
        planes = np.flatnonzero((truth == number).any((1, 2)))
        plane = int(planes[len(planes) // 2])
        mask = Mask.from_array(truth[plane] == number)
        if mask.area >= LEAST:
            found[number] = {plane: Prompt(points=[middle(mask)])}
    return found


def interval(values: list[float], seed: int = 0) -> tuple[float, float]:
    """Return where 95 of 100 bootstrapped means lie."""
    random = np.random.default_rng(seed)
    drawn = random.choice(values, (2000, len(values))).mean(1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def part(one: np.ndarray, other: np.ndarray) -> float:
    """Return the IoU of two masks."""
    return float((one & other).sum() / max(1, (one | other).sum()))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    folder = parser.parse_args().data / "gonuclear_3d"
    model = ns.load_model("pocket")
    print(f"{model.info.name} {model.info.version}, {os.cpu_count()} cores of")
    print(f"{platform.processor() or platform.machine()}, torch on {model.info.device}")
    print("| stack | nuclei | 3-D IoU | 95 % | the click's outline all along | s |")
    print("|---|---|---|---|---|---|")
    for name in STACKS:
        (path,) = (folder / "images").glob(f"*{name}*")
        (truth_path,) = (folder / "masks").glob(f"*{name}*")
        truth = tifffile.imread(truth_path)
        prompts = clicks(truth)
        begun = time.perf_counter()
        labels = ns.propagate(path, prompts, model=model, axes="ZYX")
        took = time.perf_counter() - begun
        ours, still = [], []
        for number, ((plane, _),) in ((n, p.items()) for n, p in prompts.items()):
            whole = truth == number
            ours.append(part(labels == number, whole))
            same = (labels[plane] == number) & whole.any((1, 2))[:, None, None]
            still.append(part(same, whole))
        low, high = interval(ours)
        print(
            f"| {name} | {len(ours)} | {np.mean(ours):.3f} | {low:.2f} to {high:.2f} "
            f"| {np.mean(still):.3f} | {took:.1f} |"
        )


if __name__ == "__main__":
    main()
