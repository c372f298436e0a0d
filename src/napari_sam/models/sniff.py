"""What a file of weights is, found out before anything loads it. No torch here.

The file's own bytes decide, never its name. Whatever is no checkpoint is refused
with words that say what it is instead.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import zipfile
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from napari_sam.models.pickles import PickleError, Program, read_program
from napari_sam.types import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import IO

_HEAD: Final = 512
_PIECE: Final = 1 << 20  # bytes that are hashed at once
_PICKLE_LIMIT: Final = 1 << 26  # a checkpoint's pickle holds names, not weights
_UNPACKED_LIMIT: Final = 4  # torch stores weights as they are; random ones do not pack
_LEGACY_MAGIC: Final = 0x1950A86A20F9469CFC6C.to_bytes(10, "little")
_LEGACY_PICKLES: Final = 5  # magic number, version, system, the object, storage keys
_AGAIN: Final = "download or copy it again"

_KNOWN_HEADS: Final = (
    (b"version https://git-lfs", f"a git-lfs pointer, not the file; {_AGAIN} with lfs"),
    (b"\x89HDF", "an HDF5 file (Keras?); SAM's weights come as .pth or .safetensors"),
    (b"\x1f\x8b", "packed with gzip; unpack it first"),
    (b"BZh", "packed with bzip2; unpack it first"),
    (b"\xfd7zXZ", "packed with xz; unpack it first"),
    (b"7z\xbc\xaf", "packed with 7-zip; unpack it first"),
    (b"%PDF", f"a PDF document; {_AGAIN}"),
    (b"\x89PNG", "an image; give it as input, not as a model"),
    (b"\xff\xd8\xff", "an image; give it as input, not as a model"),
    (b"II*\0", "an image; give it as input, not as a model"),
    (b"MM\0*", "an image; give it as input, not as a model"),
    (b"\x93NUMPY", "a NumPy array; SAM's weights come as .pth or .safetensors"),
    (b"GGUF", "a GGUF file, which holds language models"),
)


class Kind(Enum):
    """What a file of weights holds."""

    SAFETENSORS = "tensors in safetensors"
    TENSORS = "tensors saved by torch"
    DETECTOR = "an ultralytics detector"
    ONNX = "an ONNX model"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file of weights is.

    Attributes
    ----------
    kind : Kind
    program : Program
        What its pickles would use; empty where there are none.
    """

    kind: Kind
    program: Program = field(default_factory=Program)


def inspect_file(path: Path) -> Contents:
    """Find out what a file of weights holds, without loading it.

    Raises
    ------
    ModelError
        If it is missing, cannot be read, or is no checkpoint; the message says
        what it is instead and what to do.
    """
    size = _regular_size(path)
    if size == 0:
        raise ModelError(f"{path}: the file is empty; {_AGAIN}")
    try:
        with path.open("rb") as file:
            return _inspect(path, file, size)
    except OSError as error:
        raise ModelError(
            f"{path}: the file cannot be read ({error.strerror}); check its permissions"
        ) from error


