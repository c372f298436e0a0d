"""SAM Annotator: promptable segmentation and automatic labels for napari.

The public names are imported when they are first used, so that importing the
package stays quick and brings no torch along.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_sam_annotator import conflict_message

if TYPE_CHECKING:
    from napari_sam.models.cache import EmbeddingCache
    from napari_sam.models.catalog import list_models, load_detector, load_model
    from napari_sam.segment.annotate import annotate, iter_annotate
    from napari_sam.segment.propagate import propagate
    from napari_sam.types import Candidates, Detections, Embedding, Mask, Prompt

__all__ = [
    "Candidates",
    "Detections",
    "Embedding",
    "EmbeddingCache",
    "Mask",
    "Prompt",
    "annotate",
    "iter_annotate",
    "list_models",
    "load_detector",
    "load_model",
    "propagate",
]

_WHERE = {
    "napari_sam.types": ("Candidates", "Detections", "Embedding", "Mask", "Prompt"),
    "napari_sam.models.cache": ("EmbeddingCache",),
    "napari_sam.models.catalog": ("list_models", "load_detector", "load_model"),
    "napari_sam.segment.annotate": ("annotate", "iter_annotate"),
    "napari_sam.segment.propagate": ("propagate",),
}
_MODULES = {name: module for module, names in _WHERE.items() for name in names}

if (_message := conflict_message()) is not None:
    warnings.warn(_message, stacklevel=2)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
