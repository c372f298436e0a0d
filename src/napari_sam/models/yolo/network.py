"""What a detector asks of a YOLO network, and the answer of ultralytics' modules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch

from napari_sam.types import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

TASKS = ("detect", "segment", "obb")
_QUERIES = "RTDETR"  # in the name of a head that answers a fixed number of times


@dataclass(frozen=True, slots=True)
class Traits:
    """What is to be known about a network before it is asked.

    Attributes
    ----------
    names : tuple of str
        Of the classes, in their order.
    stride : int
        Sides of inputs are multiples of it.
    imgsz : int
        Size at which it looks at a plane unless told otherwise.
    fixed : (height, width) or None
        The only input size that it takes.
    channels : int
        3 for RGB, 1 for grey.
    final : bool
        It gives every object once; no boxes are to be suppressed.
    turned : bool
        Its boxes have an angle, in the last column.
    stretched : bool
        It looks at planes stretched to its square.
    segments : bool
        It outlines what it finds, see `Answer`.
    agnostic : bool
        Of boxes that overlap the best is kept, whatever their classes: an object is
        what suits it best.
    """

    names: tuple[str, ...]
    stride: int = 32
    imgsz: int = 640
    fixed: tuple[int, int] | None = None
    channels: int = 3
    final: bool = False
    turned: bool = False
    stretched: bool = False
    segments: bool = False
    agnostic: bool = False


class Answer(NamedTuple):
    """What a network answers to one frame.

    Attributes
    ----------
    objects : float (4 + classes + more, A) or, if `final`, (K, 6 + more)
        Turned boxes are centre x, centre y, width and height in both. What is more
        is an angle, or one weight for each prototype.
    prototypes : float (P, h/4, w/4), optional
        A segmenter's: their weighted sum is positive inside of an object.
    """

    objects: Tensor
    prototypes: Tensor | None = None


class Network(Protocol):
    """What a detector asks."""

    @property
    def traits(self) -> Traits:
        """What is to be known about it."""

    @property
    def device(self) -> torch.device:
        """Where it wants its input."""

    def __call__(self, batch: Tensor) -> Answer:
        """Return the raw predictions for float32 (1, C, h, w) in 0..1."""


class TorchNetwork:
    """An ultralytics module.

    Parameters
    ----------
    module : nn.Module
        Is changed: its batch norms are folded, and of two heads the one for
        suppression is kept, as ultralytics' own predictor does.
    names : mapping or sequence of str
    stride, imgsz : int
    device : torch.device
    limit : int
        A network that gives every object once gives at most so many.
    turned : bool
        Its boxes have an angle.
    segments : bool
        It outlines what it finds.
    agnostic : bool
        See `Traits`.
    """

    def __init__(
        self,
        module: nn.Module,
        names: Mapping[int, str] | Sequence[str],
        *,
        stride: int = 32,
        imgsz: int = 640,
        device: torch.device,
        limit: int = 300,
        turned: bool = False,
        segments: bool = False,
        agnostic: bool = False,
    ) -> None:
        net: Any = module
        net.eval().requires_grad_(False)
        head = net.model[-1]
        if getattr(head, "cv2", None) is not None:  # not folded away already
            net.end2end = False
        net.fuse(verbose=False)
        # Planes come with their channels last, and convolutions are faster so.
        net.float().to(device, memory_format=torch.channels_last)
        self._queries = answers_queries(type(head).__name__)
        final = self._queries or bool(getattr(head, "end2end", False))
        if final:
            head.max_det, head.agnostic_nms = limit, agnostic
        self._module, self._device = net, device
        self.traits = Traits(
            class_names(names),
            max(int(stride), 32),
            imgsz,
            channels=int(getattr(net, "yaml", {}).get("channels", 3)),
            final=final,
            turned=turned,
            stretched=self._queries,
            segments=segments,
            agnostic=agnostic,
        )

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self._device

    def __call__(self, batch: Tensor) -> Answer:
        """Return the raw predictions."""
        return self._answer(self._module(batch), batch)

    def _answer(self, answer: Any, batch: Tensor) -> Answer:
        """Take what matters out of what a module gives."""
        found = _first(answer)[0]
        if self._queries:
            return Answer(from_queries(found, batch.shape))
        if not self.traits.segments:
            return Answer(found)
        # ((objects, prototypes), what training needs)
        return Answer(found, answer[0][1][0])


def answers_queries(head: str) -> bool:
    """Whether a head of this name answers as RT-DETR does, see `from_queries`."""
    return _QUERIES in head


def from_queries(found: Tensor, shape: Sequence[int]) -> Tensor:
    """Turn what RT-DETR answers into rows as from any head that is `final`.

    Parameters
    ----------
    found : Tensor, shape (K, 6)
        Centre x, centre y, width, height as parts of the input's sides; score, class.
    shape : (N, C, h, w)
        Of the input.
    """
    height, width = shape[2:]
    sides = found.new_tensor([width, height])
    centre, half = found[:, :2] * sides, found[:, 2:4] * sides / 2
    return torch.cat([centre - half, centre + half, found[:, 4:]], 1)


def check_task(path: Path, task: str | None) -> None:
    """Check that a file's network gives boxes, turned or not.

    Raises
    ------
    ModelError
    """
    if task is None:
        raise ModelError(
            f"{path}: the file does not say what its network does, so ultralytics did "
            "not write it: export it with ultralytics (yolo export format=onnx)"
        )
    if task not in TASKS:
        raise ModelError(
            f'{path}: this network is made for "{task}" and finds no objects: use one '
            "for detect, segment or obb"
        )


def class_names(names: Mapping[int, str] | Sequence[str]) -> tuple[str, ...]:
    """Return class names in the order of their numbers; gaps are named by number."""
    if not hasattr(names, "items"):
        return tuple(str(name) for name in names)
    known = {int(number): str(name) for number, name in names.items()}
    return tuple(known.get(i, str(i)) for i in range(max(known, default=-1) + 1))


def _first(found: Any) -> Tensor:
    """Return the boxes; beside them there are masks and what training needs."""
    while isinstance(found, (tuple, list)):
        found = found[0]
    tensor: Tensor = found
    return tensor
