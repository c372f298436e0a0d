"""How much work it is to label a slice: actions of a simulated person.

    python benchmarks/effort.py DATA [--images 12]

`DATA` is a folder with `dsb2018/`; the images are fluorescence of the part of the
split that no shipped model was trained on. The person knows the true outlines and
brings a slice to F1 >= 0.98 at IoU 0.75. For an object that is not right yet they
delete what lies there, click its middle, and look: the suggestion may be right, or the
next one after Tab; else they click where it is wrong, three times at most; else they
draw a box and click three times at most; else they paint. In the mode "one click, one
object" nothing needs to be confirmed. Each deletion, click, Tab and box is an action,
painting an object counts ten. What is no object is deleted.

Counted are actions per true object, from nothing, from automatic labels, and from a
damaged segmentation (10 % of the objects merged with a neighbour, 10 % missing, 10 %
ragged). Exit code 1 where a target is missed. No times are taken.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage import io, segmentation

import napari_sam as ns
from napari_sam.images import make_plane
from napari_sam.live.labels.scan import scan
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.marks import prompt_of
from napari_sam.live.prompting.answers import arrange, first_choice
from napari_sam.live.values import Mark, Rule
from napari_sam.segment.metrics import compare_labels
from napari_sam.training.pocket.data import find_sources
from napari_sam.types import Candidates, Mask, PromptError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.models.protocol import PromptableModel

SEED = 11
GOOD, ENOUGH = 0.75, 0.98
PAINTED = 10  # what painting an object counts
MORE_CLICKS = 3
WANTED = {"nothing": 1.6, "automatic labels": 0.4}
Array = npt.NDArray[Any]


@dataclass(slots=True)
class Person:
    """Labels one slice, and counts what they do."""

    model: PromptableModel
    embedding: Any
    truth: Array
    store: LabelStore
    done: Counter[str] = field(default_factory=Counter)

    def work(self) -> None:
        """Go through all objects until the slice is good."""
        sizes = np.bincount(self.truth.ravel())
        for number in np.argsort(-sizes[1:]) + 1:
            if self.good():
                return
            if sizes[number]:
                self.mend(int(number))
        for label in tuple(self.store.records):
            if not self.good() and self.best_iou(label) < GOOD:
                self.delete(label)

    def good(self) -> bool:
        """Whether the slice is good enough."""
        found = self.store.labels.astype(np.int64)
        return bool(compare_labels(self.truth, found).f1_at(GOOD) >= ENOUGH)

    def best_iou(self, label: int) -> float:
        """Return the IoU of an object with the true one that it is most of."""
        mask = self.store.labels == label
        inside = np.bincount(self.truth[mask], minlength=2)
        inside[0] = 0
        number = int(inside.argmax())
        shared = inside[number]
        return float(shared / (mask.sum() + (self.truth == number).sum() - shared))

    def delete(self, label: int) -> None:
        """Delete an object."""
        self.store.delete([label])
        self.done["delete"] += 1

    def mend(self, number: int) -> None:
        """Bring one true object to be labelled."""
        true = self.truth == number
        there = np.bincount(self.store.labels[true], minlength=2)
        for label in np.flatnonzero(there[1:]) + 1:
            if there[label] < true.sum() / 4:
                continue
            own = self.store.labels == label
            if there[label] / (own | true).sum() >= GOOD:
                return
            if self.best_iou(int(label)) < GOOD:
                self.delete(int(label))
        mask = self.clicked(true) or self.boxed(true)
        if mask is None:
            self.done["paint"] += PAINTED
            mask = Mask.from_array(true)
        self.store.add((), mask, Rule.KEEP)

    def clicked(self, true: Array) -> Mask | None:
        """Click the middle, then where it is wrong."""
        self.done["click"] += 1
        marks = [Mark("click", _middle(true)[None])]
        found = self.ask(marks)
        if found is None:
            return None
        first = first_choice(found, None)
        count = len(found.masks)
        for tabs in range(count):
            mask = found.masks[(first + tabs) % count]
            if _iou(mask, true) >= GOOD:
                self.done["tab"] += tabs
                return mask
        return self.refined(marks, found.masks[first], true)

    def boxed(self, true: Array) -> Mask | None:
        """Draw a box, then click where it is wrong."""
        self.done["box"] += 1
        rows, columns = np.flatnonzero(true.any(1)), np.flatnonzero(true.any(0))
        y0, y1, x0, x1 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        corners = np.array([[y0, x0], [y0, x1], [y1, x1], [y1, x0]], np.float32)
        marks = [Mark("box", corners)]
        found = self.ask(marks)
        if found is None:
            return None
        mask = found.masks[first_choice(found, None)]
        if _iou(mask, true) >= GOOD:
            return mask
        return self.refined(marks, mask, true)

    def refined(self, marks: list[Mark], mask: Mask, true: Array) -> Mask | None:
        """Click a few times where a suggestion is wrong."""
        for _ in range(MORE_CLICKS):
            shown = mask.full((true.shape[0], true.shape[1]))
            missing, beyond = true & ~shown, shown & ~true
            positive = bool(missing.sum() >= beyond.sum())
            where = _middle(missing if positive else beyond)
            marks.append(Mark("click", where[None], positive))
            self.done["click"] += 1
            found = self.ask(marks, mask)
            if found is None:
                return None
            mask = found.masks[first_choice(found, None)]
            if _iou(mask, true) >= GOOD:
                return mask
        return None

    def ask(
        self, marks: Sequence[Mark], previous: Mask | None = None
    ) -> Candidates | None:
        """Ask the model as the widget does."""
        try:
            prompt = prompt_of(marks, self.embedding.shape, previous=previous)
        except PromptError:
            return None
        return arrange(self.model.decode(self.embedding, [prompt])[0])


def _middle(mask: Array) -> npt.NDArray[np.float32]:
    """Return the most inner point of the largest piece."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    at = np.unravel_index(depth.argmax(), mask.shape)
    return np.array(at, np.float32) + 0.5


