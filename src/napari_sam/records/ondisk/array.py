"""A label array on the disk that napari shows, paints into, and takes back in."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from napari_sam.records.ondisk.behind import Behind
from napari_sam.records.ondisk.chunks import META, ChunkFiles, chunk_for
from napari_sam.records.ondisk.indexing import Box, boxed, listed
from napari_sam.records.ondisk.memory import available
from napari_sam.types import NapariSamError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_sam.records.ondisk.chunks import Key

SIDE: Final = 512
"""Chunks are one plane deep, and so many pixels wide and high at most."""
BUDGET: Final = 256 * 2**20
# Of the memory that is free, so much may be asked for at once.
_SHARE: Final = 0.5


class TooLargeError(NapariSamError, MemoryError):
    """What was asked for does not fit into the memory."""


class DiskLabels:
    """Whole numbers in a Zarr 3 array on the disk, indexed as a numpy array is.

    What is read comes from chunks in memory, or from their files. What is written is
    in memory at once, and on the disk a little later: nobody waits for the disk, and
    nothing is lost where it is full, see `failed`. What is read is always a copy. All
    of it may be used from any thread.

    A new one touches the disk when the first pixel is not 0 any more.

    Parameters
    ----------
    path : Path
        A folder that is not there yet.
    shape : sequence of int
        Two axes or more, the last two of which are a plane's.
    dtype : numpy dtype
        Of whole numbers.
    budget : int
        So many bytes of chunks stay in memory.

    Raises
    ------
    OutputError
        If there is an array already: see `open`.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> labels = DiskLabels(folder / "labels.zarr", (500, 2048, 2048))
    >>> labels[3, 10:20, 10:20] = 7
    >>> int(labels[3, 12, 12]), labels.close()
    (7, True)
    >>> int(DiskLabels.open(folder / "labels.zarr")[3].max())
    7
    """

    def __init__(
        self,
        path: Path | str,
        shape: Sequence[int],
        dtype: npt.DTypeLike = np.uint32,
        *,
        budget: int = BUDGET,
    ) -> None:
        path = Path(path)
        if (path / META).exists():
            raise OutputError(f"{path} is there already: choose another name")
        whole = tuple(int(n) for n in shape)
        kind = np.dtype(dtype)
        if len(whole) < 2 or min(whole) < 1 or kind.kind not in "iu":
            raise NapariSamError(
                "labels on the disk are whole numbers with two axes or more, not "
                f"{kind} of the shape {whole}"
            )
        self._use(ChunkFiles(path, whole, chunk_for(whole, SIDE), kind), budget)

    @classmethod
    def open(cls, path: Path | str, *, budget: int = BUDGET) -> DiskLabels:
        """Go on with an array that was written before; its pixels are read lazily.

        Raises
        ------
        ImageError
            If there is none, or another program wrote it.
        OutputError
            If it is open elsewhere, or cannot be written.
        """
        labels = cls.__new__(cls)
        labels._use(ChunkFiles.open(Path(path)), budget)
        return labels

    def _use(self, files: ChunkFiles, budget: int) -> None:
        self._files, self._behind = files, Behind(files, budget)
        self.path = files.path
        self.shape: tuple[int, ...] = files.shape
        self.dtype: np.dtype[Any] = files.dtype

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many pixels there are."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The memory that all of it would take."""
        return self.size * self.dtype.itemsize

    @property
    def chunks(self) -> tuple[int, ...]:
        """The shape of a chunk."""
        return self._files.chunk

    @property
    def failed(self) -> Callable[[str], None]:
        """What is called with one line when something cannot be read or written.

        On any thread, once until it works again. By default the line is logged. Who
        sets it hears at once what could not be read so far.
        """
        return self._behind.failed

    @failed.setter
    def failed(self, told: Callable[[str], None]) -> None:
        self._behind.failed = told
        for text in tuple(self._behind.unreadable.values()):
            told(text)

    @property
    def waiting(self) -> int:
        """How many changed chunks are not on the disk yet."""
        return self._behind.waiting

    def _fits(self, shape: Sequence[int]) -> bool:
        """Whether a part of this shape fits into the memory that is free now."""
        wanted = math.prod(shape) * self.dtype.itemsize
        if wanted <= BUDGET:
            return True
        free = available()
        return free is None or wanted <= _SHARE * free

    def flush(self, timeout: float = 60.0) -> bool:
        """Wait until everything is on the disk; False where it is not."""
        return self._behind.flush(timeout)

    def close(self, timeout: float = 60.0) -> bool:
        """Write what is left, and let others have the files; False where it cannot.

        Who writes afterwards takes the files again.
        """
        return self._behind.close(timeout)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<DiskLabels {self.path} {self.dtype} {self.shape}>"

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        whole: npt.NDArray[Any] = self[...]
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> npt.NDArray[Any]:
        """Return a copy in memory: a second one would want the same files."""
        return np.asarray(self)

    def __getitem__(self, key: Any) -> Any:
        box, inner = boxed(key, self.shape)
        if inner is None:
            return self._read(box)
        points = listed(inner, box)
        if points is None:
            return self._read(box)[inner]
        found = np.zeros(points[0].shape, self.dtype)
        for chunk, where, at in self._by_chunk(points):
            pixels = self._behind.get(chunk)
            if pixels is not None:
                found[where] = pixels[at]
        return found

    def __setitem__(self, key: Any, value: Any) -> None:
        box, inner = boxed(key, self.shape)
        if inner is None:
            self._write(box, np.asarray(value))
            return
        points = listed(inner, box)
        if points is None:
            region = self._read(box)
            region[inner] = value
            self._write(box, region)
            return
        values = np.broadcast_to(np.asarray(value), points[0].shape)
        for chunk, where, at in self._by_chunk(points):
            low = [int(axis.min()) for axis in at]
            part = tuple(
                slice(a, int(axis.max()) + 1) for a, axis in zip(low, at, strict=True)
            )
            pixels = self._behind.get(chunk)
            shape = tuple(one.stop - one.start for one in part)
            region = (
                np.zeros(shape, self.dtype) if pixels is None else pixels[part].copy()
            )
            region[tuple(axis - a for a, axis in zip(low, at, strict=True))] = values[
                where
            ]
            self._behind.put(chunk, part, region)

    def _read(self, box: Box) -> npt.NDArray[Any]:
        shape = tuple(stop - start for start, stop in box)
        if not self._fits(shape):
            raise TooLargeError(
                "these labels are on the disk, and "
                f"{math.prod(shape) * self.dtype.itemsize / 1e9:.1f} GB of them do not "
                "fit into the memory: look at them slice by slice, or hide the layer"
            )
        found: npt.NDArray[Any] = np.empty(shape, self.dtype)
        for chunk, inside, there in self._parts(box):
            pixels = self._behind.get(chunk)
            found[there] = 0 if pixels is None else pixels[inside]
        return found

    def _write(self, box: Box, values: npt.NDArray[Any]) -> None:
        shape = tuple(stop - start for start, stop in box)
        values = np.broadcast_to(values, shape)
        for chunk, inside, there in self._parts(box):
            part = values[there]
            self._behind.put(chunk, inside, part.astype(self.dtype, copy=False))

    def _parts(
        self, box: Box
    ) -> Iterator[tuple[Key, tuple[slice, ...], tuple[slice, ...]]]:
        """Yield the chunks of a box, which part of each it is, and of the box."""
        sides = self.chunks
        if any(start >= stop for start, stop in box):
            return
        ranges = [
            range(start // side, (stop - 1) // side + 1)
            for (start, stop), side in zip(box, sides, strict=True)
        ]
        for chunk in itertools.product(*ranges):
            inside, there = [], []
            for at, (start, stop), side in zip(chunk, box, sides, strict=True):
                low, high = max(start, at * side), min(stop, (at + 1) * side)
                inside.append(slice(low - at * side, high - at * side))
                there.append(slice(low - start, high - start))
            yield chunk, tuple(inside), tuple(there)

    def _by_chunk(
        self, points: tuple[npt.NDArray[np.intp], ...]
    ) -> Iterator[tuple[Key, npt.NDArray[np.bool_], tuple[npt.NDArray[np.intp], ...]]]:
        """Yield the chunks of single pixels, which they are, and where in it."""
        at = np.stack(points)
        sides = np.array(self.chunks).reshape(-1, *(1,) * (at.ndim - 1))
        chunks, inside = np.divmod(at, sides)
        for chunk in np.unique(chunks.reshape(self.ndim, -1), axis=1).T:
            here = (chunks == chunk.reshape(sides.shape)).all(0)
            yield tuple(int(i) for i in chunk), here, tuple(inside[:, here])
