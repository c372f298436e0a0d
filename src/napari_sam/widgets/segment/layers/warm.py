"""What napari loads for the first layers of a session, ahead of time.

Its first Labels and Shapes layers import pandas and parts of scipy, and load compiled
code: two seconds and more on a laptop, in which a viewer that does it itself stands
still.
"""

from __future__ import annotations

import sys

import numpy as np
from napari.layers import Labels, Shapes

# Whoever has made such layers before has these.
_LOADED_LATE = ("pandas", "scipy.linalg", "skimage.color")


def is_warm() -> bool:
    """Whether layers can be made without loading anything first."""
    return all(name in sys.modules for name in _LOADED_LATE)


def warm() -> None:
    """Load what layers need; to be called on a thread that draws nothing."""
    Shapes(ndim=2)
    Labels(np.zeros((2, 2), np.uint32))
