"""From foreground and distances to objects: µSAM's seeded watershed. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.types import LabelArray, Mask

if TYPE_CHECKING:
    from napari_sam.types import FloatArray

# As far from the middle as micro-sam's library smooths, in standard deviations, and
# how it goes on beyond the rim.
_REACH = 3.0
_RIM = "mirror"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What counts as an object; the defaults are micro-sam's.

    Attributes
    ----------
    centre, outline : float
        An object begins where both distances are smaller.
    foreground : float
        And goes as far as the foreground is surer than this.
    foreground_smoothing, distance_smoothing : float
        Standard deviations, pixels.
    """

    centre: float = 0.5
    outline: float = 0.5
    foreground: float = 0.5
    foreground_smoothing: float = 1.0
    distance_smoothing: float = 1.6


def find_instances(
    maps: FloatArray, thresholds: Thresholds | None = None
) -> LabelArray:
    """Return the objects that the decoder has seen.

    Parameters
    ----------
    maps : float32 array, shape (3, H, W)
        Foreground, distance to the centre, distance to the outline, 0 to 1.
    thresholds : Thresholds, optional

    Returns
    -------
    uint32 array, shape (H, W)
        Ids from 1; 0 is background. As of micro-sam's
        `InstanceSegmentationWithDecoder`, but that its watershed rounds distances
        to one in 65,536.
    """
    from skimage.measure import label
    from skimage.segmentation import watershed

    rules = thresholds or Thresholds()
    foreground = _smooth(maps[0], rules.foreground_smoothing) > rules.foreground
    centre = _smooth(maps[1], rules.distance_smoothing)
    outline = _smooth(maps[2], rules.distance_smoothing)
    seeds = (centre < rules.centre) & (outline < rules.outline) & foreground
    found = watershed(outline, markers=label(seeds), mask=foreground)
    return np.asarray(found, np.uint32)


def masks_of(labels: LabelArray, foreground: FloatArray) -> tuple[Mask, ...]:
    """Return the objects of a label image, those with the surest foreground first.

    Parameters
    ----------
    labels : uint32 array, shape (H, W)
    foreground : float32 array, shape (H, W)
        Its mean over an object is the object's score.
    """
    from scipy import ndimage

    masks = []
    for number, box in enumerate(ndimage.find_objects(labels.astype(np.int64)), 1):
        if box is not None:
            inside = labels[box] == number
            score = float(foreground[box][inside].mean())
            corner = box[0].start, box[1].start
            masks.append(Mask.from_array(inside, corner, score=score))
    return tuple(sorted(masks, key=lambda mask: -mask.score))


def _smooth(values: FloatArray, sigma: float) -> FloatArray:
    from scipy import ndimage

    if not sigma:
        return values
    smooth: FloatArray = ndimage.gaussian_filter(
        values, sigma, mode=_RIM, truncate=_REACH
    )
    return smooth
