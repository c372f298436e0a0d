"""A segmenter's masks, each computed inside its own box only.

A segmenter gives a few prototypes, maps of a quarter of its frame's size, and for
every object one weight for each. Their weighted sum, brought to the plane's size, is
positive inside of the object; what lies outside of its box does not count.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from napari_sam.models.lane import checkpoint
from napari_sam.types import Mask

if TYPE_CHECKING:
    from torch import Tensor

    from napari_sam.models.yolo.letterbox import Framed

STRIDE = 4  # pixels of the frame for each cell of a prototype


class Prototypes:
    """What the masks of one plane are made of.

    Parameters
    ----------
    maps : float Tensor (P, h/4, w/4), on the CPU
    framed : Framed
        The frame (h, w) that they belong to.
    """

    def __init__(self, maps: Tensor, framed: Framed) -> None:
        self._maps, self._framed = maps, framed

    def masks(self, rows: Tensor) -> tuple[Mask, ...]:
        """Return the mask of every object.

        Parameters
        ----------
        rows : float Tensor (N, 6 + P), on the CPU
            y0, x0, y1, x1 in the plane's pixels, score, class, weights.

        Returns
        -------
        tuple of Mask
            The same pixels as of ultralytics' `process_mask_native`, with the
            object's score. One that has no pixels has the score 0.
        """
        return tuple(self._mask(row) for row in rows)

    def _mask(self, row: Tensor) -> Mask:
        checkpoint()
        # A pixel counts if its upper left corner is in the box, as in ultralytics.
        y0, x0, y1, x1 = (math.ceil(side) for side in row[:4].tolist())
        rows, columns = self._axes
        down, across = rows[y0:y1], columns[x0:x1]
        if not (len(down) and len(across)):
            return Mask((0, 0, 0, 0), np.zeros((0, 0), np.bool_), 0.0)
        top, left = _reached(down), _reached(across)
        cells = torch.tensordot(row[6:], self._maps[:, top, left], 1)
        inside = down[:, top] @ cells @ across[:, left].T > 0
        mask = Mask.from_array(inside.numpy(), (y0, x0), score=float(row[4]))
        return mask if mask.area else Mask(mask.box, mask.data, 0.0)

    @cached_property
    def _axes(self) -> tuple[Tensor, Tensor]:
        """The weights (H, h/4) and (W, w/4) of the cells in every row and column.

        Bilinear interpolation works along each axis on its own. Ultralytics does it
        twice: to the coarsest grid on which the padding is whole cells, and, with
        the padding cut off, to the plane.
        """
        framed = self._framed
        frame = [side * STRIDE for side in self._maps.shape[1:]]
        inner = [
            round(n * gain) for n, gain in zip(framed.shape, framed.gain, strict=True)
        ]
        spare = (frame[0] - inner[0]) | (frame[1] - inner[1])
        finer = STRIDE // math.gcd(STRIDE, spare | spare // 2)
        rows, columns = (
            _weights(
                frame[i] // STRIDE,
                finer,
                framed.pad[i] * finer // STRIDE,
                max(round(inner[i] * finer / STRIDE), 1),
                framed.shape[i],
            )
            for i in (0, 1)
        )
        return rows, columns


def _weights(cells: int, finer: int, pad: int, inner: int, length: int) -> Tensor:
    """Interpolate every cell alone: (length, cells)."""
    alone = torch.eye(cells)[None]
    if finer > 1:
        alone = functional.interpolate(alone, scale_factor=finer, mode="linear")
    alone = alone[..., pad : pad + inner]
    if inner != length:
        alone = functional.interpolate(alone, length, mode="linear")
    return alone[0].T.contiguous()


def _reached(weights: Tensor) -> slice:
    """Return which cells are seen by any of some pixels (n, cells)."""
    seen = weights.any(0).nonzero()[:, 0]
    return slice(int(seen[0]), int(seen[-1]) + 1)
