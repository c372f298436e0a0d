"""From the user's file to a detector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_sam.models.device import resolve_device
from napari_sam.models.options import DEFAULTS, DetectorOptions
from napari_sam.models.protocol import ModelInfo
from napari_sam.models.sniff import file_sha256
from napari_sam.models.yolo.detector import YoloDetector
from napari_sam.models.yolo.network import Network, check_task
from napari_sam.models.yolo.words import (
    WordsNetwork,
    YoloeDetector,
    YoloeNetwork,
    is_yoloe,
    kind_of,
)
from napari_sam.types import ModelError

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".pt", ".onnx")


def load_yolo(
    path: Path,
    options: DetectorOptions = DEFAULTS,
    *,
    device: str = "auto",
    examples: bool = False,
) -> YoloDetector:
    """Load the user's own YOLO; nothing in the file is executed.

    Parameters
    ----------
    path : Path
        `.pt` of ultralytics' training, or `.onnx` of its export.
    options : DetectorOptions
        See `YoloDetector`.
    device : str
        As for `load_model`.
    examples : bool
        It is to be asked for what looks like examples: it needs no words.

    Raises
    ------
    ModelError
        If the file is no such network, or cannot be read.
    """
    network = _load(path, device, options, examples=examples)
    if network.traits.channels not in (1, 3):
        raise ModelError(
            f"{path}: this network looks at {network.traits.channels} channels: use "
            "one for colour (3) or grey (1) images"
        )
    read_by = network.read_by if isinstance(network, WordsNetwork) else ""
    info = ModelInfo(path.name, read_by, file_sha256(path), str(network.device))
    if isinstance(network, YoloeNetwork):
        detector: YoloDetector = YoloeDetector(network, info, options)
    else:
        detector = YoloDetector(network, info, options)
    if network.traits.names or not examples:
        _try_out(path, network)
    return detector


def _load(
    path: Path, device: str, options: DetectorOptions, *, examples: bool
) -> Network:
    where = resolve_device(device)
    if path.suffix.lower() == ".onnx":
        if not path.is_file():
            raise ModelError(f"{path}: there is no such file: check the path")
        from napari_sam.models.yolo.onnx import OnnxNetwork

        return OnnxNetwork(path, where)
    from napari_sam.models.ultra import load_yolo_module

    module, names, task, stride, imgsz = load_yolo_module(path)
    check_task(path, task)
    kind = kind_of(module)
    network = kind(
        module,
        names,
        stride=stride,
        imgsz=imgsz,
        device=where,
        # One more than asked for, to tell whether there was more.
        limit=options.max_det + 1,
        turned=task == "obb",
        segments=task == "segment",
        agnostic=is_yoloe(module),
    )
    if isinstance(network, WordsNetwork) and options.words:
        network.listen(options.words, path)
    elif isinstance(network, WordsNetwork) and network.alone:
        network.check(path)
    elif isinstance(network, WordsNetwork):
        if not examples:
            raise ModelError(
                f"{path}: this detector finds what words say: give some, such as "
                '"nucleus" (--words)'
            )
        network.forget()
    return network


def _try_out(path: Path, network: Network) -> None:
    """Run a network once on nothing, so that a wrong one is found out here."""
    traits = network.traits
    size = traits.fixed or (traits.stride * 2, traits.stride * 2)
    blank = torch.zeros(1, traits.channels, *size, device=network.device)
    try:
        with torch.inference_mode():
            answer = network(blank)
    except Exception as error:  # modules raise nearly anything on wrong tensors
        what = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{path}: the network in this file does not run ({what}): export or train "
            "it again"
        ) from error
    shape = answer.objects.shape
    drawn = 0 if answer.prototypes is None else len(answer.prototypes)
    more = int(traits.turned) + drawn
    least = 6 if traits.final else 4 + len(traits.names)
    wide = shape[1 if traits.final else 0] >= least + more
    if len(shape) != 2 or not wide or not traits.names:
        raise ModelError(
            f"{path}: the network in this file gives {tuple(shape)}, which are no "
            f"boxes of {len(traits.names)} classes: use a YOLO detector or segmenter"
        )
    if traits.segments and not drawn:
        raise ModelError(
            f"{path}: the network in this file outlines nothing, although it is made "
            'for "segment": export or train it again'
        )
