"""Any detector or segmenter of ultralytics as a detector: YOLO, RT-DETR."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from napari_sam.models.lane import checkpoint
from napari_sam.models.options import DEFAULTS, DetectorOptions
from napari_sam.models.yolo import letterbox
from napari_sam.models.yolo.masks import Prototypes
from napari_sam.models.yolo.suppress import (
    hulls,
    only,
    read_final,
    read_rows,
    read_turned,
    suppress,
    suppress_turned,
)
from napari_sam.types import Detections, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from torch import Tensor

    from napari_sam.images import Plane
    from napari_sam.models.protocol import ModelInfo
    from napari_sam.models.yolo.letterbox import Framed
    from napari_sam.models.yolo.network import Answer, Network

_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114  # how OpenCV weighs them for grey


class Seen(NamedTuple):
    """What a network sees in one frame.

    Attributes
    ----------
    rows : float (N, 6 + more) on the CPU
        y0, x0, y1, x1 in the plane's pixels, score, class; a segmenter's weights.
        Best first.
    full : bool
        The network itself stopped at its limit.
    prototypes : Prototypes, optional
        What a segmenter's weights are for.
    """

    rows: Tensor
    full: bool
    prototypes: Prototypes | None


class YoloDetector:
    """Boxes of a YOLO network, with the masks of a segmenter.

    Of turned boxes it gives the upright ones around them.

    Parameters
    ----------
    network : Network
    info : ModelInfo
    options : DetectorOptions
        Boxes must have a score above `conf`; `imgsz` is rounded up to a multiple
        of the network's stride.

    Raises
    ------
    ModelError
        If the network takes one size only, and that is another.
    """

    def __init__(
        self,
        network: Network,
        info: ModelInfo,
        options: DetectorOptions = DEFAULTS,
    ) -> None:
        self._network, self._info, self._options = network, info, options
        self._frame = self._frame_size(options.imgsz)

    @property
    def info(self) -> ModelInfo:
        """Which file this is."""
        return self._info

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of all classes of the network, in their order."""
        return self._network.traits.names

    @property
    def segments(self) -> bool:
        """Whether it outlines what it finds."""
        return self._network.traits.segments

    def detect(self, planes: Sequence[Plane]) -> list[Detections]:
        """Find objects on each plane."""
        found = []
        for plane in planes:
            checkpoint()
            with torch.inference_mode():
                found.append(self._detect(self._channels(plane.pixels)))
        return found

    def _detect(self, pixels: npt.NDArray[np.uint8]) -> Detections:
        seen = self._seen(self._framed(pixels), self._options.conf)
        return self._finished(seen.rows, seen.full, seen.prototypes)

    def _framed(self, pixels: npt.NDArray[np.uint8]) -> Framed:
        traits = self._network.traits
        if traits.stretched:
            return letterbox.stretch(pixels, self._frame)
        stride = traits.stride if traits.fixed is None else None
        return letterbox.fit(pixels, self._frame, stride)

    def _finished(
        self,
        rows: Tensor,
        full: bool = False,
        prototypes: Prototypes | None = None,
    ) -> Detections:
        """Turn rows with boxes of the plane into what was asked for."""
        sides = rows[:, 2:4] - rows[:, :2]
        rows = rows[(sides > 0).all(1)]
        best = rows[: self._options.max_det]
        kept = best.cpu().numpy()
        return Detections(
            np.ascontiguousarray(kept[:, :4], np.float32),
            kept[:, 4].astype(np.float32),
            kept[:, 5].astype(np.int64),
            truncated=full or len(rows) > self._options.max_det,
            masks=None if prototypes is None else prototypes.masks(best),
        )

    def _seen(self, framed: Framed, conf: float) -> Seen:
        """Ask the network about one frame; rows have a score above `conf`."""
        network = self._network
        answer = network(framed.tensor(network.device))
        return self._read(
            answer, framed, conf, len(self.class_names), self._options.classes
        )

    def _read(
        self,
        answer: Answer,
        framed: Framed,
        conf: float,
        count: int,
        classes: Sequence[int] | None,
    ) -> Seen:
        """Read an answer of `count` classes, of which `classes` are wanted."""
        traits, iou = self._network.traits, self._options.iou
        turned = traits.turned
        prediction = answer.objects.float()
        full = False
        if traits.final:
            rows = read_final(prediction, conf)
            full = 0 < len(prediction) == len(rows)
            rows = only(rows.cpu(), classes)
        elif turned:
            rows = read_turned(prediction, count, conf)
            rows = suppress_turned(only(rows.cpu(), classes), iou)
        else:
            rows = read_rows(prediction, count, conf)
            rows = only(rows.cpu(), classes)
            rows = suppress(rows, iou, agnostic=traits.agnostic)
        rows = hulls(rows) if turned else rows
        drawn = answer.prototypes
        return Seen(
            torch.cat([framed.back(rows[:, :4]), rows[:, 4:]], 1),
            full,
            None if drawn is None else Prototypes(drawn.float().cpu(), framed),
        )

    def _channels(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        if self._network.traits.channels == 3:
            return pixels
        grey = pixels @ np.array([_RED, _GREEN, _BLUE], np.float32)
        return np.rint(grey).astype(np.uint8)[..., None]

    def _frame_size(self, imgsz: int | None) -> tuple[int, int]:
        traits = self._network.traits
        side = math.ceil((imgsz or traits.imgsz) / traits.stride) * traits.stride
        if traits.fixed is None:
            return side, side
        if imgsz is not None and side != max(traits.fixed):
            height, width = traits.fixed
            raise ModelError(
                f"{self._info.name}: this file was exported for {height} × {width} "
                f"pixels and cannot look at {side}: leave out imgsz, or export it with "
                "dynamic=True"
            )
        return traits.fixed
