"""What a SAM keeps of its answer, so that more prompts can refine it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from napari_sam.types import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """Low-resolution logits, which Meta's `predict` takes as `mask_input`.

    Attributes
    ----------
    model : str
        Hash of the model's weights: another one's logits mean something else.
    shape : (H, W)
        Of the plane.
    logits : float16 array, shape (256, 256)
        Half of the memory, and the answer to it is the same but for rounding.
    """

    model: str
    shape: tuple[int, int]
    logits: npt.NDArray[np.float16]

    @classmethod
    def of(cls, model: str, shape: tuple[int, int], logits: FloatArray) -> Memory:
        """Keep the logits (256, 256) of one candidate."""
        return cls(model, shape, logits.astype(np.float16))

    def fits(self, model: str, shape: tuple[int, int]) -> bool:
        """Whether these logits are of this model and of such a plane."""
        return self.model == model and self.shape == shape
