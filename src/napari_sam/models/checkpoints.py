"""Tensors out of a file of weights, and nothing else: no code in it ever runs.

Files of weights come from strangers. Before torch sees a pickle, `sniff` has read
which functions it would call; torch's own restricted loader is the second door.
"""

from __future__ import annotations

import math
import pickle
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from napari_sam.models.sniff import Contents, Kind, file_sha256, inspect_file, shown
from napari_sam.types import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TENSOR_CALLS: Final = frozenset(
    {
        "collections.OrderedDict",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch.Size",
        "torch.device",
        "builtins.set",
        "__builtin__.set",
        "_codecs.encode",
        "numpy.dtype",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
    }
)
"""What a pickle of weights may call. Nothing here can take more memory than the
file has, which cannot be said of all that torch's restricted loader lets through
(`bytearray(10**12)`)."""

# Where other people's files keep the weights of the model itself.
_NESTS: Final = ("model", "model_state", "state_dict", "model_state_dict")
_PREFIXES: Final = ("module.", "sam.", "model.")
_TRAINERS: Final = ("torch_em.", "micro_sam.")
_TRUSTED: Final = "get the weights as .safetensors, or from a source that you trust"


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """What a file of weights holds.

    Attributes
    ----------
    path : Path
    tensors : dict of str to Tensor
        The model's weights as a flat state dict, on the CPU, in the file's dtypes;
        wrappers such as "module." or µSAM's "sam." are taken off the names.
    extra : dict of str to dict
        Further state dicts beside the model's, for example µSAM's "decoder_state".
    metadata : dict of str to str
        Of safetensors files.
    sha256 : str
    """

    path: Path
    tensors: dict[str, Tensor]
    extra: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    sha256: str = ""


def read_tensors(path: Path) -> Checkpoint:
    """Read the weights in a file, running nothing of it.

    Parameters
    ----------
    path : Path
        safetensors, or what `torch.save` makes of a state dict: flat, or inside
        "model", "model_state" or "state_dict". The name's ending does not matter.

    Raises
    ------
    ModelError
        If the file is missing, is no checkpoint, is damaged, holds more than
        tensors, or holds numbers that are not finite.
    """
    contents = inspect_file(path)
    if contents.kind in (Kind.DETECTOR, Kind.ONNX):
        raise ModelError(
            f"{path}: this is {contents.kind.value}, not a model that outlines what is "
            "clicked; use it as a detector (--detector)"
        )
    if contents.kind is Kind.SAFETENSORS:
        tensors, metadata = _read_safetensors(path)
        loaded: Mapping[str, Any] = tensors
    else:
        loaded, metadata = _read_torch(path, contents), {}
    tensors, extra = _arranged(path, loaded)
    check_tensors(path, tensors)
    for name, state in extra.items():
        check_tensors(path, {f"{name}.{key}": t for key, t in state.items()})
    return Checkpoint(path, tensors, extra, metadata, file_sha256(path))


def check_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors that are no weights.

    Raises
    ------
    ModelError
        If one of them is not dense, claims more elements than it has, or holds NaN
        or infinity.
    """
    for name, tensor in tensors.items():
        plain = tensor.layout is torch.strided and not tensor.is_quantized
        if not plain or tensor.device.type != "cpu":
            raise ModelError(
                f"{path}: {name} is no plain tensor (sparse, quantized or without "
                f"data); {_TRUSTED}"
            )
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ModelError(
                f"{path}: {name} claims to be {tuple(tensor.shape)}, more than there "
                f"is in the file; {_TRUSTED}"
            )
        if not _finite(tensor):
            raise ModelError(
                f"{path}: {name} holds numbers that are not finite (NaN or infinity), "
                "so its training failed or the file is damaged; use another checkpoint"
            )


def check_calls(path: Path, contents: Contents, allowed: frozenset[str]) -> None:
    """Refuse a pickle that would call anything but what is allowed.

    Raises
    ------
    ModelError
        With the names of what it would call.
    """
    program = contents.program
    if refused := program.calls - allowed:
        raise ModelError(
            f"{path}: loading this file would call {shown(refused)}; nothing of it was "
            f"run, {_TRUSTED}"
        )


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            return {name: file.get_tensor(name) for name in file.keys()}, metadata
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path}: this is no readable safetensors file ({error}); download or "
            "copy it again"
        ) from error


def _read_torch(path: Path, contents: Contents) -> Mapping[str, Any]:
    if any(name.startswith(_TRAINERS) for name in contents.program.names):
        raise ModelError(
            f"{path}: this is a training checkpoint of µSAM: it holds objects beside "
            "the weights; export the model from it with "
            "micro_sam.util.export_custom_sam_model"
        )
    check_calls(path, contents, TENSOR_CALLS)
    if contents.program.makes:
        raise ModelError(
            f"{path}: this holds objects ({shown(contents.program.makes)}) and not "
            "only weights; save its state dict alone, best as .safetensors"
        )
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: torch refuses what is in this file beside weights "
            f"({shown(contents.program.names)}); save its state dict alone"
        ) from error
    # Damaged archives surface as any of these.
    except (RuntimeError, EOFError, OSError, zipfile.BadZipFile, ValueError) as error:
        raise ModelError(
            f"{path}: the file is cut off or damaged ({_first_line(error)}); download "
            "or copy it again"
        ) from error
    # A list of tensors, a number: whatever else can be saved.
    except (KeyError, TypeError, AttributeError, IndexError, AssertionError) as error:
        raise ModelError(
            f"{path}: the file is damaged ({_first_line(error)}); download it again"
        ) from error
    if not isinstance(loaded, dict):
        raise ModelError(
            f"{path}: this holds one {type(loaded).__name__}, not the weights of a "
            "model; save a state dict"
        )
    return loaded


def _arranged(
    path: Path, loaded: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]:
    """Take the model's weights out of the wrappers that people put around them."""
    states = {
        key: state
        for key, value in loaded.items()
        if isinstance(value, dict) and (state := _tensors(value))
    }
    for nest in _NESTS:
        if nest in states:
            main = states.pop(nest)
            break
    else:
        main = _tensors(loaded)
    if not main:
        raise ModelError(
            f"{path}: there are no weights in this file (it has "
            f"{shown({str(key) for key in loaded}) or 'nothing'}); use a checkpoint"
        )
    return _without_prefix(main), {
        str(k): _without_prefix(s) for k, s in states.items()
    }


def _tensors(values: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {
        str(key): value.data if isinstance(value, nn.Parameter) else value
        for key, value in values.items()
        if isinstance(value, Tensor)
    }


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take off what wrappers (data-parallel training, µSAM's trainer) put in front."""
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): t for name, t in tensors.items()}
    return tensors


def _finite(tensor: Tensor) -> bool:
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return True
    # A finite sum has finite terms, and takes no memory. Sums overflow, so a sum
    # that is not finite proves nothing yet.
    wide = torch.float32 if tensor.is_floating_point() else None
    if math.isfinite(abs(tensor.sum(dtype=wide).item())):
        return True
    return bool(torch.isfinite(tensor).all())


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:120] or type(error).__name__
