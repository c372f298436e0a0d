"""Training images in memory, and random crops of them.

A crop is scaled, flipped and transposed; what else is done to it is in `changes`.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage import io, segmentation
from torch.utils.data import IterableDataset, get_worker_info

from napari_sam.images import make_plane
from napari_sam.training.pocket.changes import copy_objects, recolour, warp
from napari_sam.training.pocket.config import Config
from napari_sam.training.pocket.prompts import draw_prompts
from napari_sam.training.pocket.split import load_split
from napari_sam.training.pocket.synthetic import made_up
from napari_sam.training.pocket.targets import dense_targets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

CROP = 256
_DEFAULTS = Config()
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One image with its labels.

    Attributes
    ----------
    pixels : uint8 array, shape (H, W, 3)
    labels : int32 array, shape (H, W)
    centreness : float16 array, shape (H, W)
        Distance to the object's rim, 1 at its most inner pixel.
    """

    pixels: Array
    labels: Array
    centreness: Array


@dataclass(frozen=True, slots=True)
class Source:
    """Where an example comes from."""

    image: Path
    labels: Path
    kind: str

    def load(self) -> Example:
        """Read the two files."""
        labels = np.asarray(io.imread(self.labels)).astype(np.int32)
        pixels = make_plane(np.asarray(io.imread(self.image))).pixels
        return Example(pixels, labels, centreness(labels))


def find_sources(data: Path, part: str) -> list[Source]:
    """List one part of the split: dsb2018 and usiigaci_phase."""
    with (data / "dsb2018" / "index.csv").open(newline="", encoding="utf-8") as file:
        kinds = {row["id"]: row["modality"] for row in csv.DictReader(file)}
    sources = []
    for folder, parts in load_split().items():
        for name in parts[part]:
            (image,) = (data / folder / "images").glob(f"{name}.*")
            (labels,) = (data / folder / "masks").glob(f"{name}.*")
            sources.append(Source(image, labels, kinds.get(name, "phase")))
    return sources


def centreness(labels: Array) -> Array:
    """Distance to the rim of each object, divided by its largest."""
    inner = labels * ~segmentation.find_boundaries(labels, mode="inner")
    # +1: the rim itself is inside, and thin objects have nothing else.
    distance = ndimage.distance_transform_edt(inner > 0) + (labels > 0)
    count = int(labels.max(initial=0)) + 1
    largest = np.ones(count)
    np.maximum.at(largest, labels.ravel(), distance.ravel())
    relative: Array = distance / largest[labels]
    return relative.astype(np.float16)


class Crops(IterableDataset[dict[str, Array]]):
    """An endless stream of random crops; images are read once, when first drawn.

    Parameters
    ----------
    sources : list of Source
    config : Config
        Its seed, together with `start`, fixes every crop.
    start : int
        Number of the first crop: a resumed training goes on, not back.
    """

    def __init__(
        self, sources: Sequence[Source], config: Config, start: int = 0
    ) -> None:
        super().__init__()
        groups = {k: [s for s in sources if s.kind == k] for k in config.kinds}
        self.groups = {k: g for k, g in groups.items() if g or k == "synthetic"}
        self.config, self.start = config, start
        self.examples: dict[Source, Example] = {}

    def __iter__(self) -> Iterator[dict[str, Array]]:
        """Yield pixels (3, 256, 256), labels (256, 256), targets and prompts."""
        config = self.config
        kinds = list(self.groups)
        weights = np.array([config.kinds[kind] for kind in kinds])
        for number in self._numbers():
            random = np.random.default_rng((config.seed, number))
            kind = str(random.choice(kinds, p=weights / weights.sum()))
            example = self._example(kind, random)
            # Whole cells are several times larger than nuclei.
            smallest = 0.45 if kind == "phase" else 0.7
            crop = random_crop(example, smallest, random, config)
            labels, middle = crop["labels"], crop["centreness"]
            crop |= dense_targets(labels, middle)
            crop |= draw_prompts(labels, middle, config.objects, random, config.prompts)
            yield crop

    def _numbers(self) -> Iterator[int]:
        """Count the crops; a process of several counts those of every nth step."""
        worker, together = get_worker_info(), self.config.crops
        part, parts = (worker.id, worker.num_workers) if worker else (0, 1)
        for step in count(part, parts):
            yield from range(
                self.start + step * together, self.start + (step + 1) * together
            )

    def _example(self, kind: str, random: np.random.Generator) -> Example:
        if kind == "synthetic":
            pixels, labels = made_up(random)
            return Example(pixels, labels, centreness(labels))
        group = self.groups[kind]
        source = group[random.integers(len(group))]
        if source not in self.examples:
            self.examples[source] = source.load()
        return self.examples[source]


