"""Weights out of a TorchScript archive; the program in it is never run, nor read.

Publishers of what reads words give it out as TorchScript: a program, its weights, and
a pickle that says where in the program each of them belongs. Loading such a file with
torch means running what it says. Here only the pickle is followed, by a machine that
knows no functions but those that describe tensors, and the network is built anew.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch

from napari_sam.types import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

_TYPES: Final = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_LISTS: Final = {"build_intlist", "build_doublelist", "build_boollist"}
_PICKLE_LIMIT: Final = 1 << 26
_DEEPEST: Final = 60  # modules within modules
_AGAIN: Final = "download or copy it again"


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor in the archive, not read yet."""

    kind: str
    key: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def is_script(path: Path) -> bool:
    """Whether a file is a TorchScript archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False
    return any("/code/" in n or n.endswith("/constants.pkl") for n in names)


class Script:
    """The weights of a TorchScript archive.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    stored : mapping of str to Stored
        By the names that they have in the network: "encoder.0.weight".

    Raises
    ------
    ModelError
        If the archive is damaged, or says more than where its weights are.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._explained(), zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            (pickled,) = (n for n in entries if n.endswith("/data.pkl"))
            self._root = pickled.removesuffix("data.pkl")
            if entries[pickled].file_size > _PICKLE_LIMIT:
                raise ValueError("a list of weights that is larger than any model's")
            machine = _machine(io.BytesIO(archive.read(pickled)))
            self.stored: Mapping[str, Stored] = dict(_flat(machine.load(), "", 0))

    def read(self, names: Mapping[str, str]) -> dict[str, Tensor]:
        """Read some of the weights.

        Parameters
        ----------
        names : mapping of str to str
            What each is called in the archive, by the name that it is to get.
        """
        with self._explained(), zipfile.ZipFile(self._path) as archive:
            return {
                name: self._tensor(archive, self.stored[theirs])
                for name, theirs in names.items()
            }

    def _tensor(self, archive: zipfile.ZipFile, stored: Stored) -> Tensor:
        entry = archive.getinfo(f"{self._root}data/{stored.key}")
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ValueError("weights that are packed, which torch does not do")
        kind = _TYPES[stored.kind]
        count = entry.file_size // kind.itemsize
        steps = zip(stored.shape, stored.strides, strict=True)
        last = stored.offset + sum((n - 1) * step for n, step in steps)
        empty = math.prod(stored.shape) == 0
        if min((stored.offset, *stored.shape, *stored.strides)) < 0 or (
            not empty and last >= count
        ):
            raise ValueError("a tensor that is larger than its file")
        if empty:
            return torch.zeros(stored.shape, dtype=kind)
        values = torch.frombuffer(bytearray(archive.read(entry)), dtype=kind)
        return values.as_strided(
            stored.shape, stored.strides, stored.offset
        ).contiguous()

    def _explained(self) -> _Explained:
        return _Explained(self._path)


class _Explained:
    """Turns whatever a damaged or hostile archive leads to into one clear line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, OSError):
            raise ModelError(
                f"{self._path}: the file cannot be read ({error.strerror}); {_AGAIN}"
            ) from error
        # A pickle of a stranger has no end of ways to be wrong.
        if isinstance(error, Exception):
            what = str(error).partition("\n")[0][:120] or type(error).__name__
            raise ModelError(
                f"{self._path}: the weights in this TorchScript archive cannot be read "
                f"({what}); {_AGAIN}"
            ) from error


def _machine(file: io.BytesIO) -> pickle.Unpickler:
    """Return what follows a pickle of TorchScript; new, so that none changes another's.

    Whatever it can make or call is defined here and does nothing but hold values.
    """

    class Module(_Module):
        pass

    def stored(
        storage: tuple[str, str],
        offset: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        *_: object,
    ) -> Stored:
        return Stored(*storage, int(offset), tuple(shape), tuple(strides))

    def same(value: Any, *_: object) -> Any:
        return value

    known: dict[tuple[str, str], Callable[..., Any]] = {
        ("torch._utils", "_rebuild_tensor_v2"): stored,
        ("collections", "OrderedDict"): dict,
        ("torch.jit._pickle", "restore_type_tag"): same,
        **{("torch.jit._pickle", name): same for name in _LISTS},
        ("torch.jit._pickle", "build_tensorlist"): same,
    }

    class Machine(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if module.startswith("__torch__"):
                return Module
            if module == "torch" and name in _TYPES:
                return name
            if (module, name) not in known:
                raise pickle.UnpicklingError(f"it would use {module}.{name}")
            return known[module, name]

        def persistent_load(self, pid: Any) -> tuple[str, str]:
            _, kind, key, *_ = pid
            return str(kind), str(key)

    return Machine(file)


class _Module:
    """A part of the network: what it is called by, and nothing that can be done."""

    state: Mapping[str, Any] | None = None

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.state = state


def _flat(value: Any, name: str, depth: int) -> Iterator[tuple[str, Stored]]:
    """Yield the tensors within a module, by their full names."""
    if depth > _DEEPEST:
        raise ValueError("modules within modules without an end")
    if isinstance(value, Stored):
        yield name, value
    elif isinstance(value, _Module) and isinstance(value.state, dict):
        for key, part in value.state.items():
            yield from _flat(part, f"{name}.{key}" if name else str(key), depth + 1)
