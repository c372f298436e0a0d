"""What a network reaches on the validation part while it is trained."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
from skimage import io

from napari_sam.models.pocket.detector import PocketDetector
from napari_sam.models.pocket.model import PocketModel
from napari_sam.models.pocket.weights import save_weights
from napari_sam.training.pocket.data import find_sources
from napari_sam.training.scoring import (
    clicks_needed,
    iou_with,
    objects_of,
    prompts_for,
)

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam.models.pocket.network import PocketNetwork

_SEED = 5


def evaluate(
    network: PocketNetwork, data: Path, out: Path, objects: int
) -> dict[str, float]:
    """Ask for some objects of each image of the validation part, as in use.

    Parameters
    ----------
    network : PocketNetwork
    data, out : Path
        The network is left in `out` as "latest.safetensors".
    objects : int
        Of each image; always the same ones.

    Returns
    -------
    dict
        Mean IoUs of nuclei, with `phase_` before them those of cells; how far the
        expected IoU is off; the IoUs after the second and third click.
    """
    path = out / "latest.safetensors"
    save_weights(network, path, version="training")
    model = PocketModel(path, device="cpu")
    random = np.random.default_rng(_SEED)
    found: dict[str, list[float]] = defaultdict(list)
    for source in find_sources(data, "validation"):
        image = io.imread(source.image)
        labels = io.imread(source.labels).astype(np.int64)
        every = objects_of(labels)
        chosen = [every[i] for i in random.permutation(len(every))[:objects]]
        areas = np.bincount(labels.ravel())
        embedding = model.encode(image)
        start = "phase_" if source.kind == "phase" else ""
        for name, asked in prompts_for(labels, chosen, random).items():
            answers = model.decode(embedding, asked)
            for (number, _), answer in zip(chosen, answers, strict=True):
                iou = iou_with(answer.best, labels, number, int(areas[number]))
                found[start + name].append(iou)
                found["score_error"].append(abs(iou - answer.best.score))
        _, paths = clicks_needed(
            model, embedding, labels, chosen[: -(-objects // 2)], most=3
        )
        for path_of_one in paths:
            found["second_click"].append(path_of_one[1])
            found["third_click"].append(path_of_one[2])
        boxes = PocketDetector(model).detect_embedded([embedding])[0].boxes
        found["boxes_found"].append(len(boxes) / max(len(every), 1))
    return {name: float(np.mean(values)) for name, values in found.items()}