def random_crop(
    example: Example,
    low: float,
    random: np.random.Generator,
    config: Config = _DEFAULTS,
) -> dict[str, Array]:
    """Cut, turn and change one crop of 256 × 256.

    Parameters
    ----------
    example : Example
    low : float
        The least that it is scaled by; without `config.strong` it is hardly scaled.
    random : Generator
    config : Config
    """
    strong = config.strong
    height, width = example.labels.shape
    smallest = CROP / min(height, width)
    if random.random() < 0.3 or not strong:
        scale = random.uniform(0.9, 1.15)
    else:
        scale = float(np.exp(random.uniform(np.log(low), np.log(2.2))))
    scale = max(scale, smallest)
    extent = CROP / scale
    y0, x0 = _corner(example.labels, extent, random)
    y = y0 + (np.arange(CROP) + 0.5) / scale
    x = x0 + (np.arange(CROP) + 0.5) / scale
    iy = np.clip(y.astype(int), 0, height - 1)
    ix = np.clip(x.astype(int), 0, width - 1)
    labels = example.labels[iy][:, ix]
    middle = example.centreness[iy][:, ix].astype(np.float32)
    pixels = bilinear(example.pixels, y, x)
    if strong and random.random() < config.copied:
        pixels, labels, middle = _crowded(pixels, labels, middle, random)
    if strong and random.random() < config.bent:
        pixels, labels, middle = warp(random, pixels, labels, middle)
    if random.random() < 0.5:
        pixels, labels, middle = pixels[::-1], labels[::-1], middle[::-1]
    if random.random() < 0.5:
        pixels, labels, middle = pixels[:, ::-1], labels[:, ::-1], middle[:, ::-1]
    if random.random() < 0.5:
        pixels, labels, middle = pixels.swapaxes(0, 1), labels.T, middle.T
    pixels = recolour(pixels, random) if strong else pixels.astype(np.uint8)
    return {
        "pixels": np.ascontiguousarray(pixels.transpose(2, 0, 1)),
        "labels": np.ascontiguousarray(labels).astype(np.int64),
        "centreness": np.ascontiguousarray(middle),
    }


def _crowded(
    pixels: Array, labels: Array, middle: Array, random: np.random.Generator
) -> tuple[Array, Array, Array]:
    pixels, crowded = copy_objects(pixels, labels, random)
    different = crowded != labels
    if not different.any():
        return pixels, labels, middle
    # What the crop cuts off keeps its true middle: only these are seen as wholes.
    fresh = np.union1d(crowded[different], labels[different])
    middle = np.where(np.isin(crowded, fresh), centreness(crowded), middle)
    return pixels, crowded, middle.astype(np.float32)


def _corner(labels: Array, extent: float, random: np.random.Generator) -> Array:
    """Choose where to cut; mostly so that some object is in the crop."""
    room = np.array(labels.shape) - extent
    corner = random.uniform(0, 1, 2) * room
    inside = np.flatnonzero(labels)
    if inside.size and random.random() < 0.7:
        pixel = np.array(np.unravel_index(random.choice(inside), labels.shape))
        corner = np.clip(pixel - random.uniform(0.1, 0.9, 2) * extent, 0, room)
    return corner


def bilinear(pixels: Array, y: Array, x: Array) -> Array:
    """Sample at pixel coordinates, centres at (i+.5, j+.5); shape (h, w, 3)."""

    def lerp(array: Array, at: Array) -> Array:
        position = np.clip(at - 0.5, 0, len(array) - 1)
        first = np.minimum(position.astype(int), len(array) - 2)
        weight = (position - first).astype(np.float32)[:, None, None]
        return np.asarray(array[first] * (1 - weight) + array[first + 1] * weight)

    rows = slice(int(max(y[0] - 1, 0)), int(y[-1] + 2))
    columns = slice(int(max(x[0] - 1, 0)), int(x[-1] + 2))
    part = pixels[rows, columns].astype(np.float32)
    part = lerp(part, y - rows.start)
    return lerp(part.swapaxes(0, 1), x - columns.start).swapaxes(0, 1)
