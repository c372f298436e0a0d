"""Any YOLO detector or segmenter of ultralytics as a detector."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_sam.models.lane import checkpoint
from napari_sam.models.yolo import letterbox
from napari_sam.models.yolo.suppress import only, read_final, read_rows, suppress
from napari_sam.types import Detections, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from torch import Tensor

    from napari_sam.images import Plane
    from napari_sam.models.protocol import ModelInfo
    from napari_sam.models.yolo.letterbox import Framed
    from napari_sam.models.yolo.network import Network

_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114  # how OpenCV weighs them for grey


class YoloDetector:
    """Boxes of a YOLO network; the masks of a segmenter are not used.

    Parameters
    ----------
    network : Network
    info : ModelInfo
    conf : float
        Boxes must have a higher score.
    iou : float
        Of two boxes of a class that overlap more, the weaker one is dropped.
    imgsz : int, optional
        The plane's longer side is resized to this many pixels; None: as the file
        says. Rounded up to a multiple of the network's stride.
    max_det : int
        Most objects on a plane.
    classes : sequence of int, optional
        Only these; they keep their numbers.

    Raises
    ------
    ModelError
        If the network takes one size only, and that is another.
    """

    def __init__(
        self,
        network: Network,
        info: ModelInfo,
        *,
        conf: float = 0.25,
        iou: float = 0.45,
        imgsz: int | None = None,
        max_det: int = 300,
        classes: Sequence[int] | None = None,
    ) -> None:
        self._network, self._info = network, info
        self._conf, self._iou, self._max_det = conf, iou, max_det
        self._classes = None if classes is None else tuple(classes)
        self._imgsz = imgsz
        self._frame = self._frame_size(imgsz)

    @property
    def info(self) -> ModelInfo:
        """Which file this is."""
        return self._info

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of all classes of the network, in their order."""
        return self._network.traits.names

    def detect(self, planes: Sequence[Plane]) -> list[Detections]:
        """Find objects on each plane."""
        found = []
        for plane in planes:
            checkpoint()
            with torch.inference_mode():
                found.append(self._detect(self._channels(plane.pixels)))
        return found

    def _detect(self, pixels: npt.NDArray[np.uint8]) -> Detections:
        traits = self._network.traits
        stride = traits.stride if traits.fixed is None else None
        framed = letterbox.fit(pixels, self._frame, stride)
        rows, full = self._rows(framed, self._conf)
        return self._finished(rows, full)

    def _finished(self, rows: Tensor, full: bool = False) -> Detections:
        """Turn rows with boxes of the plane into what was asked for."""
        sides = rows[:, 2:4] - rows[:, :2]
        rows = rows[(sides > 0).all(1)]
        kept = rows[: self._max_det].cpu().numpy()
        return Detections(
            np.ascontiguousarray(kept[:, :4], np.float32),
            kept[:, 4].astype(np.float32),
            kept[:, 5].astype(np.int64),
            truncated=full or len(rows) > self._max_det,
        )

    def _rows(self, framed: Framed, conf: float) -> tuple[Tensor, bool]:
        """Ask the network about one frame.

        Parameters
        ----------
        framed : Framed
        conf : float
            Rows have a higher score.

        Returns
        -------
        rows : float (N, 6) on the CPU
            y0, x0, y1, x1 in the plane's pixels, score, class; best first.
        full : bool
            The network itself stopped at its limit.
        """
        network = self._network
        prediction = network(framed.tensor(network.device)).float()
        full = False
        if network.traits.final:
            rows = read_final(prediction, conf)
            full = 0 < len(prediction) == len(rows)
            rows = only(rows.cpu(), self._classes)
        else:
            rows = read_rows(prediction, len(self.class_names), conf)
            rows = suppress(only(rows.cpu(), self._classes), self._iou)
        return torch.cat([framed.back(rows[:, :4]), rows[:, 4:]], 1), full

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
