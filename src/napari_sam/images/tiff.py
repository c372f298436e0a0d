"""TIFF files, one page at a time."""

from __future__ import annotations

import itertools
import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from napari_sam.images.planes import smaller_by
from napari_sam.images.tiffmeta import channel_names, pixel_size
from napari_sam.types import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from napari_sam.images.reader import Key, Reader

_LOG = logging.getLogger(__name__)
_COLOUR = {tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR}
_KINDS = {"imagej": "from ImageJ", "ome": "from OME"}
_LARGE_PAGE = 2**25  # bytes; parts of larger pages are read without the rest


class TiffReader:
    """The first image of a TIFF file, and its smaller sizes if it is a pyramid.

    A plane costs the memory of the pages it lies on, and nothing of the
    file's size: pages are found through the file's directory, or computed
    where the file keeps all planes in one block (ImageJ beyond 4 GB).

    Parameters
    ----------
    path : Path

    Raises
    ------
    ImageError
        If this is no TIFF, or a part of it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.coarser: tuple[tuple[int, Reader], ...] = ()
        self._last: tuple[int, npt.NDArray[Any]] | None = None
        self._pieces: tuple[int, Any] | None = None
        self._map: npt.NDArray[np.uint8] | None = None
        with _silent():
            try:
                self._tiff = tifffile.TiffFile(path)
            except MemoryError:
                raise
            except Exception as exc:  # damaged headers raise nearly anything
                raise self._damaged(str(exc)) from exc
            try:
                self._join_single_pages()
                self._understand()
            except (MemoryError, ImageError):
                self._tiff.close()
                raise
            except Exception as exc:
                self._tiff.close()
                raise self._damaged(str(exc)) from exc

    def _join_single_pages(self) -> None:
        """Take pages that were written one by one as a stack.

        tifffile's writer describes each as an image of its own; without
        these descriptions equal pages are one series.
        """
        series = self._tiff.series
        if len(series) > 1 and series[0].kind == "shaped" and len(series[0]) == 1:
            self._tiff.close()
            self._tiff = tifffile.TiffFile(self._path, is_shaped=False)

    def _understand(self) -> None:
        if len(self._tiff.pages) == 0 or not self._tiff.series:
            raise self._damaged("it holds no image")
        series = self._series = self._tiff.series[0]
        frame = series.keyframe
        self.shape = tuple(int(n) for n in series.shape)
        self.dtype: np.dtype[Any] = np.dtype(series.dtype)
        self.axes: str | None = _letters(series)
        self.origin = _KINDS.get(series.kind, "from the file")
        self.channel_names = channel_names(self._tiff)
        self.pixel_size = pixel_size(self._tiff)
        self.notes: tuple[str, ...] = ()
        if frame.photometric == tifffile.PHOTOMETRIC.PALETTE:
            self.notes += ("palette numbers are read as grey",)
        others = len(self._tiff.series) - 1
        if others:
            self.notes += (
                f"the first of {others + 1} images in the file, the rest is left out",
            )
        if 0 in self.shape:
            return  # refused with the other empty images
        self._lead = self._leading_axes()
        self._trail = self.shape[self._lead :]
        self._block = series.dataoffset
        self._check_complete()
        self.coarser = tuple(self._levels(series))

    def _levels(self, series: tifffile.TiffPageSeries) -> Iterator[tuple[int, Reader]]:
        """Yield the smaller sizes of a pyramid (SubIFDs, or pages of their own)."""
        axes = str(series.axes)
        if not axes.endswith(("YX", "YXS")):
            return
        planes = len(axes.removesuffix("S"))
        for level in series.levels[1:]:
            factor = smaller_by(self.shape[:planes], level.shape[:planes])
            same = level.dtype == self.dtype and level.shape[planes:] == tuple(
                self.shape[planes:]
            )
            if factor is not None and same and level.axes == axes:
                yield factor, _Level(level, self)

    def _leading_axes(self) -> int:
        """Return how many of the first axes are spread over pages."""
        page = self._series.keyframe
        size = int(np.prod(page.shape, dtype=np.int64))
        for lead in range(len(self.shape) + 1):
            if int(np.prod(self.shape[lead:], dtype=np.int64)) == size:
                return lead
        raise self._damaged(
            f"pages of the shape {page.shape} do not add up to the shape "
            f"{self.shape} that it states"
        )

    def _check_complete(self) -> None:
        """Compare what the file promises with what is there, reading no pixels."""
        size = self._tiff.filehandle.size
        planned = int(np.prod(self.shape[: self._lead], dtype=np.int64))
        if self._block is not None and planned > 1:
            if self._block + self._series.nbytes > size:
                raise self._damaged(
                    f"its {planned} planes need {self._block + self._series.nbytes} "
                    f"bytes, the file has {size}"
                )
            if self._series.kind in ("imagej", "shaped"):
                return  # the shape is stated in the first page, all data is there
        self._check_directory(size)
        pages = [p for p in self._series if p is not None] if planned > 1 else []
        if planned > 1 and len(pages) < planned:
            raise self._damaged(
                f"{planned - len(pages)} of its {planned} planes are missing"
            )
        for number in {0, planned - 1}:
            self._check_page(number)

    def _check_directory(self, size: int) -> None:
        """Refuse a file whose list of pages breaks off."""
        tiff = self._tiff
        meta: dict[str, Any] = tiff.imagej_metadata or {}
        stated = int(meta.get("images", 1))
        if tiff.is_imagej and self._series.kind not in ("imagej", "ome"):
            frame = self._series.keyframe
            if (
                len(tiff.pages) < stated
                and frame.dataoffsets[0] + stated * frame.nbytes > size
            ):
                raise self._damaged(f"not all of its {stated} planes are there")
        if tiff.is_lsm or tiff.is_scanimage or tiff.is_ndpi:
            return  # tifffile computes their pages, the list is not walked
        link = tiff.pages.next_page_offset
        if link is None:
            return
        tiff.filehandle.seek(link)
        width = tiff.tiff.offsetsize
        link_bytes = tiff.filehandle.read(width)
        if len(link_bytes) < width or any(link_bytes):
            raise self._damaged(f"its list of pages breaks off after {len(tiff.pages)}")

    def _check_page(self, number: int) -> None:
        page = self._series[number]
        if page is None:
            raise self._damaged(f"page {number + 1} is missing")
        size = page.parent.filehandle.size
        ends = map(sum, zip(page.dataoffsets, page.databytecounts, strict=False))
        if max(ends, default=0) > size:
            raise self._damaged(
                f"page {number + 1} ends beyond the end of the file ({size} bytes)"
            )

    def read(self, key: Key) -> npt.NDArray[Any]:
        """Read the pages that a part lies on, one after the other."""
        lead, inner = key[: self._lead], key[self._lead :]
        sizes = self.shape[: self._lead]
        runs = [
            range(n)[k] if isinstance(k, slice) else (k,)
            for k, n in zip(lead, sizes, strict=True)
        ]
        whole = [
            len(run) for k, run in zip(lead, runs, strict=True) if isinstance(k, slice)
        ]
        positions = itertools.product(*runs)
        numbers = [int(np.ravel_multi_index(p, sizes)) if p else 0 for p in positions]
        if not whole:
            if any(isinstance(k, slice) and k != slice(None) for k in inner):
                return self._part(numbers[0], inner)
            return self._page(numbers[0])[inner]
        # Y or X runs over pages: every page gives one line.
        lines = [self._page(number)[inner].copy() for number in numbers]
        return np.stack(lines).reshape(*whole, *lines[0].shape)

    def _page(self, number: int) -> npt.NDArray[Any]:
        """Read one page; the last one stays, its channels may be read in turn."""
        if self._last is None or self._last[0] != number:
            self._last = None
            with _silent():
                self._last = number, self._decode(number).reshape(self._trail)
        return self._last[1]

    def _part(self, number: int, inner: Key) -> npt.NDArray[Any]:
        """Read a part of one page; of a large one only what it lies on."""
        count = int(np.prod(self._trail, dtype=np.int64))
        if count * self.dtype.itemsize <= _LARGE_PAGE:
            return self._page(number)[inner].copy()
        if self._block is not None:
            return np.array(self._mapped(self._block, number, count)[inner])
        if self._pieces is None or self._pieces[0] != number:
            self._check_page(number)
            self._pieces = number, _pieces(self._series[number], self._trail)
        pieces = self._pieces[1]
        if pieces is None:  # it can only be decoded as a whole
            return self._page(number)[inner].copy()
        with _silent():
            return np.asarray(pieces[inner])

    def _mapped(self, block: int, number: int, count: int) -> npt.NDArray[Any]:
        """Map a page that lies in the file as it is: it takes no memory of its own."""
        if self._map is None:
            self._map = np.memmap(self._path, np.uint8, "r")
        start = block + number * count * self.dtype.itemsize
        raw = self._map[start : start + count * self.dtype.itemsize]
        kind = np.dtype(self._tiff.byteorder + self.dtype.char)
        return raw.view(kind).reshape(self._trail)

    def _decode(self, number: int) -> npt.NDArray[Any]:
        if self._block is not None:
            count = int(np.prod(self._trail, dtype=np.int64))
            return self._tiff.filehandle.read_array(
                self._tiff.byteorder + self.dtype.char,
                count,
                self._block + number * count * self.dtype.itemsize,
            )
        self._check_page(number)
        page = self._series[number]
        pixels = np.asarray(page.asarray()) if page is not None else np.empty(0)
        return pixels

    def close(self) -> None:
        """Close the file."""
        self._last = self._pieces = self._map = None
        self._tiff.close()

    def _damaged(self, what: str) -> ImageError:
        return ImageError(
            f"{self._path}: the TIFF file is damaged or cut short, {what}: "
            "copy or export it again"
        )


class _Level:
    """One of the smaller sizes, in pieces that are decoded when they are asked for."""

    def __init__(self, series: tifffile.TiffPageSeries, whole: TiffReader) -> None:
        self.shape = tuple(int(n) for n in series.shape)
        self.dtype, self.axes, self.origin = whole.dtype, whole.axes, whole.origin
        self.channel_names, self.pixel_size = whole.channel_names, whole.pixel_size
        self.notes: tuple[str, ...] = ()
        self.coarser: tuple[tuple[int, Reader], ...] = ()
        self._series = series
        self._array: Any = None

    def read(self, key: Key) -> npt.NDArray[Any]:
        import zarr

        with _silent():
            if self._array is None:
                self._array = zarr.open_array(self._series.aszarr(level=0), mode="r")
            return np.asarray(self._array[key])

    def close(self) -> None:
        self._array = None


def _pieces(page: Any, shape: tuple[int, ...]) -> Any:
    """Return a page as an array that decodes its tiles or strips when asked.

    None where one piece is most of the page, or the page has another shape.
    """
    import zarr

    sizes = [int(np.prod(page.chunks, dtype=np.int64)), int(np.prod(shape))]
    if tuple(page.shape) != shape or 2 * sizes[0] > sizes[1]:
        return None
    return zarr.open_array(page.aszarr(), mode="r")


def _letters(series: tifffile.TiffPageSeries) -> str:
    """Return the axes of a series; samples that are no colours are channels."""
    letters = str(series.axes)
    if "S" in letters and series.keyframe.photometric not in _COLOUR:
        letters = letters.replace("S", "?" if "C" in letters else "C")
    return letters


@contextmanager
def _silent() -> Iterator[None]:
    """Keep tifffile's messages out of the terminal; what matters is raised."""
    thread = threading.get_ident()
    log = logging.getLogger("tifffile")

    def forward(record: logging.LogRecord) -> bool:
        if record.thread != thread:
            return True
        _LOG.debug("tifffile: %s", record.getMessage())
        return False

    log.addFilter(forward)
    try:
        yield
    finally:
        log.removeFilter(forward)
