"""Entries of a log: each is either whole or not there."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from napari_sam.live.disk.kept.errors import JournalError, readable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from napari_sam.live.labels.changes import IntBox
    from napari_sam.live.values import Index

MAGIC: Final = b"NAPARI-SAM JOURNAL 1\n"
# A mark, the lengths of header and body, and the checksum of all that follows it.
_HEAD: Final = struct.Struct("<4sIIQ")
_MARK: Final = b"\x93ENT"
_LENGTHS: Final = struct.Struct("<IQ")
# A patch cannot unpack to more than a plane of this many pixels.
_LARGEST: Final = 2**36


class _Header(BaseModel):
    """What an entry says about itself."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["change", "saved"]
    time: float
    what: str = ""
    next_id: PositiveInt = 1
    after: NonNegativeInt = 0
    records: list[NonNegativeInt] = []
    # Flat: width of a pixel (below 0 where it has a sign), bytes, box, index. There
    # may be thousands, and nobody else can do anything while they are understood.
    patches: list[list[int]] = []


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """The pixels of a rectangle of one plane, compressed.

    Attributes
    ----------
    index : tuple of int
    box : (y0, x0, y1, x1)
    dtype : numpy.dtype
    data : bytes
    at : int
        Where `data` begins in the file that it was read from.
    """

    index: Index
    box: IntBox
    dtype: np.dtype[Any]
    data: bytes = field(repr=False)
    at: int = 0

    @classmethod
    def of(cls, index: Index, box: IntBox, pixels: npt.NDArray[Any]) -> Packed:
        """Compress an array (y1 - y0, x1 - x0)."""
        # The same on every machine: what is written here may be read elsewhere.
        small = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
        return cls(index, box, small.dtype, zlib.compress(small.tobytes(), 1))

    @classmethod
    def of_plane(cls, index: Index, plane: npt.NDArray[Any]) -> Packed | None:
        """Compress what is not 0 of a plane; None where everything is."""
        rows = np.flatnonzero(plane.any(1))
        if rows.size == 0:
            return None
        y0, y1 = int(rows[0]), int(rows[-1]) + 1
        columns = np.flatnonzero(plane[y0:y1].any(0))
        x0, x1 = int(columns[0]), int(columns[-1]) + 1
        return cls.of(index, (y0, x0, y1, x1), plane[y0:y1, x0:x1])

    @property
    def slices(self) -> tuple[slice, slice]:
        """Where the pixels sit in the plane."""
        y0, x0, y1, x1 = self.box
        return slice(y0, y1), slice(x0, x1)

    def header(self) -> list[int]:
        """Return all but the pixels as numbers."""
        width = self.dtype.itemsize * (-1 if self.dtype.kind == "i" else 1)
        # Who draws may count in numpy's numbers, which JSON does not know.
        return [int(n) for n in (width, len(self.data), *self.box, *self.index)]

    def array(self) -> npt.NDArray[Any]:
        """Unpack the pixels; read-only.

        Raises
        ------
        JournalError
            If they are not what they should be.
        """
        y0, x0, y1, x1 = self.box
        wanted = (y1 - y0) * (x1 - x0) * self.dtype.itemsize
        try:
            # The limit: a damaged file must not fill the memory.
            unpacked = zlib.decompressobj().decompress(self.data, wanted + 1)
        except zlib.error as error:
            raise JournalError(f"kept pixels are damaged ({error})") from error
        if len(unpacked) != wanted:
            raise JournalError("kept pixels are damaged (not as many as there were)")
        return np.frombuffer(unpacked, self.dtype).reshape(y1 - y0, x1 - x0)


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One entry of a log.

    Attributes
    ----------
    kind : {"change", "saved"}
        "saved": everything but the last `after` changes also lies elsewhere.
    time : float
        When it happened, in seconds since 1970.
    what : str
        For people; of "saved" the folder.
    next_id : int
        The id that the next new object gets, as far as this entry knows.
    after : int
    records : mapping of int to str or None
        The record of an object as JSON; None where it is there no more.
    patches : tuple of Packed
        In the order in which they are written.
    """

    kind: Literal["change", "saved"]
    time: float
    what: str = ""
    next_id: int = 1
    after: int = 0
    records: Mapping[int, bytes | None] = field(default_factory=dict)
    patches: tuple[Packed, ...] = ()

    def encode(self) -> bytes:
        """Return the bytes of this entry."""
        # Two numbers for each record, not one long text: a reader that only counts
        # need not understand them.
        records: list[int] = []
        for number, text in self.records.items():
            records += (int(number), 0 if text is None else len(text))
        header = {
            "kind": self.kind,
            "time": self.time,
            "what": self.what,
            "next_id": int(self.next_id),
            "after": self.after,
            "records": records,
            "patches": [patch.header() for patch in self.patches],
        }
        start = json.dumps(header, separators=(",", ":")).encode()
        body = b"".join(
            (
                *(text for text in self.records.values() if text is not None),
                *(patch.data for patch in self.patches),
            )
        )
        checksum = _checksum(start, body)
        return _HEAD.pack(_MARK, checksum, len(start), len(body)) + start + body


class Log:
    """A file of entries, read in order; ends where it was torn.

    Attributes
    ----------
    path : Path
    torn : int
        After reading: how many bytes at the end are no whole entry.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn = 0

    def __iter__(self) -> Iterator[Entry]:
        with readable(self.path), self.path.open("rb") as file:
            size = self.path.stat().st_size
            start = file.read(len(MAGIC))
            if start != MAGIC:
                if len(start) == len(MAGIC) and start[:-2] == MAGIC[:-2]:
                    raise JournalError(
                        f"{self.path} was written by another version of this program: "
                        "open it with that one"
                    )
                self.torn = size
                return
            at = file.tell()
            while (entry := _next(file, size)) is not None:
                at = file.tell()
                yield entry
            self.torn = size - at


