"""One file of the cache: arrays as a Zarr in a ZIP, with their checksum.

It is one file, so that its name comes and goes in one step on every system.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

FORMAT: Final = "napari-sam slice 1"
_KINDS: Final = "biuf"  # nothing that Python would have to build objects from


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """Features as plain arrays.

    Attributes
    ----------
    arrays : mapping of str to array
        Of numbers, in rows (C order).
    facts : mapping of str to plain values
        What else there is to know, as JSON takes it.
    """

    arrays: Mapping[str, npt.NDArray[Any]]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays.values())


class EntryError(Exception):
    """A file is not the entry that it should be."""


def write_entry(path: Path, key: str, packed: Packed) -> None:
    """Write a file.

    The system may keep it in memory for a while: what a power cut leaves of it has
    another checksum, and waiting for the disk would take longer than all the rest.

    Raises
    ------
    OSError
        If the disk does not take it.
    """
    import zarr
    from zarr.storage import ZipStore

    about = {
        "format": FORMAT,
        "key": key,
        "facts": dict(packed.facts),
        "checksum": _checksum(key, packed),
    }
    with ZipStore(path, mode="w") as store:
        group = zarr.create_group(store, attributes=about)
        for name, array in packed.arrays.items():
            # Features are noise to a compressor: a tenth less, at ten times the time.
            group.create_array(
                name,
                data=np.ascontiguousarray(array),
                chunks=tuple(max(1, side) for side in array.shape),
                compressors=None,
                config={"write_empty_chunks": True},  # so the file is never smaller
            )


def read_entry(path: Path, key: str) -> Packed:
    """Read a file, and make sure that it is what was once written under this key.

    Raises
    ------
    FileNotFoundError
        If there is none.
    PermissionError
        If it may not be read.
    EntryError
        If it is damaged, of another version, or something else.
    """
    size = path.stat().st_size  # before zarr is imported: there may be nothing
    import zarr
    from zarr.storage import ZipStore

    try:
        with ZipStore(path, mode="r") as store:
            group = zarr.open_group(store, mode="r")
            about = dict(group.attrs)
            if about.get("format") != FORMAT or about.get("key") != key:
                raise EntryError("of another version, or of something else")
            arrays = dict(group.arrays())
            # What claims to be larger than its file would only fill the memory.
            claimed = sum(array.nbytes for array in arrays.values())
            strange = [a for a in arrays.values() if a.dtype.kind not in _KINDS]
            if strange or claimed > size:
                raise EntryError("with arrays that nobody has written")
            values = {name: np.asarray(array[...]) for name, array in arrays.items()}
    except (PermissionError, EntryError):
        raise
    except Exception as error:  # whatever zip, zarr or JSON make of a damaged file
        raise EntryError(f"damaged ({error})") from error
    facts = about.get("facts")
    packed = Packed(values, facts if isinstance(facts, dict) else {})
    if about.get("checksum") != _checksum(key, packed):
        raise EntryError("damaged")
    return packed


def _checksum(key: str, packed: Packed) -> str:
    said = {name: [str(a.dtype), a.shape] for name, a in sorted(packed.arrays.items())}
    found = hashlib.blake2b(
        json.dumps([key, said, dict(packed.facts)], sort_keys=True).encode(),
        digest_size=20,
    )
    for _, array in sorted(packed.arrays.items()):
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()
