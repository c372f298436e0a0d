"""The detector of nuclei that ships: a YOLO that looks at nuclei at one size.

It was trained on crops in which the median nucleus has one size. Planes come at
any magnification, so it first looks at a plane as it is, sees how large nuclei are
there, and looks again at a scale that gives them their size, where that differs.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from napari_sam.models.device import resolve_device
from napari_sam.models.lane import checkpoint
from napari_sam.models.options import DEFAULTS, DetectorOptions
from napari_sam.models.protocol import ModelInfo
from napari_sam.models.sniff import file_sha256
from napari_sam.models.yolo import letterbox
from napari_sam.models.yolo.detector import YoloDetector
from napari_sam.models.yolo.network import Network, TorchNetwork
from napari_sam.models.yolo.parts import cut
from napari_sam.models.yolo.shipped import load_shipped
from napari_sam.models.yolo.suppress import suppress

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from napari_sam.types import Detections

# A disc's bounding box is by this larger than the square of the disc's area.
_BOX_OF_DISC = math.sqrt(4 / math.pi)
# How far from the training's size an object still says that the scale is right.
_SPREAD = 1.5


@dataclass(frozen=True, slots=True)
class Scaling:
    """How the scale for a plane is chosen.

    Attributes
    ----------
    object_size : float
        sqrt(area) in pixels of the median object in the training.
    tolerance : float
        The plane is looked at again where objects are by this factor larger or
        smaller than that.
    least, most : float
        Bounds of the scale.
    coarse : tuple of float
        Scales that are tried as well, which cost little.
    conf : float
        Only boxes with a higher score tell how large objects are. Not the user's
        threshold: the scale, and with it every box, would depend on that.
    side : int
        Parts of a scaled plane that are looked at in one piece.
    overlap : int
        Of two parts, in pixels of the scaled plane. Larger objects may be cut.
    """

    object_size: float = 24.0
    tolerance: float = 1.25
    least: float = 1 / 16
    most: float = 4.0
    coarse: tuple[float, ...] = (0.5, 0.25)
    conf: float = 0.1
    side: int = 1536
    overlap: int = 128

    @property
    def box(self) -> float:
        """Side of the median object's box, in pixels."""
        return self.object_size * _BOX_OF_DISC


class NucleiYolo(YoloDetector):
    """A YOLO that looks at a plane at the scale that its objects need.

    Parameters
    ----------
    network : Network
    info : ModelInfo
    scaling : Scaling
    options : DetectorOptions
        With `imgsz` the plane's longer side is resized to that many pixels,
        whatever the size of its objects.
    """

    def __init__(
        self,
        network: Network,
        info: ModelInfo,
        scaling: Scaling,
        options: DetectorOptions = DEFAULTS,
    ) -> None:
        super().__init__(network, info, options)
        self._scaling = scaling

    def _detect(self, pixels: npt.NDArray[np.uint8]) -> Detections:
        if self._options.imgsz is not None:
            return super()._detect(pixels)
        rows = self._search(pixels)
        return self._finished(rows[rows[:, 4] > self._options.conf])

    def _search(self, pixels: npt.NDArray[np.uint8]) -> Tensor:
        """Look at several scales, then at the one that its objects need."""
        scaling = self._scaling
        tried = {
            factor: self._at(pixels, factor)
            for factor in (1.0, *scaling.coarse)
            if min(pixels.shape[:2]) * factor >= scaling.box
        } or {1.0: self._at(pixels, 1.0)}
        best = max(tried, key=lambda factor: self._fit(tried[factor], factor))
        wanted = self._wanted(tried[best], best)
        if max(wanted / best, best / wanted) > scaling.tolerance:
            return self._at(pixels, wanted)
        return tried[best]

    def _fit(self, rows: Tensor, factor: float) -> float:
        """Return how many objects of the right size are seen clearly."""
        rows = rows[rows[:, 4] > self._scaling.conf]
        away = (_sides(rows) * factor / self._scaling.box).log() / math.log(_SPREAD)
        # Squared: what is seen at a wrong scale has low scores, and can be large.
        return float((rows[:, 4] ** 2 * torch.exp(-(away**2) / 2)).sum())

    def _wanted(self, rows: Tensor, factor: float) -> float:
        """Return the scale at which the median object would have its size."""
        rows = rows[rows[:, 4] > self._scaling.conf]
        if not len(rows):
            return factor
        wanted = self._scaling.box / float(_sides(rows).median())
        return min(max(wanted, self._scaling.least), self._scaling.most)

    def _at(self, pixels: npt.NDArray[np.uint8], factor: float) -> Tensor:
        """Return the rows of a plane at one scale, in the plane's pixels."""
        stride = self._network.traits.stride
        conf = min(self._options.conf, self._scaling.conf)
        found = []
        for part, own in cut(
            pixels.shape[:2],
            round(self._scaling.side / factor),
            round(self._scaling.overlap / factor),
        ):
            checkpoint()
            y0, x0, y1, x1 = part
            framed = letterbox.scale(pixels[y0:y1, x0:x1], factor, stride)
            rows = self._seen(framed, conf).rows
            rows[:, :4] += rows.new_tensor([y0, x0, y0, x0])
            centre = (rows[:, :2] + rows[:, 2:4]) / 2
            low, high = rows.new_tensor(own[:2]), rows.new_tensor(own[2:])
            found.append(rows[((centre >= low) & (centre < high)).all(1)])
        if len(found) == 1:
            return found[0]
        return suppress(torch.cat(found), self._options.iou)


def load_nuclei(
    path: Path,
    options: DetectorOptions = DEFAULTS,
    *,
    name: str = "nuclei-yolo",
    device: str = "auto",
) -> NucleiYolo:
    """Load a detector that `training.yolo.export` has written.

    Parameters
    ----------
    path : Path
        Ends in .safetensors; the architecture lies beside it, with .yaml.
    options : DetectorOptions
        See `NucleiYolo`.
    name : str
    device : str
        As for `load_model`.

    Raises
    ------
    ModelError
        If a file is missing, damaged, or holds something else.
    """
    module, told = load_shipped(path)
    where = resolve_device(device)
    names = json.loads(told["names"])
    network = TorchNetwork(module, names, device=where, limit=options.max_det + 1)
    info = ModelInfo(name, told["version"], file_sha256(path), str(where))
    scaling = Scaling(object_size=float(told["object_size"]))
    return NucleiYolo(network, info, scaling, options)


def _sides(rows: Tensor) -> Tensor:
    """Return the square root of each box's area, (N,)."""
    return (rows[:, 2:4] - rows[:, :2]).prod(1).clamp(min=1e-6).sqrt()