def file_sha256(path: Path, tick: Callable[[], None] = lambda: None) -> str:
    """Return the hash of a file as hexadecimal text; what `tick` raises ends it."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            tick()
    return digest.hexdigest()


def _regular_size(path: Path) -> int:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise ModelError(
            f"{path}: there is no such file, and nothing is downloaded unasked; "
            "check the path"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        loop = getattr(error, "errno", None) == errno.ELOOP
        reason = "a link that leads to itself" if loop else os.strerror(_number(error))
        raise ModelError(
            f"{path}: the file cannot be read ({reason}); check the path"
        ) from error
    if stat.S_ISDIR(status.st_mode):
        raise ModelError(f"{path}: this is a folder; give the file of weights in it")
    if not stat.S_ISREG(status.st_mode):
        raise ModelError(f"{path}: this is no ordinary file; give a file of weights")
    return status.st_size


def _number(error: Exception) -> int:
    return getattr(error, "errno", None) or errno.EINVAL


def _inspect(path: Path, file: IO[bytes], size: int) -> Contents:
    head = file.read(_HEAD)
    file.seek(0)
    if head.startswith(b"PK\x03\x04"):
        return _inspect_zip(path, file, size)
    if _is_safetensors(head, size):
        return Contents(Kind.SAFETENSORS)
    if head[:1] == b"\x80" and _LEGACY_MAGIC in head[:32]:
        return _classified(path, _legacy_program(path, file))
    _refuse_known(path, head)
    if _is_onnx(head):
        return Contents(Kind.ONNX)
    if (program := _plain_pickle(file)) is not None:
        _refuse_pickle(path, program)
    raise ModelError(
        f"{path}: this is no checkpoint; give weights as .safetensors, .pth or .pt"
    )


def _refuse_known(path: Path, head: bytes) -> None:
    for start, what in _KNOWN_HEADS:
        if head.startswith(start):
            raise ModelError(f"{path}: this is {what}")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")):
        raise ModelError(
            f"{path}: this is a web page, not a checkpoint; the download went wrong, "
            "open its address in a browser and save the file itself"
        )
    if head[257:262] == b"ustar":
        raise ModelError(f"{path}: this is a tar archive; unpack it first")


def _is_safetensors(head: bytes, size: int) -> bool:
    length = int.from_bytes(head[:8], "little")
    return len(head) > 8 and head[8:9] == b"{" and length + 8 <= size


def _is_onnx(head: bytes) -> bool:
    # A protobuf message that begins with field 1 (IR version) as a small number,
    # followed by the producer's name, the domain or the graph.
    return (
        len(head) > 8
        and head[0] == 0x08
        and 0 < head[1] < 64
        and head[2]
        in (
            0x12,
            0x1A,
            0x22,
            0x3A,
            0x42,
        )
    )


def _inspect_zip(path: Path, file: IO[bytes], size: int) -> Contents:
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            unpacked = sum(entry.file_size for entry in entries)
            if unpacked > _UNPACKED_LIMIT * size:
                raise ModelError(
                    f"{path}: this file claims to unpack to {unpacked / 1e9:.1f} GB, "
                    f"{unpacked / size:.0f} times its size; weights do not do that, "
                    "get it from a source that you trust"
                )
            if any("/code/" in n or n.endswith("constants.pkl") for n in names):
                raise ModelError(
                    f"{path}: this is a TorchScript archive, which holds code; use "
                    "the weights (.pt, .pth or .safetensors) that it was made from"
                )
            pickles = [e for e in entries if e.filename.endswith("/data.pkl")]
            if len(pickles) != 1 or len(set(names)) != len(names):
                raise ModelError(
                    f"{path}: this is a zip archive, but no checkpoint of torch; "
                    "if there is a checkpoint in it, unpack it first"
                )
            if pickles[0].file_size > _PICKLE_LIMIT:
                raise ModelError(
                    f"{path}: its list of weights is larger than any model's; get it "
                    "from a source that you trust"
                )
            program = read_program(archive.read(pickles[0]))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise ModelError(
            f"{path}: the file is cut off or damaged (a zip archive of torch that "
            f"cannot be read); {_AGAIN}"
        ) from error
    except PickleError as error:
        raise ModelError(f"{path}: its list of weights is damaged; {_AGAIN}") from error
    return _classified(path, program)


def _legacy_program(path: Path, file: IO[bytes]) -> Program:
    program = Program()
    try:
        for _ in range(_LEGACY_PICKLES):
            program |= read_program(file)
    except PickleError as error:
        raise ModelError(f"{path}: the file is cut off or damaged; {_AGAIN}") from error
    return program


def _plain_pickle(file: IO[bytes]) -> Program | None:
    file.seek(0)
    try:
        return read_program(file.read(_PICKLE_LIMIT))
    except PickleError:
        return None


def _refuse_pickle(path: Path, program: Program) -> None:
    uses = f" (it uses {shown(program.names)})" if program.names else ""
    raise ModelError(
        f"{path}: this is a Python pickle{uses}, which can run code when it is "
        "loaded; only weights saved by torch or as .safetensors are read"
    )


def _classified(path: Path, program: Program) -> Contents:
    if any(name.startswith("models.") for name in program.names):
        raise ModelError(
            f"{path}: this is a detector of the old YOLOv5 repository, whose file "
            "needs that repository's code; export it to ONNX there and give the .onnx"
        )
    detector = any(name.startswith("ultralytics.nn.") for name in program.makes)
    return Contents(Kind.DETECTOR if detector else Kind.TENSORS, program)


def shown(names: set[str], most: int = 3) -> str:
    """Name a few of many, for people."""
    first = ", ".join(sorted(names)[:most])
    return f"{first} and {len(names) - most} more" if len(names) > most else first
