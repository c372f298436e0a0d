"""Pictures of typical and of the worst answers, for the page about the models.

    python benchmarks/answers.py DATA FOLDER [--part test] [--weights FILE]

`DATA` is what `quality.py` takes. Writes two PNGs: `FOLDER/answers-clicks.png`, what
one click on the middle of an object is answered with, and `FOLDER/answers-found.png`,
what is found without being asked. Each kind of image has a row: the object, or image,
that half of its kind are better than, then the one that nineteen of twenty are better
than, each as it is and with outlines. Nothing is chosen by eye.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from skimage import io

import napari_sam as ns
from napari_sam.images import make_plane
from napari_sam.records.overlays import Panel, save_picture
from napari_sam.segment.metrics import compare_labels
from napari_sam.training.pocket.data import find_sources
from napari_sam.training.scoring import iou_with, middle, objects_of
from napari_sam.types import Prompt

if TYPE_CHECKING:
    from napari_sam.models.protocol import Detector, PromptableModel

Array = npt.NDArray[Any]
Answers = dict[str, list["Answer"]]
KINDS = {
    "fluorescence": "fluorescence",
    "histology_purple": "stained tissue",
    "brightfield_gray": "brightfield",
    "phase": "phase contrast",
}
TILE = 256  # pixels of a picture's side, at most, that are shown
CLICKED = 20  # objects of an image, at most


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """A part of an image with what is true and what was answered."""

    score: float
    pixels: Array
    truth: Array
    found: Array


def cut(array: Array, centre: Array, side: int) -> Array:
    """Return a square of an image, around a point as far as there is an image."""
    room = np.array(array.shape[:2]) - side
    y, x = np.clip(np.round(centre - side / 2), 0, room).astype(int)
    part: Array = array[y : y + side, x : x + side].copy()
    return part


def answer_clicks(
    model: PromptableModel, image: Array, labels: Array, random: np.random.Generator
) -> list[Answer]:
    """Click the middle of some objects."""
    pixels = make_plane(image).pixels
    objects = objects_of(labels)
    objects = [objects[i] for i in random.permutation(len(objects))[:CLICKED]]
    embedding = model.encode(image)
    areas = np.bincount(labels.ravel())
    made = []
    for number, place in objects:
        corner = np.array([part.start for part in place])
        point = middle(labels[place] == number) + corner
        (answer,) = model.decode(embedding, [Prompt(points=[point])])
        found = answer.best.full(labels.shape)
        extent = max(part.stop - part.start for part in place)
        side = min(3 * extent + 8, TILE, *labels.shape)
        shown = (pixels, labels == number, found)
        parts = [cut(array, point, side) for array in shown]
        score = iou_with(answer.best, labels, number, int(areas[number]))
        made.append(Answer(score, *parts))
    return made


def enlarged(part: Array) -> Array:
    """Bring a square to the side of all pictures; labels keep their values."""
    if part.ndim == 3:
        picture = Image.fromarray(part).resize((TILE, TILE), Image.Resampling.BICUBIC)
    else:
        labels = Image.fromarray(part.astype(np.int32))
        picture = labels.resize((TILE, TILE), Image.Resampling.NEAREST)
    return np.asarray(picture)


def answer_whole(
    model: PromptableModel, detector: Detector, image: Array, labels: Array
) -> Answer:
    """Find all objects; show the part around the one nearest to the middle."""
    found, _ = ns.annotate(image, model=model, detector=detector)
    same = compare_labels(labels, found)
    # Panoptic quality: how many are right, and how well they are outlined.
    score = 2 * same.iou_sum / max(same.n_true + same.n_pred, 1)
    inside = np.argwhere(labels)
    half = np.array(labels.shape) / 2
    centre = inside[np.linalg.norm(inside - half, axis=1).argmin()]
    side = min(*labels.shape, TILE)
    shown = (make_plane(image).pixels, labels.astype(np.int32), found)
    return Answer(score, *(cut(part, centre, side) for part in shown))


def save_sheet(path: Path, answers: Answers, title: str, measure: str) -> None:
    """Write a row for each kind: a typical answer, then one of the worst."""
    panels = []
    for kind, name in KINDS.items():
        ranked = sorted(answers[kind], key=lambda answer: answer.score)
        if not ranked:
            continue
        for word, place in (("typical", 0.5), ("worst 5 %", 0.05)):
            answer = ranked[round(place * (len(ranked) - 1))]
            parts = (answer.pixels, answer.found, answer.truth)
            pixels, found, truth = (enlarged(part) for part in parts)
            panels.append(Panel(pixels, name=f"{name}: {word}"))
            panels.append(Panel(pixels, found, truth, f"{measure} {answer.score:.2f}"))
    caption = "typical: the median; worst 5 %: 19 of 20 are better"
    save_picture(path, panels, title=title, caption=caption, columns=4, width=1000)
    with Image.open(path) as picture:
        # The other methods lose the few colours of the lines.
        small = picture.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=2)
    small.save(path, optimize=True)


def main() -> None:
    """Ask, rank and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--part", default="test", choices=("train", "validation", "test")
    )
    parser.add_argument("--weights", default="pocket")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = ns.load_model(arguments.weights, device="cpu")
    detector = ns.load_detector("nuclei", model=model)
    random = np.random.default_rng(7)
    clicks: Answers = defaultdict(list)
    whole: Answers = defaultdict(list)
    for source in find_sources(arguments.data, arguments.part):
        image = io.imread(source.image)
        labels = io.imread(source.labels).astype(np.int64)
        clicks[source.kind] += answer_clicks(model, image, labels, random)
        whole[source.kind].append(answer_whole(model, detector, image, labels))
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name, answers, title, measure in (
        ("clicks", clicks, "One click on the middle of an object", "IoU"),
        ("found", whole, "Found without being asked", "panoptic quality"),
    ):
        path = arguments.folder / f"answers-{name}.png"
        save_sheet(path, answers, title, measure)
        print(path, f"{path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
