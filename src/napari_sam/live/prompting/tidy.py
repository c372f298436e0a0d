"""Suggestions without the specks and pinholes that models leave behind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam.segment.clean import drop_fragments, fill_holes
from napari_sam.types import Mask

if TYPE_CHECKING:
    from napari_sam.types import BoolArray, Prompt

_SPECK: Final = 0.1  # of the largest piece
_PINHOLE: Final = 0.02  # of the object


def tidy(mask: Mask, prompt: Prompt) -> Mask:
    """Return a mask without small pieces and holes that nobody has pointed at.

    Parameters
    ----------
    mask : Mask
    prompt : Prompt
        What a person has clicked on stays, however small; what was said not to be
        part of the object is not filled.
    """
    inside, outside = _clicked(mask, prompt, 1), _clicked(mask, prompt, 0)
    data = fill_holes(drop_fragments(mask.data, _SPECK, inside), _PINHOLE, ~outside)
    if np.array_equal(data, mask.data):
        return mask
    fitted = Mask.from_array(data, mask.box[:2])
    return replace(mask, box=fitted.box, data=fitted.data)


def _clicked(mask: Mask, prompt: Prompt, label: int) -> BoolArray:
    """Return where in the box there are clicks."""
    clicks = np.zeros(mask.data.shape, np.bool_)
    at = np.floor(prompt.points[prompt.labels == label]).astype(int)
    at -= mask.box[:2]
    at = at[((at >= 0) & (at < clicks.shape)).all(axis=1)]
    clicks[at[:, 0], at[:, 1]] = True
    return clicks
