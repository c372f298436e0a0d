"""The boxes of what was found on many slices, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam.live.proposals.found import Found
    from napari_sam.types import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Boxes of objects.

    Attributes
    ----------
    corners : float64 array, shape (N, 4, k + 2)
        The slice's index, then y and x in data pixels; around from the upper left.
    scores, stabilities : float64 array, shape (N,)
    classes : array of str, shape (N,)
        Empty where the detector has one class only.
    """

    corners: npt.NDArray[np.float64]
    scores: FloatArray
    stabilities: FloatArray
    classes: npt.NDArray[Any]

    def __len__(self) -> int:
        return len(self.corners)


def boxes_of(slices: Sequence[Callable[[], Found]], depth: int) -> Boxes:
    """Return the boxes of what counts as an object.

    Parameters
    ----------
    slices : sequence of callable
        As of `Finder.each`.
    depth : int
        Stack axes in front of y and x.
    """
    corners, scores, stabilities, classes = [], [], [], []
    for work in slices:
        found = work()
        for one in found.objects:
            y0, x0, y1, x1 = one.mask.box
            around = ((y0, x0), (y0, x1), (y1, x1), (y1, x0))
            corners.append([(*found.index, *corner) for corner in around])
            scores.append(one.mask.score)
            stabilities.append(one.mask.stability)
            classes.append(str(one.about.get("class_name", "")))
    return Boxes(
        np.array(corners, np.float64).reshape(-1, 4, depth + 2),
        np.array(scores, np.float64),
        np.array(stabilities, np.float64),
        np.array(classes, object),
    )
