"""The detector "everything": no boxes, a grid of clicks for the model itself.

What the clicks find is worked out in `napari_sam.segment.everything`; here is only
what is asked for, so that the catalog can offer it. No torch here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam.models.protocol import ModelInfo
from napari_sam.types import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.images import Plane
    from napari_sam.models.options import DetectorOptions
    from napari_sam.types import Detections

_SAM = (0.88, 0.95)  # the defaults of Meta's SamAutomaticMaskGenerator
# The built-in model predicts lower IoUs, and its outlines are softer: its masks have
# 64 × 64 cells of their region, and the stability hardly exceeds 0.9. Tried on one
# plane of each of the images that ship, min_iou 0.4 to 0.88 and min_stability 0 to
# 0.95: these gave the best mean F1 at IoU 0.5, 0.84 (the detector "nuclei": 0.83);
# SAM's own leave nothing at all.
_POCKET = (0.65, 0.4)
# Clicks beside all objects answer with the background, and surely so. In labels it
# would be an object like any other.
_MOST_OF_PLANE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class GridOptions:
    """How many clicks, and which of their answers count.

    The names in brackets are those of Meta's `SamAutomaticMaskGenerator`.

    Attributes
    ----------
    points_per_side : int
        Clicks along each side of the plane (points_per_side).
    min_iou : float, optional
        Below 1; a mask whose predicted IoU is just this has the confidence 0.25
        (pred_iou_thresh). None: what suits the model.
    min_stability : float, optional
        Less stable masks are left out (stability_score_thresh). None: what suits
        the model.
    conf : float
        Masks of less confidence are left out, see `confidence`.
    iou : float
        Of two masks whose boxes overlap more, the one with the lower predicted
        IoU is left out (box_nms_thresh).
    max_det : int, optional
        Most masks on a plane; None: as many as there are.
    max_fraction : float
        A mask that covers more of the plane is left out: the background.
    crop_layers : int
        Layer n looks at 2ⁿ × 2ⁿ overlapping parts of the plane as well, each
        encoded on its own, for objects that are small in the whole (crop_n_layers).
    crop_overlap : float
        Of the plane's shorter side, in the first layer (crop_overlap_ratio).
    crop_iou : float
        As `iou`, between parts; the smaller part's mask stays (crop_nms_thresh).
    crop_downscale : int
        Layer n has so many times fewer clicks along a side, to the power of n
        (crop_n_points_downscale_factor).

    Raises
    ------
    ModelError
        If a value cannot be.
    """

    points_per_side: int = 32
    min_iou: float | None = None
    min_stability: float | None = None
    conf: float = 0.25
    iou: float = 0.7
    max_det: int | None = None
    max_fraction: float = 1.0
    crop_layers: int = 0
    crop_overlap: float = 512 / 1500
    crop_iou: float = 0.7
    crop_downscale: int = 1

    def __post_init__(self) -> None:
        if self.min_iou is not None and self.min_iou >= 1:
            raise ModelError(f"min_iou must be below 1, not {self.min_iou}")
        if self.points_per_side < 1:
            raise ModelError(
                f"points_per_side must be at least 1, not {self.points_per_side}"
            )

    def thresholds(self, model: object) -> tuple[float, float]:
        """Return `min_iou` and `min_stability`, as given or as suits a model."""
        from napari_sam.models.pocket.model import PocketModel

        iou, stability = _POCKET if isinstance(model, PocketModel) else _SAM
        return (
            iou if self.min_iou is None else self.min_iou,
            stability if self.min_stability is None else self.min_stability,
        )


def confidence(predicted_iou: float, min_iou: float) -> float:
    """Return how sure it is that a mask is an object, 0 to 1.

    Models predict IoUs in narrow ranges of their own. This stretches them so that
    the usual threshold of any detector, 0.25, is `min_iou`, and 1 is 1.

    Examples
    --------
    >>> confidence(0.88, 0.88), confidence(1.0, 0.88), confidence(0.5, 0.88)
    (0.25, 1.0, 0.0)
    """
    return min(1.0, max(0.0, 1 - 0.75 * (1 - predicted_iou) / (1 - min_iou)))


class EverythingDetector:
    """Asks the promptable model about a grid of clicks, instead of finding boxes.

    Parameters
    ----------
    options : GridOptions
    """

    class_names = ("object",)

    def __init__(self, options: GridOptions | None = None) -> None:
        self.options = options or GridOptions()

    @classmethod
    def asked(
        cls,
        options: DetectorOptions,
        *,
        points_per_side: int = 32,
        crop_layers: int = 0,
    ) -> EverythingDetector:
        """Return the detector for the options that every detector has."""
        return cls(
            GridOptions(
                points_per_side=points_per_side,
                crop_layers=crop_layers,
                conf=options.conf,
                iou=options.iou,
                max_det=options.max_det,
                max_fraction=_MOST_OF_PLANE,
            )
        )

    @property
    def info(self) -> ModelInfo:
        """There are no weights, hence no hash."""
        return ModelInfo("everything", "1", "", "cpu")

    def detect(self, planes: Sequence[Plane]) -> list[Detections]:
        """Refuse: it gives outlines of a model, not boxes.

        Raises
        ------
        ModelError
            Always.
        """
        raise ModelError(
            '"everything" gives outlines and no boxes: use napari_sam.annotate, or '
            "find_everything from napari_sam.segment"
        )
