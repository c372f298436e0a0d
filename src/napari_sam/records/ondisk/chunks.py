"""The files of a label array on the disk: Zarr 3, one file for each chunk.

Zarr's own reader takes a millisecond for a chunk, most of it to hand the work to
another thread, and an object may lie in thousands of them. So the chunks, each of which
is one zstd frame, are read and written here.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout
from numcodecs import Zstd

from napari_sam.records.files import write_text
from napari_sam.types import ImageError, OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Key: TypeAlias = tuple[int, ...]
Pixels: TypeAlias = npt.NDArray[Any]

META: Final = "zarr.json"
_LOCK: Final = "lock"
_PART: Final = ".part"
_DAMAGED: Final = ".damaged"
# With a checksum: what was damaged is told instead of shown.
_ZSTD: Final = Zstd(level=1, checksum=True)


class ChunkFiles:
    """Where the chunks of one array lie.

    Parameters
    ----------
    path : Path
        A folder, which `create` makes.
    shape, chunk : tuple of int
        Of the array and of each chunk, also of those at its end.
    dtype : numpy.dtype
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, ...],
        chunk: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> None:
        self.path = path
        self.shape, self.chunk = shape, chunk
        self.dtype = dtype.newbyteorder("<")
        self._guard: FileLock | None = None

    @classmethod
    def open(cls, path: Path) -> ChunkFiles:
        """Take files that are there.

        Raises
        ------
        ImageError
            If they are no such array.
        OutputError
            If another program has them, or they cannot be written.
        """
        import zarr

        if not (path / META).is_file():
            raise ImageError(f"{path} is no Zarr array: choose another folder")
        try:
            array = zarr.open_array(path, mode="r")
            meta = array.metadata.to_dict()
        except Exception as error:  # damaged metadata raise nearly anything
            raise ImageError(
                f"{path}: the Zarr metadata is damaged ({type(error).__name__}): take "
                "it from a copy"
            ) from error
        if not _is_plain(meta):
            raise ImageError(
                f"{path} is a Zarr array of a kind that is not edited in place: open "
                "it in napari, and choose its layer to copy it"
            )
        files = cls(path, array.shape, array.chunks, np.dtype(array.dtype))
        files._take()
        return files

    @property
    def nbytes(self) -> int:
        """The memory that one chunk takes."""
        return int(np.prod(self.chunk, dtype=np.int64)) * self.dtype.itemsize

    def create(self) -> None:
        """Make the array on the disk, if it was not done yet.

        Raises
        ------
        OSError, OutputError
            If the folder cannot be written, or another program has it.
        """
        there = (self.path / META).exists()
        if self._guard is not None and there:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        self._take()
        if there:
            return
        # zarr would want threads of its own, which Python has no more when it ends.
        text = json.dumps(_meta(self.shape, self.chunk, self.dtype), indent=1)
        write_text(self.path / META, text)

    def read(self, key: Key) -> Pixels | None:
        """Return a chunk; None where all of it is 0.

        Raises
        ------
        OSError, ValueError
            If it cannot be read, or is damaged.
        """
        try:
            data = self._place(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return self.decode(data)

    def write(self, key: Key, data: bytes | None) -> None:
        """Write what `encode` gave: the file is there as a whole or as it was.

        Nothing waits until it is on the platters: what must survive a power cut is in
        the journal, and the checksum tells of what was cut.
        """
        place = self._place(key)
        if data is None:
            with contextlib.suppress(FileNotFoundError):
                place.unlink()
            return
        part = place.with_name(f".{place.name}{_PART}")
        try:
            try:
                part.write_bytes(data)
            except FileNotFoundError:
                place.parent.mkdir(parents=True, exist_ok=True)
                part.write_bytes(data)
            part.replace(place)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise

    def set_aside(self, key: Key) -> None:
        """Keep a file that cannot be read, beside its place."""
        place = self._place(key)
        if place.exists():
            place.replace(place.with_name(place.name + _DAMAGED))

    def encode(self, chunk: Pixels) -> bytes | None:
        """Return the bytes of a chunk; None where all of it is 0."""
        return bytes(_ZSTD.encode(chunk)) if chunk.any() else None

    def decode(self, data: bytes) -> Pixels:
        """Return the pixels of a chunk.

        Raises
        ------
        ValueError
            If they are damaged.
        """
        chunk: Pixels = np.empty(self.chunk, self.dtype)
        try:
            # Into memory of the right size: a damaged length fills no more.
            _ZSTD.decode(data, out=chunk)
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"it is damaged: {error}") from error
        return chunk

    def release(self) -> None:
        """Let other programs have the files."""
        if self._guard is not None:
            self._guard.release()
            self._guard = None

    def _take(self) -> None:
        if self._guard is not None:
            return
        guard = FileLock(self.path / _LOCK)
        try:
            guard.acquire(timeout=0)
        except Timeout:
            raise OutputError(
                f"{self.path} is being edited in another window: close it there first"
            ) from None
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be written ({error.strerror or error}): check its "
                "permissions, or work on a copy"
            ) from error
        self._guard = guard

    def _place(self, key: Key) -> Path:
        return self.path.joinpath("c", *map(str, key))


def discard_unused(folder: Path, suffix: str, older_than: float = 60.0) -> None:
    """Remove the arrays in a folder that no program has open.

    Parameters
    ----------
    folder : Path
        It need not be there.
    suffix : str
        What their names end with.
    older_than : float
        In seconds; younger ones may be about to begin.
    """
    for path in folder.glob(f"*{suffix}"):
        with contextlib.suppress(OSError):  # Timeout is one: somebody has it
            if time.time() - path.stat().st_mtime < older_than:
                continue
            with FileLock(path / _LOCK, timeout=0):
                (path / META).unlink(missing_ok=True)
            shutil.rmtree(path)


def chunk_for(shape: Sequence[int], side: int) -> tuple[int, ...]:
    """Return the shape of chunks: one plane deep, and so wide at most."""
    return (*(1 for _ in shape[:-2]), *(min(side, n) for n in shape[-2:]))


def _meta(
    shape: tuple[int, ...], chunk: tuple[int, ...], dtype: np.dtype[Any]
) -> dict[str, Any]:
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "zstd", "configuration": {"level": 1, "checksum": True}},
        ],
        "attributes": {},
    }


def _is_plain(meta: dict[str, Any]) -> bool:
    """Whether each chunk is a file of its own with one zstd frame."""
    codecs = [codec["name"] for codec in meta.get("codecs", ())]
    kind = np.dtype(str(meta.get("data_type", "f4")))
    endian = (meta.get("codecs") or [{}])[0].get("configuration", {}).get("endian")
    return (
        meta.get("zarr_format") == 3
        and codecs == ["bytes", "zstd"]
        and kind.kind in "iu"
        and (endian == "little" or kind.itemsize == 1)
        and meta.get("chunk_key_encoding", {}).get("name") == "default"
        and meta["chunk_key_encoding"]["configuration"]["separator"] == "/"
        and not meta.get("fill_value")
    )
