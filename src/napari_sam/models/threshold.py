"""A classical detector: threshold, distance transform, watershed.

It needs no training, so it also serves on objects that no shipped model has
seen, as long as they are brighter or darker than what lies around them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage import feature, filters, measure, segmentation

from napari_sam.models.options import DEFAULTS, DetectorOptions
from napari_sam.models.protocol import ModelInfo
from napari_sam.types import Detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.images import Plane

_SMOOTH = 1.5  # pixels; noise finer than this is no object
_LEAST_AREA = 16  # pixels


class ThresholdDetector:
    """Objects that stand out from the background in brightness.

    Otsu's threshold (1979) on the smoothed plane; the side of it with fewer
    pixels is the objects; touching ones are parted at the necks of their
    distance transform. A score is the object's contrast to its surroundings,
    relative to the contrast of the whole plane.

    Parameters
    ----------
    options : DetectorOptions
        Of these, `conf` and `max_det` have a meaning here.
    """

    class_names = ("object",)

    def __init__(self, options: DetectorOptions = DEFAULTS) -> None:
        self._conf, self._max_det = options.conf, options.max_det

    @property
    def info(self) -> ModelInfo:
        """There are no weights, hence no hash."""
        return ModelInfo("threshold", "1", "", "cpu")

    def detect(self, planes: Sequence[Plane]) -> list[Detections]:
        """Find objects on each plane."""
        return [self._detect(plane.pixels) for plane in planes]

    def _detect(self, pixels: npt.NDArray[np.uint8]) -> Detections:
        grey = filters.gaussian(pixels.mean(-1), _SMOOTH, preserve_range=True)
        if grey.max() - grey.min() < 1:
            return _detections([], [], self._max_det)
        threshold = filters.threshold_otsu(grey)
        bright = grey > threshold
        objects = bright if bright.mean() <= 0.5 else ~bright
        labels = _part(objects)
        contrast = abs(float(grey[bright].mean()) - float(grey[~bright].mean()))
        boxes, scores = [], []
        for found in measure.regionprops(labels, intensity_image=grey):
            score = _ring_contrast(labels, grey, found) / max(contrast, 1e-6)
            if found.area >= _LEAST_AREA and score >= self._conf:
                boxes.append(found.bbox)
                scores.append(min(1.0, score))
        return _detections(boxes, scores, self._max_det)


def _part(objects: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    distance = ndimage.distance_transform_edt(objects)
    smooth = ndimage.gaussian_filter(distance, 1.0)
    pieces, _ = ndimage.label(objects)
    peaks = feature.peak_local_max(
        smooth, min_distance=4, labels=pieces, exclude_border=False
    )
    markers = np.zeros(objects.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    labels: npt.NDArray[np.int32] = segmentation.watershed(
        -smooth, markers, mask=objects
    )
    return labels


def _ring_contrast(
    labels: npt.NDArray[np.int32], grey: npt.NDArray[Any], found: Any
) -> float:
    """Return how far an object's mean is from that of a ring of background."""
    y0, x0, y1, x1 = found.bbox
    around = np.s_[max(0, y0 - 5) : y1 + 5, max(0, x0 - 5) : x1 + 5]
    background = labels[around] == 0
    if not background.any():
        return 0.0
    return abs(float(found.intensity_mean) - float(grey[around][background].mean()))


def _detections(
    boxes: list[tuple[int, ...]], scores: list[float], max_det: int
) -> Detections:
    order = np.argsort(-np.asarray(scores, np.float32), kind="stable")
    best = order[:max_det]
    return Detections(
        np.asarray(boxes, np.float32).reshape(-1, 4)[best],
        np.asarray(scores, np.float32)[best],
        np.zeros(len(best), np.int64),
        truncated=len(order) > max_det,
    )
