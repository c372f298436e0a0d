"""From a plane to one of its tiles, and back: prompts and answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.types import Candidates, Mask, Prompt

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.models.tiles.grid import Part
    from napari_sam.types import Box, FloatArray, IntBox


@dataclass(frozen=True, slots=True, eq=False)
class PartMemory:
    """What a model keeps of an answer on a tile.

    Attributes
    ----------
    part : Part
    memory : Any
        The model's.
    """

    part: Part
    memory: Any


def extent_of(prompt: Prompt, shape: tuple[int, int]) -> Box:
    """Return the part (y0, x0, y1, x1) of a plane that a prompt says is the object's.

    Background points count only where they lie.
    """
    corners = [prompt.points[prompt.labels == 1]]
    if prompt.box is not None:
        corners.append(np.reshape(prompt.box, (2, 2)))
    if prompt.previous is not None:
        corners.append(np.reshape(prompt.previous.box, (2, 2)))
    if prompt.mask is not None:
        rows, columns = (np.flatnonzero((prompt.mask > 0).any(a)) for a in (1, 0))
        low, high = (rows[0], columns[0]), (rows[-1] + 1, columns[-1] + 1)
        corners.append(np.array([low, high]))
    points = np.clip(np.concatenate(corners), 0, shape)
    (y0, x0), (y1, x1) = points.min(0), points.max(0)
    return float(y0), float(x0), float(y1), float(x1)


def moved(prompt: Prompt, part: Part) -> Prompt:
    """Return a prompt as it is on a tile; background points beside it are left out."""
    y0, x0, y1, x1 = part.box
    corner = np.array(part.corner, np.float32)
    inside = ((prompt.points >= corner) & (prompt.points <= (y1, x1))).all(1)
    kept = inside | (prompt.labels == 1)
    box = prompt.box
    if box is not None:
        box = (box[0] - y0, box[1] - x0, box[2] - y0, box[3] - x0)
    return Prompt(
        prompt.points[kept] - corner,
        prompt.labels[kept],
        box,
        None if prompt.mask is None else prompt.mask[y0:y1, x0:x1],
        previous=None if prompt.previous is None else _seen(prompt.previous, part),
    )


def moved_back(answer: Candidates, part: Part) -> Candidates:
    """Return an answer on a tile as it is on the plane."""
    return Candidates(tuple(_back(mask, part) for mask in answer.masks))


def _back(mask: Mask, part: Part) -> Mask:
    memory = None if mask.memory is None else PartMemory(part, mask.memory)
    if mask.area == 0:
        return replace(mask, memory=memory)
    return replace(shifted(mask, part.corner), memory=memory)


def _seen(mask: Mask, part: Part) -> Mask:
    memory = mask.memory
    same = isinstance(memory, PartMemory) and memory.part == part
    y, x = part.corner
    return replace(shifted(mask, (-y, -x)), memory=memory.memory if same else None)


def shifted(mask: Mask, by: tuple[int, int]) -> Mask:
    """Return a mask in another place."""
    y0, x0, y1, x1 = mask.box
    dy, dx = by
    return replace(mask, box=(y0 + dy, x0 + dx, y1 + dy, x1 + dx))


def seen_on(
    part: Part, box: IntBox, look: Callable[[IntBox], FloatArray | None]
) -> FloatArray | None:
    """Return what a tile shows of a part of its plane; 0 beside the tile.

    Parameters
    ----------
    part : Part
    box : (y0, x0, y1, x1)
        In the plane.
    look : callable
        Returns float32 (h, w) of a part of the tile, or None.
    """
    (y0, x0, y1, x1), (top, left, bottom, right) = box, part.box
    inner = (max(y0, top), max(x0, left), min(y1, bottom), min(x1, right))
    values = np.zeros((y1 - y0, x1 - x0), np.float32)
    if inner[0] >= inner[2] or inner[1] >= inner[3]:
        return values
    seen = look((inner[0] - top, inner[1] - left, inner[2] - top, inner[3] - left))
    if seen is None:
        return None
    values[inner[0] - y0 : inner[2] - y0, inner[1] - x0 : inner[3] - x0] = seen
    return values
