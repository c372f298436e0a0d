"""Compare µSAM's automatic segmentation with micro-sam's own code, on random weights.

    PYTHON benchmarks/micro_sam_parity.py [vit_t] [vit_b]

PYTHON is that of an environment of its own, with this package and, from PyPI,
micro-sam, torch-em, python-elf, bioimage-cpp, segment-anything-py and mobilesam-mirror.
Prints, for every network and image, the largest difference of the three maps, how many
objects there are, and the part of the pixels whose objects differ; exits 1 where a map
differs by more than 1e-4, or the objects by more than one pixel in 1,000. (The
watershed that micro-sam uses rounds to one in 65,536 and leaves open who comes first
then; ours does not round.)
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from micro_sam.instance_segmentation import (
    InstanceSegmentationWithDecoder,
    get_predictor_and_decoder,
    get_unetr,
)
from mobile_sam import sam_model_registry as mobile_registry
from segment_anything import sam_model_registry

from napari_sam import load_detector, load_model
from napari_sam.data import FOLDER
from napari_sam.images import Plane, make_plane
from napari_sam.models.musam.watershed import find_instances

MOST, MOST_PIXELS = 1e-4, 1e-3
IMAGES = {"fluorescence": None, "phase_contrast": None, "nuclei_timelapse": 2}


def main(names: list[str]) -> int:
    """Compare networks; return the exit code."""
    torch.set_num_threads(2)
    wrong = 0
    for name in names or ["vit_t", "vit_b"]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}_random.pt"
            torch.save(random_state(name), path)
            wrong += compare(name, path)
    return int(wrong > 0)


def random_state(name: str) -> dict[str, Any]:
    """Return a checkpoint of micro-sam with random weights that see something."""
    torch.manual_seed(0)
    registry = mobile_registry if name == "vit_t" else sam_model_registry
    sam = registry[name](None).eval()
    for parameter in sam.image_encoder.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.05)
    unetr = get_unetr(sam.image_encoder, None, "cpu").eval()
    with torch.no_grad():
        for module in unetr.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None
        unetr.train()
        unetr.encoder.eval()
        unetr.final_activation = None
        image = torch.tensor(plane_of("fluorescence", None).pixels).float()
        seen = unetr(image.permute(2, 0, 1)[None])
        unetr.eval()
        # So that half of the pixels are foreground, and distances are of all kinds.
        gain = 2 / seen.std((0, 2, 3))
        unetr.out_conv.weight *= gain[:, None, None, None]
        unetr.out_conv.bias.sub_(seen.mean((0, 2, 3))).mul_(gain)
    decoder = {
        key: value
        for key, value in unetr.state_dict().items()
        if not key.startswith("encoder")
    }
    return {"model_state": sam.state_dict(), "decoder_state": decoder}


def plane_of(name: str, index: int | None) -> Plane:
    """Return an image that ships as models see it."""
    image = tifffile.imread(FOLDER / "images" / f"{name}.tif")
    return make_plane(image if index is None else image[index])


def compare(name: str, path: Path) -> int:
    """Print the differences; return how many are too large."""
    predictor, theirs = get_predictor_and_decoder(name, str(path), device="cpu")
    # MobileSAM keeps attention biases from before its weights were loaded.
    predictor.model.train().eval()
    theirs.eval()
    segmenter = InstanceSegmentationWithDecoder(predictor, theirs)
    model = load_model(path, device="cpu")
    detector: Any = load_detector("own-decoder", model=model)
    wrong = 0
    for image, index in IMAGES.items():
        plane = plane_of(image, index)
        start = time.perf_counter()
        predictor.set_image(plane.pixels)
        with torch.no_grad():
            maps = theirs(
                predictor.features, predictor.input_size, predictor.original_size
            )[0].numpy()
        there = time.perf_counter() - start
        start = time.perf_counter()
        ours = detector.maps(model.encode(plane))
        here = time.perf_counter() - start
        segmenter._foreground, segmenter._center_distances = maps[0], maps[1]
        segmenter._boundary_distances, segmenter._is_initialized = maps[2], True
        labels = segmenter.generate()
        away = float(np.abs(ours - maps).max())
        differ = different(find_instances(ours), labels)
        too_far = away > MOST or differ > MOST_PIXELS
        wrong += too_far
        print(
            f"{name} {image}: maps differ by {away:.1e}, {labels.max()} objects, "
            f"{differ:.1e} of the pixels in another one; {there:.1f} s there, "
            f"{here:.1f} s here{'  TOO FAR' if too_far else ''}"
        )
    return wrong


def different(one: Any, other: Any) -> float:
    """Return the part of pixels whose objects are not each other's partner."""
    pairs, counts = np.unique(
        np.stack([one.ravel(), other.ravel()]).astype(np.int64),
        axis=1,
        return_counts=True,
    )
    best: dict[int, tuple[int, int]] = {}
    for (a, b), count in zip(pairs.T, counts, strict=True):
        if count > best.get(a, (0, 0))[0]:
            best[a] = (count, b)
    agree = sum(count for count, _ in best.values())
    return float(1 - agree / one.size)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
