"""YOLO-World and YOLOE: their classes are words, or what examples look like."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from napari_sam.models.lane import checkpoint
from napari_sam.models.sniff import file_sha256
from napari_sam.models.ultra import load_ultralytics
from napari_sam.models.wording.files import READERS, find_reader
from napari_sam.models.yolo.detector import YoloDetector
from napari_sam.models.yolo.network import Answer, TorchNetwork
from napari_sam.models.yolo.suppress import only
from napari_sam.types import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from napari_sam.images import Plane
    from napari_sam.models.options import DetectorOptions
    from napari_sam.models.protocol import ModelInfo
    from napari_sam.models.yolo.letterbox import Framed
    from napari_sam.types import Box, Detections

_CLIP: Final = "clip:ViT-B/32"
_MOBILE: Final = "mobileclip:blt"  # of files that do not say
_CELL: Final = 8  # pixels of the frame for each cell in which an example lies
_ALIKE: Final = (0,)


class WordsNetwork(TorchNetwork):
    """A network that compares what it sees with vectors, one for each class.

    Attributes
    ----------
    read_by : str
        What has read the words that it was given last.
    """

    read_by = ""
    _kept = "txt_feats"

    @property
    def alone(self) -> bool:
        """Whether its file has classes already."""
        return self._known is not None

    def listen(self, words: Sequence[str], path: Path) -> None:
        """Let these be the classes.

        Parameters
        ----------
        words : sequence of str
        path : Path
            The detector's file: what reads words may lie beside it.

        Raises
        ------
        ModelError
            If what reads words is not here, or is not installed.
        """
        from napari_sam.models.wording.tower import read_words

        named = self._reader
        if named not in READERS:
            raise ModelError(
                f'{path}: this detector reads words with "{named}", which this version '
                "does not know: use another YOLOE"
            )
        file = find_reader(READERS[named], path)
        vectors = read_words(words, READERS[named], file).to(self.device)
        head = self._module.model[-1]
        width = (head.cv3 or head.one2one_cv3)[0][-1].out_channels
        if vectors.shape[-1] != width:
            raise ModelError(
                f"{file}: this gives {vectors.shape[-1]} numbers for a word, and "
                f"{path.name} compares {width}: use another file"
            )
        self._give(vectors)
        self.read_by = f"{named} {file_sha256(file)[:12]}"
        self.traits = replace(self.traits, names=tuple(words))

    def check(self, path: Path) -> None:
        """Check that the file's own classes have names.

        Raises
        ------
        ModelError
        """
        known = self._known
        if known is None or known.shape[:2] != (1, len(self.traits.names)):
            raise ModelError(
                f"{path}: the classes in this file and their names do not fit: set "
                "them again with ultralytics, or give words (--words)"
            )

    def forget(self) -> None:
        """Have no classes: there is nothing that it could find by itself."""
        self.traits = replace(self.traits, names=())

    @property
    def _known(self) -> Tensor | None:
        """What the file itself compares with."""
        known = getattr(self._module, self._kept, None)
        return known if isinstance(known, torch.Tensor) and known.ndim == 3 else None

    @property
    def _reader(self) -> str:
        return _CLIP

    def _give(self, vectors: Tensor) -> None:
        """Compare with these, (1, N, width)."""
        self._module.txt_feats = vectors
        self._module.model[-1].nc = vectors.shape[1]


class YoloeNetwork(WordsNetwork):
    """YOLOE whose classes are not settled for good."""

    _kept = "pe"

    @property
    def _reader(self) -> str:
        return str(getattr(self._module, "text_model", _MOBILE))

    def _give(self, vectors: Tensor) -> None:
        head = self._module.model[-1]
        with torch.inference_mode():
            self._module.pe = head.get_tpe(vectors).clone()
        head.nc = vectors.shape[1]

    def alike(self, batch: Tensor, examples: Tensor) -> Answer:
        """Return the raw predictions for what looks like examples.

        Parameters
        ----------
        batch : float32 Tensor (1, C, h, w)
        examples : float32 Tensor (1, N, h / 8, w / 8)
            1 where the examples of a class lie.
        """
        return self._answer(self._module.predict(batch, vpe=examples), batch)


class YoloeDetector(YoloDetector):
    """A YOLOE that finds what its words say, or what looks like examples.

    Parameters
    ----------
    network : YoloeNetwork
    info : ModelInfo
    options : DetectorOptions
    """

    def __init__(
        self, network: YoloeNetwork, info: ModelInfo, options: DetectorOptions
    ) -> None:
        super().__init__(network, info, options)
        self._asked = network

    def find_alike(
        self, plane: Plane, boxes: Sequence[Box], unlike: Sequence[Box] = ()
    ) -> Detections:
        """Find objects that look like examples; the words do not count.

        Parameters
        ----------
        plane : Plane
        boxes, unlike : sequence of (y0, x0, y1, x1)
            Around examples, and around what is not meant: an object that looks more
            like these is left out.

        Raises
        ------
        ModelError
            If there is no example.
        """
        if not len(boxes):
            raise ModelError("examples are boxes around objects: give at least one")
        checkpoint()
        network = self._asked
        with torch.inference_mode():
            framed = self._framed(self._channels(plane.pixels))
            kinds = [_drawn(framed, kind) for kind in (boxes, unlike) if len(kind)]
            examples = torch.stack(kinds)[None].to(network.device)
            answer = network.alike(framed.tensor(network.device), examples)
            seen = self._read(answer, framed, self._options.conf, len(kinds), None)
            rows = only(seen.rows, _ALIKE)
            return self._finished(rows, seen.full, seen.prototypes)


def is_yoloe(module: nn.Module) -> bool:
    """Whether a module of ultralytics is a YOLOE, of any kind."""
    return isinstance(module, load_ultralytics("ultralytics.nn.tasks").YOLOEModel)


def kind_of(module: nn.Module) -> type[TorchNetwork]:
    """Return what a module of ultralytics is to be treated as."""
    if isinstance(module, load_ultralytics("ultralytics.nn.tasks").WorldModel):
        return WordsNetwork
    if not is_yoloe(module):
        return TorchNetwork
    network: Any = module
    head = network.model[-1]
    settled = hasattr(head, "lrpc") or head.is_fused
    return TorchNetwork if settled else YoloeNetwork


def _drawn(framed: Framed, boxes: Sequence[Box]) -> Tensor:
    """Draw boxes of the plane as ultralytics does: (h / 8, w / 8), 1 inside of any.

    Where one lies between cells, of which ultralytics would see nothing, its middle
    counts.
    """
    high, wide = (side // _CELL for side in framed.pixels.shape[:2])
    rows, columns = np.arange(high)[:, None], np.arange(wide)
    drawn = np.zeros((high, wide), np.float32)
    (gain_y, gain_x), (top, left) = framed.gain, framed.pad
    for box in boxes:
        y0, y1 = ((y * gain_y + top) / _CELL for y in box[0::2])
        x0, x1 = ((x * gain_x + left) / _CELL for x in box[1::2])
        down, across = (rows >= y0) & (rows < y1), (columns >= x0) & (columns < x1)
        drawn[down & across] = 1
        if not (down.any() and across.any()):  # smaller than a cell
            y, x = int((y0 + y1) / 2), int((x0 + x1) / 2)
            drawn[min(max(y, 0), high - 1), min(max(x, 0), wide - 1)] = 1
    return torch.from_numpy(drawn)
