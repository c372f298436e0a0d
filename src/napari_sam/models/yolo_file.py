"""Read a detector's `.pt`: a pickle of a whole network, through a narrow door.

ultralytics has a restricted loader, and it is asked for explicitly: the variable
that would make it the default is read when ultralytics is imported, and somebody
else may have imported it. Before that the pickle is read as text, since that loader
lets a file call the constructors of networks, and those can download.
"""

from __future__ import annotations

import inspect
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn

from napari_sam.models.checkpoints import TENSOR_CALLS, check_calls, check_tensors
from napari_sam.models.sniff import Contents, Kind, inspect_file, shown
from napari_sam.types import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam.models.ultra import YoloFile

# The loader replaces `getattr` by one that reaches into networks' classes only.
_CALLS: Final = TENSOR_CALLS | {
    "__builtin__.getattr",
    "builtins.getattr",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "pathlib._local.PosixPath",
    "pathlib._local.WindowsPath",
}
_KNOWN: Final = ("ultralytics.nn.", "ultralytics.utils.", "torch.nn.modules.")
_KNOWN_OLD: Final = ("ultralytics.yolo.utils.",)
_IMGSZ: Final = 640
_STRIDE: Final = 32
_LARGEST: Final = 1 << 14  # of a size in pixels that can be meant


def read(path: Path, tasks: Any) -> YoloFile:
    """Read a detector with `ultralytics.nn.tasks`; see `load_yolo_module`."""
    from napari_sam.models.ultra import YoloFile

    _check(path, inspect_file(path))
    checkpoint = _load(path, tasks)
    module = _network(path, checkpoint)
    check_tensors(path, {**module.state_dict(), **_compared(module)})
    trained = checkpoint.get("train_args")
    imgsz = trained.get("imgsz") if isinstance(trained, dict) else None
    return YoloFile(
        _ready(module),
        _class_names(path, module),
        _task(module, tasks),
        _whole(getattr(module, "stride", None), _STRIDE),
        _whole(imgsz, _IMGSZ),
    )


def _check(path: Path, contents: Contents) -> None:
    if contents.kind is Kind.ONNX:
        raise ModelError(f"{path}: this is an ONNX model; give it a name in .onnx")
    if contents.kind is not Kind.DETECTOR:
        raise ModelError(
            f"{path}: this holds {contents.kind.value}, not a detector of ultralytics; "
            "if it is a model that outlines what is clicked, use it as one (--model)"
        )
    strange = {n for n in contents.program.makes if not n.startswith(_KNOWN)}
    strange = {n for n in strange if not n.startswith(_KNOWN_OLD)}
    if strange:
        raise ModelError(
            f"{path}: this file holds {shown(strange)}, which no detector of "
            "ultralytics needs; nothing of it was run, export the detector to ONNX "
            "where it was trained"
        )
    check_calls(path, contents, _CALLS)


def _load(path: Path, tasks: Any) -> dict[str, Any]:
    supported = hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint")
    loader = tasks.torch_safe_load
    # Where it cannot restrict itself it would run what the file says.
    if not supported or "safe_only" not in inspect.signature(loader).parameters:
        raise ModelError(
            f"{path}: the installed torch or ultralytics cannot read this file safely; "
            "update both (pip install -U torch torchvision ultralytics)"
        )
    try:
        with _plainly_named(path) as file:
            checkpoint, _ = loader(str(file), safe_only=True)
    except Exception as error:
        # What comes out of a damaged or foreign pickle has no end of types.
        reason = str(error).partition("\n")[0].replace(str(path), "it")
        reason = reason.encode("ascii", "ignore").decode().removeprefix("ERROR").strip()
        raise ModelError(
            f"{path}: this detector cannot be read ({reason[:160]}); update "
            "ultralytics or export the detector to ONNX where it was trained"
        ) from error
    if not isinstance(checkpoint, dict) or checkpoint.get("modelopt"):
        raise ModelError(
            f"{path}: this is no ordinary checkpoint of a detector (quantized?); "
            "export it to ONNX where it was trained"
        )
    return checkpoint


@contextmanager
def _plainly_named(path: Path) -> Iterator[Path]:
    """Give a path that ultralytics takes as it is.

    It refuses other endings than .pt, drops quotation marks and blanks from names,
    and turns "yolov5s.pt" into "yolov5su.pt", which it would then download.
    """
    plain = all(c.isalnum() or c in "-_./\\:" for c in str(path.absolute()))
    if plain and path.suffix == ".pt" and "yolov" not in path.name.lower():
        yield path.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="napari-sam-") as folder:
        copy = Path(folder) / "detector.pt"
        shutil.copyfile(path, copy)
        yield copy


def _network(path: Path, checkpoint: dict[str, Any]) -> nn.Module:
    # The running average of the weights is the better network, and what
    # ultralytics itself takes.
    network = checkpoint.get("ema")
    network = checkpoint.get("model") if network is None else network
    if not isinstance(network, nn.Module):
        raise ModelError(f"{path}: there is no detector in this file; train or export")
    return network


def _ready(network: nn.Module) -> nn.Module:
    network = network.float().eval().requires_grad_(False)
    layer: Any
    for layer in network.modules():
        # Of files that older versions of torch have written.
        if isinstance(layer, nn.Upsample):
            vars(layer).setdefault("recompute_scale_factor", None)
        if hasattr(layer, "inplace"):
            layer.inplace = True
    return network


def _compared(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return what YOLO-World and YOLOE compare with, which is in no state dict."""
    kept = {name: getattr(network, name, None) for name in ("txt_feats", "pe")}
    return {k: t for k, t in kept.items() if isinstance(t, torch.Tensor)}


def _class_names(path: Path, network: nn.Module) -> tuple[str, ...]:
    names = getattr(network, "names", None)
    if names is None and (known := _compared(network).get("txt_feats")) is not None:
        # Some YOLO-World have none, and are given words anyway.
        names = list(map(str, range(known.shape[-2] if known.ndim > 1 else 0)))
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        names = [names[i] for i in range(len(names))]
    if not isinstance(names, (list, tuple)) or not names:
        raise ModelError(
            f"{path}: this detector does not say what its classes are called; save it "
            "again with ultralytics"
        )
    return tuple(str(name) for name in names)


def _task(network: nn.Module, tasks: Any) -> str:
    task = getattr(network, "task", None)
    return task if isinstance(task, str) else str(tasks.guess_model_task(network))


def _whole(value: object, default: int) -> int:
    """Return the largest of a number, a list or a tensor of them, if it can be."""
    if isinstance(value, torch.Tensor):
        value = value.tolist()
    numbers = value if isinstance(value, (list, tuple)) else [value]
    whole = [
        int(n) for n in numbers if isinstance(n, (int, float)) and 0 < n < _LARGEST
    ]
    return max(whole, default=default)
