"""How well a promptable model answers on labelled images.

Every object is asked for by a box, by a click on its middle and by a click anywhere
on it; a simulated person clicks on, where the answer is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_sam.types import Mask, Prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.models.protocol import PromptableModel
    from napari_sam.types import Embedding

Array = npt.NDArray[Any]
Place = tuple[slice, slice]


def objects_of(labels: Array) -> list[tuple[int, Place]]:
    """Return id and bounding slices of every object."""
    found = ndimage.find_objects(labels)
    return [(i, place) for i, place in enumerate(found, start=1) if place is not None]


def iou_with(mask: Mask, labels: Array, number: int, area: int) -> float:
    """Return the IoU of a mask with one object, inside of the mask's box."""
    shared = int((mask.data & (labels[mask.slices] == number)).sum())
    return shared / (mask.area + area - shared)


def jittered(place: Place, random: np.random.Generator) -> Array:
    """Return the object's box with each side moved by up to 10 % of its length."""
    rows, columns = place
    box = np.array([rows.start, columns.start, rows.stop, columns.stop], float)
    sides = np.tile(box[2:] - box[:2], 2)
    moved: Array = box + random.uniform(-0.1, 0.1, 4) * sides
    return moved


def ellipse(box: Array, shape: tuple[int, int]) -> Mask:
    """Return the ellipse inscribed in a box: the answer without any model."""
    y0, x0 = np.floor(box[:2]).astype(int).clip(0)
    y1, x1 = np.minimum(np.ceil(box[2:]).astype(int), shape)
    y = (np.arange(y0, y1) + 0.5 - (box[0] + box[2]) / 2) / ((box[2] - box[0]) / 2)
    x = (np.arange(x0, x1) + 0.5 - (box[1] + box[3]) / 2) / ((box[3] - box[1]) / 2)
    inside = y[:, None] ** 2 + x[None, :] ** 2 <= 1
    return Mask.from_array(inside, (int(y0), int(x0)))


def middle(mask: Array) -> Array:
    """Return the most inner point of an area."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return np.array(np.unravel_index(depth.argmax(), mask.shape)) + 0.5


def clicks_on(mask: Array, random: np.random.Generator) -> tuple[Array, Array]:
    """Return the most inner point of an object and a random point on it."""
    pixel = np.unravel_index(random.choice(np.flatnonzero(mask)), mask.shape)
    return middle(mask), np.array(pixel) + random.random(2)


def prompts_for(
    labels: Array, objects: Sequence[tuple[int, Place]], random: np.random.Generator
) -> dict[str, list[Prompt]]:
    """Return the prompts "box", "centre_click" and "any_click" for each object."""
    prompts: dict[str, list[Prompt]] = {
        "box": [Prompt(box=tuple(jittered(place, random))) for _, place in objects],
        "centre_click": [],
        "any_click": [],
    }
    for number, place in objects:
        corner = np.array([s.start for s in place])
        inner, anywhere = clicks_on(labels[place] == number, random)
        prompts["centre_click"].append(Prompt(points=[inner + corner]))
        prompts["any_click"].append(Prompt(points=[anywhere + corner]))
    return prompts


def correcting_click(
    mask: Mask, labels: Array, number: int, place: Place
) -> tuple[Array, bool]:
    """Return where a person would click next, and whether on what is missing.

    In the middle of the larger mistake: what is missing, or what is beyond.
    """
    low = np.array([s.start for s in place])
    high = np.array([s.stop for s in place])
    if mask.area:
        low = np.minimum(low, [s.start for s in mask.slices])
        high = np.maximum(high, [s.stop for s in mask.slices])
    true = labels[low[0] : high[0], low[1] : high[1]] == number
    shown = np.zeros(true.shape, bool)
    if mask.area:
        rows, columns = mask.slices
        shown[
            rows.start - low[0] : rows.stop - low[0],
            columns.start - low[1] : columns.stop - low[1],
        ] = mask.data
    missing, beyond = true & ~shown, shown & ~true
    positive = bool(missing.sum() >= beyond.sum())
    return middle(missing if positive else beyond) + low, positive


def clicks_needed(
    model: PromptableModel,
    embedding: Embedding,
    labels: Array,
    objects: Sequence[tuple[int, Place]],
    *,
    enough: float = 0.85,
    most: int = 6,
) -> tuple[list[int], list[list[float]]]:
    """Click the middle, then where the answer is wrong, until it is good.

    Returns
    -------
    needed : list of int
        Clicks for each object; `most` + 1 where that many were too few.
    ious : list of list of float
        Of each object after each click; the last is kept once it is good.
    """
    needed, ious = [], []
    areas = np.bincount(labels.ravel())
    for number, place in objects:
        corner = np.array([s.start for s in place])
        points = [middle(labels[place] == number) + corner]
        marks, previous, path = [1], None, []
        for _ in range(most):
            prompt = Prompt(points=points, labels=marks, previous=previous)
            (answer,) = model.decode(embedding, [prompt])
            best = answer.best
            path.append(iou_with(best, labels, number, int(areas[number])))
            if path[-1] >= enough:
                break
            point, positive = correcting_click(best, labels, number, place)
            points, marks = [*points, point], [*marks, int(positive)]
            previous = best if best.area else None
        good = path[-1] >= enough
        needed.append(len(path) if good else most + 1)
        ious.append(path + path[-1:] * (most - len(path)))
    return needed, ious
