"""A classical detector: threshold, distance transform, watershed.

It needs no training, so it also serves on objects that no shipped model has
seen, as long as they are brighter or darker than what lies around them.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage import feature, filters, measure, segmentation

from napari_sam.images.planes import sample_boxes
from napari_sam.models.options import DEFAULTS, DetectorOptions
from napari_sam.models.protocol import ModelInfo
from napari_sam.types import Detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.images import Plane

_SMOOTH = 1.5  # pixels; noise finer than this is no object
_LEAST_AREA = 16  # pixels


class _Levels(NamedTuple):
    """What parts objects from background.

    Attributes
    ----------
    threshold : float
    bright : bool
        The objects are the brighter side.
    contrast : float
        Between the means of both sides.
    """

    threshold: float
    bright: bool
    contrast: float


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
        self._levels: _Levels | None = None  # by default each plane has its own

    @property
    def info(self) -> ModelInfo:
        """There are no weights, hence no hash."""
        return ModelInfo("threshold", "1", "", "cpu")

    def detect(self, planes: Sequence[Plane]) -> list[Detections]:
        """Find objects on each plane."""
        return [self._detect(_smooth(plane)) for plane in planes]

    def for_plane(self, plane: Plane) -> ThresholdDetector:
        """Return a detector with the threshold of a large plane, for its tiles.

        A tile alone would have one between noise and noise where it has no object.
        """
        boxes = sample_boxes(plane.shape)
        detector = copy.copy(self)
        detector._levels = _levels(
            np.concatenate([_smooth(plane.crop(box)).ravel() for box in boxes])
        )
        return detector

    def _detect(self, grey: npt.NDArray[Any]) -> Detections:
        levels = self._levels or _levels(grey)
        if levels is None:
            return _detections([], [], self._max_det)
        bright = grey > levels.threshold
        objects = bright if levels.bright else ~bright
        labels = _part(objects)
        contrast = levels.contrast
        boxes, scores = [], []
        for found in measure.regionprops(labels, intensity_image=grey):
            score = _ring_contrast(labels, grey, found) / max(contrast, 1e-6)
            if found.area >= _LEAST_AREA and score >= self._conf:
                boxes.append(found.bbox)
                scores.append(min(1.0, score))
        return _detections(boxes, scores, self._max_det)


def _smooth(plane: Plane) -> npt.NDArray[Any]:
    grey: npt.NDArray[Any] = filters.gaussian(
        plane.pixels.mean(-1), _SMOOTH, preserve_range=True
    )
    return grey


def _levels(grey: npt.NDArray[Any]) -> _Levels | None:
    """Part objects from background; None where everything is alike."""
    if grey.max() - grey.min() < 1:
        return None
    threshold = filters.threshold_otsu(grey)
    bright = grey > threshold
    contrast = abs(float(grey[bright].mean()) - float(grey[~bright].mean()))
    return _Levels(float(threshold), bool(bright.mean() <= 0.5), contrast)


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
