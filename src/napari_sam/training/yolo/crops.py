"""Training crops for the YOLO detector: every image at a scale of its own.

The images of `dsb2018` differ in magnification by more than ten times. Here
each is scaled so that its median nucleus has one size, with some spread, and
cut into squares, which ultralytics' trainer then reads from a folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from skimage import io, measure

from napari_sam.training.pocket.changes import recolour
from napari_sam.training.pocket.data import bilinear, find_sources

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam.training.pocket.data import Example

Array = npt.NDArray[Any]
# Of a nucleus that the crop cuts, at least this part must be inside to count.
_VISIBLE = 0.2


def write_crops(data: Path, folder: Path, options: dict[str, Any], seed: int) -> Path:
    """Write images and boxes of the train and validation parts; return data.yaml.

    Parameters
    ----------
    data : Path
        Holds `dsb2018/` with images/, masks/ and index.csv.
    folder : Path
        Gets images/ and labels/, each with train/ and val/.
    options : dict
        `crops` in config.yaml.
    seed : int
    """
    for part, name in (("train", "train"), ("validation", "val")):
        pictures, rows = folder / "images" / name, folder / "labels" / name
        pictures.mkdir(parents=True, exist_ok=True)
        rows.mkdir(parents=True, exist_ok=True)
        sources = [s for s in find_sources(data, part) if s.kind != "phase"]
        for number, source in enumerate(sources):
            random = np.random.default_rng((seed, number, part == "train"))
            example = source.load()
            for copy in range(options["per_image"][source.kind]):
                pixels, boxes = random_square(
                    example, options, random, changed=part == "train"
                )
                stem = f"{source.image.stem}_{copy}"
                io.imsave(pictures / f"{stem}.png", pixels, check_contrast=False)
                (rows / f"{stem}.txt").write_text(_rows(boxes, options["side"]))
    description = folder / "data.yaml"
    description.write_text(
        f"path: {folder.resolve()}\ntrain: images/train\nval: images/val\n"
        "names:\n  0: nucleus\n"
    )
    return description


def random_square(
    example: Example,
    options: dict[str, Any],
    random: np.random.Generator,
    *,
    changed: bool,
) -> tuple[Array, Array]:
    """Cut one square, its nuclei scaled to about `object_size`.

    Returns
    -------
    pixels : uint8 array, shape (side, side, 3)
    boxes : float array, shape (N, 4)
        (y0, x0, y1, x1), half-open, in pixels of the crop.
    """
    side = options["side"]
    wanted = options["object_size"] * np.exp(random.normal(0, options["spread"]))
    scale = wanted / object_size(example.labels)
    height, width = example.labels.shape
    y0, x0 = _corner(example.labels, side / scale, random)
    y = y0 + (np.arange(side) + 0.5) / scale
    x = x0 + (np.arange(side) + 0.5) / scale
    # Beyond the image there is black, as ultralytics' mosaics have grey there.
    inside = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))
    iy = np.clip(y.astype(int), 0, height - 1)
    ix = np.clip(x.astype(int), 0, width - 1)
    labels = np.where(inside, example.labels[iy][:, ix], 0)
    pixels = bilinear(example.pixels, y, x)
    pixels = recolour(pixels, random) if changed else pixels.astype(np.uint8)
    return pixels * inside[..., None].astype(np.uint8), _boxes(labels, example, scale)


def object_size(labels: Array) -> float:
    """Return the median of the objects' sqrt(area), in pixels."""
    areas = np.bincount(labels.ravel())[1:]
    return float(np.median(np.sqrt(areas[areas > 0])))


def _corner(labels: Array, extent: float, random: np.random.Generator) -> Array:
    """Choose the crop's corner; an image smaller than the crop lies within it."""
    room = np.array(labels.shape) - extent
    pixel = np.array(
        np.unravel_index(random.choice(np.flatnonzero(labels)), labels.shape)
    )
    wanted = pixel - random.uniform(0.1, 0.9, 2) * extent
    return np.where(
        room > 0,
        np.clip(wanted, 0, np.maximum(room, 0)),
        random.uniform(0, 1, 2) * room,
    )


def _boxes(labels: Array, example: Example, scale: float) -> Array:
    areas = np.bincount(example.labels.ravel())
    found = [
        region.bbox
        for region in measure.regionprops(labels)
        if region.area >= _VISIBLE * areas[region.label] * scale**2
    ]
    return np.asarray(found, np.float64).reshape(-1, 4)


def _rows(boxes: Array, side: int) -> str:
    """Write `class x y width height`, relative to the crop's side."""
    lines = []
    for y0, x0, y1, x1 in boxes / side:
        lines.append(
            f"0 {(x0 + x1) / 2:.6f} {(y0 + y1) / 2:.6f} {x1 - x0:.6f} {y1 - y0:.6f}\n"
        )
    return "".join(lines)