def _iou(mask: Mask, true: Array) -> float:
    shared = int((mask.data & true[mask.slices]).sum())
    return shared / (mask.area + int(true.sum()) - shared)


def damaged(truth: Array, random: np.random.Generator) -> Array:
    """Merge, remove and fray a tenth of the objects each."""
    labels = segmentation.relabel_sequential(truth)[0].astype(np.int64)
    ids = random.permutation(np.arange(1, labels.max() + 1))
    merged, missing, ragged = np.array_split(ids, 10)[:3]
    for number in merged:
        ring = ndimage.binary_dilation(labels == number, iterations=4)
        near = np.unique(labels[ring & (labels != number)])
        near = near[near > 0]
        if near.size:
            labels[labels == number] = near[0]
            gap = ndimage.binary_closing(labels == near[0], iterations=3)
            labels[gap & (labels == 0)] = near[0]
    labels[np.isin(labels, missing)] = 0
    for number in ragged:
        own = labels == number
        noise = ndimage.gaussian_filter(random.standard_normal(labels.shape), 2)
        labels[own & (noise > 0.02)] = 0
    return labels


def main() -> int:
    """Count, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=int, default=12)
    arguments = parser.parse_args()
    random = np.random.default_rng(SEED)
    sources = [s for s in find_sources(arguments.data, "test") if "fluo" in s.kind]
    chosen = random.permutation(len(sources))[: arguments.images]
    model = ns.load_model("pocket", device="cpu")
    counts: dict[str, Counter[str]] = {}
    objects = 0
    for place in chosen:
        source = sources[place]
        image = io.imread(source.image)
        truth = io.imread(source.labels).astype(np.int64)
        objects += len(np.unique(truth[truth > 0]))
        embedding = model.encode(make_plane(image))
        starts = {
            "nothing": np.zeros_like(truth),
            "automatic labels": ns.annotate(image, model=model)[0],
            "damaged": damaged(truth, random),
        }
        for name, start in starts.items():
            labels = start.astype(np.uint32)
            found = scan(labels)
            assert found is not None
            store = LabelStore(labels, next_id=found.next_id, extents=found.extents)
            person = Person(model, embedding, truth, store)
            person.work()
            counts.setdefault(name, Counter()).update(person.done)
    print(f"{len(chosen)} images, {objects} objects, to F1@{GOOD} >= {ENOUGH}")
    missed = False
    for name, done in counts.items():
        each = sum(done.values()) / objects
        wanted = WANTED.get(name)
        missed |= wanted is not None and each > wanted
        target = f", wanted <= {wanted}" if wanted else ""
        parts = ", ".join(f"{k} {n / objects:.2f}" for k, n in sorted(done.items()))
        print(f"from {name}: {each:.2f} actions per object ({parts}){target}")
    print("MISSED" if missed else "all targets are met")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
