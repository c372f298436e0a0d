"""Planes resized and padded as ultralytics does it, and boxes brought back.

The same rounding and the same interpolation (OpenCV's) as in ultralytics, so that
a detector sees what it was trained and validated on.
"""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

_GREY = 114  # of the padding; ultralytics trains with it


@dataclass(frozen=True, slots=True, eq=False)
class Framed:
    """A plane as a network sees it.

    Attributes
    ----------
    pixels : uint8 array, shape (h, w, C)
    gain : (gain_y, gain_x)
        Pixels here per pixel of the plane.
    pad : (top, left)
        Where the plane's corner lies here.
    shape : (H, W)
        Of the plane.
    """

    pixels: npt.NDArray[np.uint8]
    gain: tuple[float, float]
    pad: tuple[int, int]
    shape: tuple[int, int]

    def tensor(self, device: torch.device) -> Tensor:
        """Return the network's input: float32 (1, C, h, w) in 0..1, channels last."""
        pixels = torch.from_numpy(np.ascontiguousarray(self.pixels)).to(device)
        return pixels.permute(2, 0, 1)[None].float().div_(255)

    def back(self, boxes: Tensor) -> Tensor:
        """Turn (x0, y0, x1, y1) here, float (N, 4), into boxes of the plane.

        Returns
        -------
        float (N, 4)
            (y0, x0, y1, x1) in data pixels, cut at the plane's edges.
        """
        x, y = boxes[:, 0::2], boxes[:, 1::2]
        y = ((y - self.pad[0]) / self.gain[0]).clamp(0, self.shape[0])
        x = ((x - self.pad[1]) / self.gain[1]).clamp(0, self.shape[1])
        return torch.stack([y[:, 0], x[:, 0], y[:, 1], x[:, 1]], 1)


def fit(
    pixels: npt.NDArray[np.uint8], size: tuple[int, int], stride: int | None
) -> Framed:
    """Fit a plane into a frame, keeping its aspect ratio.

    Parameters
    ----------
    pixels : uint8 array, shape (H, W, C)
        RGB or grey.
    size : (height, width)
        Of the frame.
    stride : int or None
        With a stride the frame shrinks to the smallest multiple of it that holds
        the plane; None keeps its size.
    """
    height, width = pixels.shape[:2]
    ratio = min(size[0] / height, size[1] / width)
    inner = max(round(height * ratio), 1), max(round(width * ratio), 1)
    spare = size[0] - inner[0], size[1] - inner[1]
    if stride is not None:
        spare = spare[0] % stride, spare[1] % stride
    top, left = (round(s / 2 - 0.1) for s in spare)
    bottom, right = (round(s / 2 + 0.1) for s in spare)
    return _framed(pixels, inner, (top, bottom, left, right), _GREY)


def stretch(pixels: npt.NDArray[np.uint8], size: tuple[int, int]) -> Framed:
    """Fit a plane (H, W, C) into all of a frame (height, width)."""
    return _framed(pixels, size, (0, 0, 0, 0), _GREY)


def scale(pixels: npt.NDArray[np.uint8], factor: float, stride: int) -> Framed:
    """Scale a plane, and pad it with black on the right and below.

    Parameters
    ----------
    pixels : uint8 array, shape (H, W, C)
    factor : float
    stride : int
        The result's sides are multiples of it.
    """
    inner = tuple(max(round(n * factor), 1) for n in pixels.shape[:2])
    bottom, right = (math.ceil(n / stride) * stride - n for n in inner)
    return _framed(pixels, (inner[0], inner[1]), (0, bottom, 0, right), 0)


def _framed(
    pixels: npt.NDArray[np.uint8],
    inner: tuple[int, int],
    border: tuple[int, int, int, int],
    value: int,
) -> Framed:
    shape: tuple[int, int] = (pixels.shape[0], pixels.shape[1])
    top, bottom, left, right = border
    resized = pixels if inner == shape else resize(pixels, inner)
    padded = np.pad(
        resized, ((top, bottom), (left, right), (0, 0)), constant_values=value
    )
    gain = (inner[0] / shape[0], inner[1] / shape[1])
    return Framed(padded, gain, (top, left), shape)


def resize(
    pixels: npt.NDArray[np.uint8], shape: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """Resize (H, W, C) to (*shape, C) with OpenCV's bilinear interpolation."""
    cv2 = _opencv()
    source = np.ascontiguousarray(pixels)
    result = cv2.resize(source, shape[::-1], interpolation=cv2.INTER_LINEAR)
    out: npt.NDArray[np.uint8] = result.reshape(*shape, pixels.shape[2])
    return out


@cache
def _opencv() -> Any:
    from napari_sam.models.ultra import load_ultralytics

    load_ultralytics()  # undoes what the import of cv2 does to Qt
    return importlib.import_module("cv2")