def _next(file: BinaryIO, size: int) -> Entry | None:
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    mark, checksum, for_header, for_body = _HEAD.unpack(head)
    if mark != _MARK or for_header + for_body > size - file.tell():
        return None
    start = file.read(for_header)
    at = file.tell()
    body = file.read(for_body)
    if len(body) < for_body or _checksum(start, body) != checksum:
        return None
    try:
        return _decode(_Header.model_validate_json(start), body, at)
    except (ValidationError, ValueError, TypeError):
        return None


def _decode(header: _Header, body: bytes, at: int) -> Entry:
    place = 0
    records: dict[int, bytes | None] = {}
    for number, length in zip(header.records[::2], header.records[1::2], strict=True):
        records[number] = body[place : place + length] if length else None
        place += length
    patches = []
    for numbers in header.patches:
        patch, size = _patch(numbers)
        data = body[place : place + size]
        patches.append(replace(patch, data=data, at=at + place))
        place += size
    if place != len(body):
        raise ValueError("more or less than was announced")
    return Entry(
        header.kind,
        header.time,
        header.what,
        header.next_id,
        header.after,
        records,
        tuple(patches),
    )


def _patch(numbers: list[int]) -> tuple[Packed, int]:
    width, size, y0, x0, y1, x1, *index = numbers
    dtype = np.dtype(f"<{'i' if width < 0 else 'u'}{abs(width)}")
    empty = y0 >= y1 or x0 >= x1
    if empty or min(size, y0, x0, *index) < 0 or (y1 - y0) * (x1 - x0) > _LARGEST:
        raise ValueError("not a patch")
    return Packed(tuple(index), (y0, x0, y1, x1), dtype, b""), size


def _checksum(start: bytes, body: bytes) -> int:
    lengths = _LENGTHS.pack(len(start), len(body))
    return zlib.crc32(body, zlib.crc32(start, zlib.crc32(lengths)))
