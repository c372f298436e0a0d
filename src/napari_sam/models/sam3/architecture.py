"""Whether a checkpoint is SAM 3, and which of its tensors answer prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam.models.sam1.architecture import Shaped

T = TypeVar("T")

NAME: Final = "sam3"
_PATCH: Final = "detector.backbone.vision_backbone.trunk.patch_embed.proj.weight"
_SHAPE: Final = (1024, 3, 14, 14)
_DETECTOR, _TRACKER = "detector.", "tracker."
# What Meta calls parts of the network, and what ultralytics calls them.
_PARTS: Final = (
    ("detector.backbone.vision_backbone.", "image_encoder.vision_backbone."),
    ("tracker.transformer.encoder.", "memory_attention."),
    ("tracker.maskmem_backbone.", "memory_encoder."),
    (_TRACKER, ""),
)
# Computed from the sizes; ultralytics keeps it elsewhere.
_DERIVED: Final = ".attn.freqs_cis"


def detect(tensors: Mapping[str, Shaped]) -> bool:
    """Tell whether a flat state dict is SAM 3's, or a part of it.

    Parameters
    ----------
    tensors : mapping of str to tensors
        With Meta's names; only the shapes are looked at.
    """
    if _PATCH in tensors:
        return tuple(tensors[_PATCH].shape) == _SHAPE
    return any(name.startswith(_TRACKER) for name in tensors)


def for_words(tensors: Mapping[str, T]) -> dict[str, T]:
    """Take the half that finds what words say, named as ultralytics does."""
    found = {}
    for name, tensor in tensors.items():
        if not name.startswith(_TRACKER) and not name.endswith(_DERIVED):
            found[name.removeprefix(_DETECTOR)] = tensor
    return found


def for_prompts(tensors: Mapping[str, T]) -> dict[str, T]:
    """Take the half that answers clicks, boxes and masks, named as ultralytics does.

    The other half finds what words mean. Both look through the same encoder.
    """
    found = {}
    for name, tensor in tensors.items():
        if name.endswith(_DERIVED):
            continue
        for theirs, ours in _PARTS:
            if name.startswith(theirs):
                found[ours + name.removeprefix(theirs)] = tensor
                break
        else:
            if not name.startswith(_DETECTOR):  # of nothing that is known
                found[name] = tensor
    return found
