"""What is changed in the crops of a training: intensities, shapes, neighbours.

Intensities are changed in the ways microscopes and files differ; shapes bend a little;
objects of a crop are put beside others, for it is clusters that models get wrong.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage
from skimage.transform import resize

Array = npt.NDArray[Any]
_LUMINANCE = np.array([0.3, 0.59, 0.11])
_BEND = 5.0  # pixels, at most, that a knot is moved
_KNOTS = 6  # along one side
_COVERED = 0.25  # of an object, at most, that a copy may hide
_RIM = 2  # pixels around a copy that are blended


def copy_objects(
    pixels: Array, labels: Array, random: np.random.Generator
) -> tuple[Array, Array]:
    """Put turned copies of a crop's whole objects where they touch others.

    Parameters
    ----------
    pixels : float array, shape (h, w, 3)
    labels : int array, shape (h, w)

    Returns
    -------
    pixels, labels : new arrays of the same shapes
    """
    pixels, labels = pixels.copy(), labels.copy()
    limit = np.array(labels.shape)
    whole = [
        (number, place)
        for number, place in enumerate(ndimage.find_objects(labels), start=1)
        if place is not None
        and all(s.start >= _RIM for s in place)
        and all(s.stop <= n - _RIM for s, n in zip(place, limit, strict=True))
    ]
    if not whole:
        return pixels, labels
    originals = pixels.copy(), labels.copy()
    highest = int(labels.max())
    for _ in range(random.integers(1, 9)):
        number, place = whole[random.integers(len(whole))]
        wider = tuple(slice(s.start - _RIM, s.stop + _RIM) for s in place)
        turns, mirrored = int(random.integers(4)), random.random() < 0.5
        part, mask = originals[0][wider], originals[1][wider] == number
        part, mask = np.rot90(part, turns), np.rot90(mask, turns)
        if mirrored:
            part, mask = part[::-1], mask[::-1]
        _, other = whole[random.integers(len(whole))]
        centre = np.array([(s.start + s.stop) / 2 for s in other])
        reach = sum(max(s.stop - s.start for s in p) for p in (place, other)) / 2
        angle = random.uniform(0, 2 * np.pi)
        away = np.array([np.sin(angle), np.cos(angle)]) * reach
        corner = centre + away * random.uniform(0.75, 1.1) - np.array(mask.shape) / 2
        low = np.round(corner).astype(int)
        if (low < 0).any() or (low + mask.shape > limit).any():
            continue
        at = tuple(slice(i, i + n) for i, n in zip(low, mask.shape, strict=True))
        if _hides_much(labels, labels[at][mask]):
            continue
        highest += 1
        soft = ndimage.gaussian_filter(mask.astype(np.float32), 0.7)[..., None]
        pixels[at] = pixels[at] * (1 - soft) + part * soft
        labels[at][mask] = highest
    return pixels, labels


def _hides_much(labels: Array, covered: Array) -> bool:
    hidden = np.bincount(covered, minlength=int(labels.max()) + 1)
    hidden[0] = 0
    touched = np.flatnonzero(hidden)
    return any(hidden[i] > _COVERED * (labels == i).sum() for i in touched)


def warp(random: np.random.Generator, pixels: Array, *maps: Array) -> tuple[Array, ...]:
    """Bend a crop (h, w, 3) smoothly, and maps (h, w) with it, by nearest pixels."""
    side = pixels.shape[:2]
    knots = random.uniform(-1, 1, (2, _KNOTS, _KNOTS)) * random.uniform(0, _BEND)
    moved = [resize(k, side, order=3, mode="edge") for k in knots]
    y, x = np.mgrid[: side[0], : side[1]]
    at = np.stack([y + moved[0], x + moved[1]])
    bent = [
        ndimage.map_coordinates(channel, at, order=1, mode="nearest")
        for channel in np.moveaxis(pixels, -1, 0)
    ]
    near = np.clip(np.round(at).astype(int), 0, np.array(side)[:, None, None] - 1)
    return np.stack(bent, -1), *(values[near[0], near[1]] for values in maps)


def recolour(pixels: Array, random: np.random.Generator) -> Array:
    """Change intensities (h, w, 3) in 0..255 as microscopes do; gives uint8."""
    grey = bool((pixels[..., 0] == pixels[..., 2]).all())
    image = pixels / 255.0
    if not grey:
        if random.random() < 0.15:
            image = np.repeat(image @ _LUMINANCE[:, None], 3, axis=2)
        elif random.random() < 0.6:
            image = image * random.uniform(0.85, 1.15, 3)
            image = image + random.uniform(-0.06, 0.06, 3)
    if random.random() < 0.12:
        image = 1 - image
    if random.random() < 0.7:
        image = np.clip(image, 0, 1) ** np.exp(random.normal(0, 0.35))
    if random.random() < 0.5:
        image = (image - 0.5) * random.uniform(0.6, 1.25) + 0.5
        image = image + random.uniform(-0.1, 0.1)
    if random.random() < 0.15:
        sigma = random.uniform(0.4, 1.5)
        image = ndimage.gaussian_filter(image, (sigma, sigma, 0))
    if random.random() < 0.35:
        shape = image.shape[:2] + ((1,) if grey else (3,))
        image = image + random.normal(0, random.uniform(0.01, 0.08), shape)
    if random.random() < 0.08:  # few levels, as of a dim image
        levels = random.integers(12, 80)
        image = np.round(image * levels) / levels
    changed = np.clip(image * 255, 0, 255).astype(np.uint8)
    return _compressed(changed, random) if random.random() < 0.1 else changed


def _compressed(pixels: Array, random: np.random.Generator) -> Array:
    file = io.BytesIO()
    quality = int(random.integers(30, 90))
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))
