"""How much work it is to label a slice: actions of a simulated person.

    python benchmarks/effort.py DATA [--images 12] [--weights pocket]

`DATA` is a folder with `dsb2018/`; the images are fluorescence of the part of the
split that no shipped model was trained on. The person knows the true outlines and
brings a slice to F1 >= 0.98 at IoU 0.75, with "One click, one object" and "Replace what
is there": nothing is confirmed, and what was wrong need not be deleted first.

For an object that is not right yet they click its middle and look. Up to three keys may
make it right: Tab for another suggestion, "." and "," for a looser or tighter outline;
both are remembered by the widget. Else they click once where it is wrong, and look
again. Else they draw around it with the lasso, a little shakily, and take what they
drew if the model does not come to it. What is no object is deleted. Where objects are
there already and all their outlines are off in the same way, they press "Looser" or
"Tighter" for the whole slice first.

Each click, key and deletion is an action, the lasso counts three. Counted are actions
per true object, from nothing, from automatic labels, and from a damaged segmentation
(10 % of the objects merged with a neighbour, 10 % missing, 10 % ragged). Exit code 1
where a target is missed. No times are taken.
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
from skimage import io, measure, segmentation

import napari_sam as ns
from napari_sam.images import make_plane
from napari_sam.live.labels.moving import move_outlines
from napari_sam.live.labels.scan import scan
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.prompting.answers import answer, first_choice
from napari_sam.live.prompting.asked import Asked, ask
from napari_sam.live.prompting.looser import MOST, looser
from napari_sam.live.values import Mark, Rule
from napari_sam.segment.metrics import compare_labels
from napari_sam.training.pocket.data import find_sources

if TYPE_CHECKING:
    from napari_sam.models.protocol import PromptableModel
    from napari_sam.types import Mask

SEED = 11
GOOD, ENOUGH = 0.75, 0.98
KEYS = 3  # so many are tried before anything else
CORRECTIONS = 1
LASSO = 3  # what drawing around an object counts
SHAKY = 0.7  # pixels
MOST_MOVED = 3
ROUNDS = 2
WANTED = {"nothing": 1.6, "automatic labels": 0.4}
Array = npt.NDArray[Any]


@dataclass(slots=True)
class Person:
    """Labels one slice, and counts what they do."""

    model: PromptableModel
    embedding: Any
    truth: Array
    store: LabelStore
    random: np.random.Generator
    outline: int = 0
    scale: float | None = None
    done: Counter[str] = field(default_factory=Counter)

    def work(self) -> None:
        """Go through all objects until the slice is good."""
        if self.store.records:
            self.move_all()
        sizes = np.bincount(self.truth.ravel())
        largest_first = np.argsort(-sizes[1:]) + 1
        for _ in range(ROUNDS):
            for number in largest_first:
                if self.good():
                    return
                true = self.truth == number
                if sizes[number] and not self.right(true):
                    self.mend(true)
            for label in tuple(self.store.records):
                if not self.good() and self.best_iou(label) < GOOD:
                    self.store.delete([label])
                    self.done["delete"] += 1

    def good(self) -> bool:
        """Whether the slice is good enough."""
        return self.f1() >= ENOUGH

    def f1(self) -> float:
        """Return how good the slice is."""
        found = self.store.labels.astype(np.int64)
        return compare_labels(self.truth, found).f1_at(GOOD)

    def best_iou(self, label: int) -> float:
        """Return the IoU of an object with the true one that it is most of."""
        mask = self.store.labels == label
        inside = np.bincount(self.truth[mask], minlength=2)
        inside[0] = 0
        true = self.truth == inside.argmax()
        return float((mask & true).sum() / (mask | true).sum())

    def right(self, true: Array) -> bool:
        """Whether an object is labelled already."""
        there = np.bincount(self.store.labels[true], minlength=2)
        label = int(there[1:].argmax()) + 1
        own = self.store.labels == label
        return bool(there[label] / (own | true).sum() >= GOOD)

    def move_all(self) -> None:
        """Move the outlines of the whole slice where all are off in the same way."""
        start, before = self.store.labels.copy(), self.f1()
        best, gain = 0, 0.0
        for pixels in range(-MOST_MOVED, MOST_MOVED + 1):
            moved = move_outlines(start, (), pixels) if pixels else None
            if moved is None:
                continue
            change = self.store.take_over(moved)
            assert change is not None
            # As many objects must become right as keys are pressed, and more.
            now = (self.f1() - before) * len(self.store.records) - abs(pixels)
            if now > gain:
                best, gain = pixels, now
            self.store.undo(change)
        for _ in range(abs(best)):
            moved = move_outlines(self.store.labels, (), best // abs(best))
            if moved is not None:
                self.store.take_over(moved)
        self.outline += best
        self.done["all outlines"] += abs(best)

    def mend(self, true: Array) -> None:
        """Bring one true object to be labelled."""
        asked = self.look([Mark("click", _middle(true)[None])], None, true)
        self.done["click"] += 1
        mask = self.keyed(asked, true)
        for _ in range(CORRECTIONS):
            if mask is None and asked.shown.mask is not None:
                asked = self.corrected(asked, true)
                mask = self.keyed(asked, true)
        if mask is None:
            asked = self.look([self.lasso(true)], None, true)
            self.done["lasso"] += LASSO
            mask = self.keyed(asked, true)
        if mask is not None:
            self.store.add((), mask, Rule.REPLACE)

    def look(self, marks: list[Mark], old: Asked | None, true: Array) -> Asked:
        """Ask the model as the widget does."""
        asked = ask(old, "open", (), tuple(marks))
        (given,) = answer(self.model, self.embedding, [asked], self.outline)
        if given.candidates is None:
            return asked.failed(given.error)
        choice = first_choice(given.candidates, self.scale)
        return asked.answered(given.candidates, choice, self.model.info, given.drawn)

    def keyed(self, asked: Asked, true: Array) -> Mask | None:
        """Press the fewest keys that make it right; None where they do not."""
        count = len(asked.drawn)
        best: tuple[int, int, int] | None = None
        for tabs in range(-(count // 2), (count + 1) // 2):
            choice = (asked.shown.choice + tabs) % count
            for outline in range(self.outline - KEYS, self.outline + KEYS + 1):
                keys = abs(tabs) + abs(outline - self.outline)
                if keys > KEYS or abs(outline) > MOST or (best and best[0] <= keys):
                    continue
                if _iou(self.drawn(asked, choice, outline), true) >= GOOD:
                    best = keys, tabs, outline
        if best is None:
            return None
        _, tabs, outline = best
        self.done["tab"] += abs(tabs)
        self.done["looser or tighter"] += abs(outline - self.outline)
        self.outline = outline
        turned = asked.turned(tabs) or asked
        if tabs:
            self.scale = turned.scale
        return self.drawn(asked, turned.shown.choice, outline)

    def drawn(self, asked: Asked, choice: int, outline: int) -> Mask:
        """Return a suggestion as it is with this wish for the outline."""
        mask = asked.drawn[choice]
        by_hand = np.isnan(mask.score)
        return mask if by_hand else looser(mask, outline, self.embedding.shape)

    def corrected(self, asked: Asked, true: Array) -> Asked:
        """Click where a suggestion is wrong."""
        assert asked.shown.mask is not None
        shown = asked.shown.mask.full(self.embedding.shape)
        missing, beyond = true & ~shown, shown & ~true
        positive = bool(missing.sum() >= beyond.sum())
        where = _middle(missing if positive else beyond)
        self.done["click"] += 1
        marks = [*asked.shown.marks, Mark("click", where[None], positive)]
        return self.look(marks, asked, true)

    def lasso(self, true: Array) -> Mark:
        """Draw around an object."""
        around = max(measure.find_contours(np.pad(true, 1), 0.5), key=len) - 0.5
        if len(around) > 12:
            around = around[::3]
        shaken = around + self.random.normal(0, SHAKY, around.shape)
        return Mark("polygon", shaken.astype(np.float32))


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
    parser.add_argument("--weights", default="pocket", help="another file of weights")
    arguments = parser.parse_args()
    random = np.random.default_rng(SEED)
    sources = [s for s in find_sources(arguments.data, "test") if "fluo" in s.kind]
    chosen = random.permutation(len(sources))[: arguments.images]
    model = ns.load_model(arguments.weights, device="cpu")
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
            person = Person(model, embedding, truth, store, random)
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
