"""The YOLO that ships: a YAML with its architecture, safetensors with its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from napari_sam.types import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

ARCHITECTURE = "yolo"


def load_shipped(path: Path) -> tuple[nn.Module, dict[str, str]]:
    """Build the network that a YAML describes, with the weights beside it.

    Parameters
    ----------
    path : Path
        Ends in .safetensors.

    Returns
    -------
    module : nn.Module
        Ultralytics' detection model, float32 on the CPU, not folded.
    metadata : dict
        `version`, `names` (JSON), `object_size`.

    Raises
    ------
    ModelError
    """
    from safetensors import SafetensorError, safe_open

    try:
        layers = yaml.safe_load(path.with_suffix(".yaml").read_text("utf-8"))
        with safe_open(path, framework="pt") as file:
            told = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}
    except (OSError, UnicodeError, yaml.YAMLError, SafetensorError) as error:
        raise ModelError(
            f"{path}: the detector's weights or their .yaml cannot be read ({error}); "
            "install napari-sam-annotator again"
        ) from error
    if told.get("architecture") != ARCHITECTURE:
        raise ModelError(f"{path}: this is no YOLO of ours; choose another file")
    return _filled(path, layers, tensors), told


def _filled(path: Path, layers: object, tensors: dict[str, Tensor]) -> nn.Module:
    from napari_sam.models.ultra import load_ultralytics, quiet

    tasks = load_ultralytics("ultralytics.nn.tasks")
    try:
        with quiet():
            module: nn.Module = tasks.DetectionModel(layers, ch=3, verbose=False)
        module.load_state_dict({key: t.float() for key, t in tensors.items()})
    except Exception as error:  # parsing a wrong description raises nearly anything
        raise ModelError(
            f"{path}: the weights do not fit the network that the .yaml describes; "
            "install napari-sam-annotator again"
        ) from error
    return module
