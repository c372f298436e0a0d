"""What an encoded piece of a plane is called: a hash of all that it is made of."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def key_of(
    pixels: npt.NDArray[np.uint8],
    *,
    weights: str,
    way: str,
    step: int = 1,
    scale: float | None = None,
) -> str:
    """Return a name that two pieces share only where their features are the same.

    The pixels are those that the model sees, so channels, contrast and the grid of
    tiles are in it; names of files, and where in a stack a plane lies, are not.

    Parameters
    ----------
    pixels : uint8 array, shape (H, W, 3)
    weights : str
        Hash of the model's weights.
    way : str
        How the model comes from pixels to features: what of it is not in the weights.
    step, scale
        As in `napari_sam.models.tiles.View`.
    """
    said: list[Any] = [weights, way, step, scale, list(pixels.shape), str(pixels.dtype)]
    found = hashlib.blake2b(json.dumps(said).encode(), digest_size=20)
    found.update(np.ascontiguousarray(pixels).data)
    return found.hexdigest()
