"""YOLO networks that ultralytics exported to ONNX, run by ONNX Runtime."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import torch

from napari_sam.models.yolo.network import (
    Answer,
    Traits,
    answers_queries,
    check_task,
    class_names,
    from_queries,
)
from napari_sam.types import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor


class OnnxNetwork:
    """A file that ultralytics exported to ONNX, run by ONNX Runtime.

    Parameters
    ----------
    path : Path
    device : torch.device
        Used if ONNX Runtime has it; the processor otherwise.

    Raises
    ------
    ModelError
        If ONNX Runtime is missing, or the file is none of ultralytics' detectors.
    """

    device = torch.device("cpu")  # takes and gives arrays there

    def __init__(self, path: Path, device: torch.device) -> None:
        self._session = _session(path, device)
        told = self._session.get_modelmeta().custom_metadata_map
        task = told.get("task")
        check_task(path, task)
        self._queries = answers_queries(told.get("head", ""))
        self._input = self._session.get_inputs()[0]
        shape = self._input.shape
        fixed = (shape[2], shape[3]) if all(isinstance(n, int) for n in shape) else None
        sizes = _literal(told, "imgsz", [640, 640], path)
        inside = bool(_literal(told, "args", {}, path).get("nms"))
        self.traits = Traits(
            class_names(_literal(told, "names", {}, path)),
            int(_literal(told, "stride", 32, path)),
            max(sizes) if isinstance(sizes, list) else int(sizes),
            fixed=fixed,
            channels=int(_literal(told, "channels", 3, path)),
            final=inside
            or self._queries
            or bool(_literal(told, "end2end", False, path)),
            turned=task == "obb",
            stretched=self._queries,
            segments=task == "segment",
        )

    def __call__(self, batch: Tensor) -> Answer:
        """Return the raw predictions."""
        array = batch.numpy()
        if self._input.type == "tensor(float16)":
            array = array.astype("float16")
        rows, *more = (
            torch.from_numpy(found).float()[0]
            for found in self._session.run(None, {self._input.name: array})
        )
        if self._queries:
            return Answer(from_queries(rows, batch.shape))
        return Answer(rows, more[0] if more and self.traits.segments else None)


def _literal(told: Mapping[str, str], key: str, default: Any, path: Path) -> Any:
    try:
        return ast.literal_eval(told[key]) if key in told else default
    except (ValueError, SyntaxError) as error:
        raise ModelError(
            f"{path}: the file's own description is damaged ({key}): export it again"
        ) from error


def _session(path: Path, device: torch.device) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(
            f"{path}: .onnx files need ONNX Runtime: pip install onnxruntime"
        ) from error
    wanted = {"cuda": "CUDAExecutionProvider", "mps": "CoreMLExecutionProvider"}
    there = onnxruntime.get_available_providers()
    first = wanted.get(device.type, "")
    providers = [first] if first in there else []
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        return onnxruntime.InferenceSession(
            str(path), options, providers=[*providers, "CPUExecutionProvider"]
        )
    except Exception as error:  # its errors share no class
        what = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{path}: ONNX Runtime cannot load this file ({what}): export it again"
        ) from error
