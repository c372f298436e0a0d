"""Scenes that are made up, so that the model knows more than nuclei and cells.

Blobs, polygons, tubes and rings, brighter or darker than what is behind them or told
from it by their texture alone, some clustered, with rims, debris, an uneven
background, blur and noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Array = npt.NDArray[Any]
SIDE = 288
_FEWEST = 20  # pixels of an object that is still seen


def made_up(random: np.random.Generator) -> tuple[Array, Array]:
    """Return uint8 pixels (288, 288, 3) and int32 labels (288, 288) of a scene."""
    labels = _scatter(random)
    image = _texture(random) * random.uniform(0, 0.25) + random.uniform(0.1, 0.9)
    outline = ndimage.grey_dilation(labels, 3) != ndimage.grey_erosion(labels, 3)
    contrast = random.choice([-1, 1]) * random.uniform(0.12, 0.6)
    levels = contrast * random.uniform(0.5, 1, int(labels.max()) + 1)
    levels[0] = 0
    coarse = random.uniform(0.02, 0.25)
    inside = labels > 0
    image += levels[labels] + coarse * _texture(random) * inside
    if random.random() < 0.4:
        image[outline & inside] += random.uniform(-0.4, 0.4)
    if random.random() < 0.3:
        depth = ndimage.distance_transform_edt(inside)
        image += random.uniform(-0.3, 0.3) * depth / max(float(depth.max()), 1)
    if random.random() < 0.5:
        image = ndimage.gaussian_filter(image, random.uniform(0.4, 1.8))
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    slope = random.normal(0, 0.08, 2)
    image += slope[0] * y + slope[1] * x
    image *= 1 - random.uniform(0, 0.25) * (y**2 + x**2)
    image += random.normal(0, random.uniform(0, 0.07), image.shape)
    scene = np.repeat(image[..., None], 3, 2)
    if random.random() < 0.25:
        scene = scene * random.uniform(0.6, 1.2, 3)
    return (np.clip(scene, 0, 1) * 255).astype(np.uint8), labels


def _scatter(random: np.random.Generator) -> Array:
    """Place objects of one kind and of similar size, later ones behind earlier."""
    labels = np.zeros((SIDE, SIDE), np.int32)
    shape = _SHAPES[random.integers(len(_SHAPES))]
    radius = float(np.exp(random.uniform(np.log(5), np.log(45))))
    count = int(min(60, random.uniform(0.15, 0.8) * SIDE**2 / (3.2 * radius**2))) + 1
    middle = random.uniform(0, SIDE, 2)
    clustered = random.random() < 0.3
    for _ in range(count):
        own = radius * np.exp(random.normal(0, 0.25))
        centre = (
            middle + random.normal(0, radius * np.sqrt(count), 2)
            if clustered
            else random.uniform(0, SIDE, 2)
        )
        low = np.maximum((centre - 2 * own).astype(int), 0)
        high = np.minimum((centre + 2 * own).astype(int) + 1, SIDE)
        if (high - low < 3).any():
            continue
        y, x = np.mgrid[low[0] : high[0], low[1] : high[1]]
        inside = shape((y - centre[0]) / own, (x - centre[1]) / own, random)
        part = labels[low[0] : high[0], low[1] : high[1]]
        free = inside & (part == 0)
        if free.sum() >= max(_FEWEST, 0.5 * inside.sum()):
            part[free] = labels.max() + 1
    return labels


def _blob(y: Array, x: Array, random: np.random.Generator) -> Array:
    angle = np.arctan2(y, x) + random.uniform(0, 6.3)
    radius = np.hypot(y, x)
    wave = sum(
        random.normal(0, 0.12 / k) * np.cos(k * angle + random.uniform(0, 6.3))
        for k in range(2, 6)
    )
    return np.asarray(radius < 1 + wave)


def _ellipse(y: Array, x: Array, random: np.random.Generator) -> Array:
    turn, long = random.uniform(0, 3.2), random.uniform(1, 1.9)
    along = y * np.cos(turn) + x * np.sin(turn)
    across = x * np.cos(turn) - y * np.sin(turn)
    return np.asarray((along / long) ** 2 + (across * long) ** 2 < 1)


def _polygon(y: Array, x: Array, random: np.random.Generator) -> Array:
    inside = np.ones(y.shape, bool)
    corners = int(random.integers(3, 8))
    turns = (np.arange(corners) + random.uniform(-0.25, 0.25, corners)) * 6.283
    for turn in turns / corners + random.uniform(0, 6.3):
        inside &= y * np.sin(turn) + x * np.cos(turn) < random.uniform(0.6, 0.9)
    return inside & (np.hypot(y, x) < 1.8)


def _tube(y: Array, x: Array, random: np.random.Generator) -> Array:
    turn, bend = random.uniform(0, 6.3), random.uniform(-0.4, 0.4)
    along = y * np.cos(turn) + x * np.sin(turn)
    across = x * np.cos(turn) - y * np.sin(turn) + bend * along**2
    width = random.uniform(0.25, 0.5)
    return np.asarray((abs(across) < width) & (abs(along) < 1.7))


def _ring(y: Array, x: Array, random: np.random.Generator) -> Array:
    radius = np.hypot(y, x)
    return np.asarray((radius < 1) & (radius > random.uniform(0.2, 0.6)))


_SHAPES = (_blob, _blob, _ellipse, _ellipse, _polygon, _tube, _ring)


def _texture(random: np.random.Generator) -> Array:
    """Return noise of one grain, mean 0 and standard deviation 1."""
    grain = random.uniform(0.7, 6)
    noise = ndimage.gaussian_filter(random.standard_normal((SIDE, SIDE)), grain)
    textured: Array = noise / noise.std()
    return textured
