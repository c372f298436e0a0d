"""Which models a run needs, and what can be changed afterwards without a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.models.runtime import warm
from napari_sam.segment.annotate import load_parts

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari_sam.models.protocol import Detector, PromptableModel
    from napari_sam.segment.recipe import Recipe

# Models run down to this confidence, so that the slider can be moved afterwards. On
# the images that ship this means up to two thirds more masks (phase contrast).
LEAST_CONFIDENCE = 0.05
# A change of these needs a run; of `conf`, `classes` and `max_det` see `covers`.
_RUN_FIELDS = (
    *("detector", "words", "model", "device"),
    *("iou", "imgsz", "diameter"),
    *("channels", "normalization", "percentiles", "ranges"),
)


def broadened(recipe: Recipe) -> Recipe:
    """Return the recipe that models run with: it finds less likely objects too."""
    return recipe.model_copy(update={"conf": min(recipe.conf, LEAST_CONFIDENCE)})


def covers(ran: Recipe, wanted: Recipe) -> bool:
    """Whether what was found with one recipe holds all that another one finds."""
    if any(getattr(ran, name) != getattr(wanted, name) for name in _RUN_FIELDS):
        return False
    narrower = ran.classes is None or (
        wanted.classes is not None and set(wanted.classes) <= set(ran.classes)
    )
    return narrower and wanted.conf >= ran.conf and wanted.max_det <= ran.max_det


class Parts:
    """Loads models, and keeps those of the last recipe.

    Only one thread at a time may call `load`.
    """

    def __init__(self) -> None:
        self._model: tuple[Hashable, PromptableModel] | None = None
        self._detector: tuple[Hashable, Detector] | None = None

    def load(self, recipe: Recipe) -> tuple[PromptableModel, Detector]:
        """Return the model and the detector of a recipe.

        Raises
        ------
        NapariSamError
            If one of them cannot be had; it says why.
        """
        # torch comes in this way only, or an open window may take the process down.
        warm("torchvision")
        wants_model = (recipe.model, recipe.device, _stamp(recipe.model))
        model = detector = None
        if self._model is not None and self._model[0] == wants_model:
            model = self._model[1]
        wants_detector = (
            wants_model,
            *(getattr(recipe, name) for name in _RUN_FIELDS),
            *(recipe.conf, recipe.classes, recipe.max_det, _stamp(recipe.detector)),
        )
        if self._detector is not None and self._detector[0] == wants_detector:
            detector = self._detector[1]
        model, detector = load_parts(recipe, model, detector)
        self._model = wants_model, model
        self._detector = wants_detector, detector
        return model, detector


def _stamp(name: str) -> int | None:
    """Return when a file was last changed; None for names of the catalog."""
    try:
        return Path(name).stat().st_mtime_ns
    except (OSError, ValueError):
        return None
