"""What was found on many slices, small in memory."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.live.proposals.found import Tally
from napari_sam.types import Mask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam.live.labels.changes import IntBox
    from napari_sam.live.proposals.found import Filters
    from napari_sam.live.values import Index
    from napari_sam.models.protocol import ModelInfo
    from napari_sam.segment.proposals import Proposals


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """The proposals of one slice, a bit for every pixel of their boxes at most."""

    _bare: Proposals  # without masks
    _masks: tuple[tuple[IntBox, float, float], ...]
    _bits: bytes

    @classmethod
    def of(cls, proposals: Proposals) -> Packed:
        """Pack them."""
        bits = b"".join(np.packbits(mask.data).tobytes() for mask in proposals.masks)
        about = tuple((m.box, m.score, m.stability) for m in proposals.masks)
        bare = replace(proposals, masks=())
        return cls(bare, about, zlib.compress(bits, 1))

    def __len__(self) -> int:
        return len(self._masks)

    @property
    def nbytes(self) -> int:
        """About what it takes."""
        return len(self._bits) + 200 * len(self._masks)

    def proposals(self) -> Proposals:
        """Unpack them."""
        return replace(self._bare, masks=tuple(self._unpacked()))

    def _unpacked(self) -> Iterator[Mask]:
        bits = np.frombuffer(zlib.decompress(self._bits), np.uint8)
        at = 0
        for box, score, stability in self._masks:
            height, width = box[2] - box[0], box[3] - box[1]
            end = at + (height * width + 7) // 8
            flat = np.unpackbits(bits[at:end], count=height * width).view(np.bool_)
            yield Mask(box, flat.reshape(height, width), score, stability)
            at = end


class Pile:
    """What one model has found, slice by slice, and how much of it counts.

    Parameters
    ----------
    model : ModelInfo

    Attributes
    ----------
    total : Tally
        Over all slices.
    nbytes : int
        About what it takes.
    """

    def __init__(self, model: ModelInfo) -> None:
        self.model = model
        self.total = Tally()
        self.nbytes = 0
        self._slices: dict[Index, Packed] = {}
        self._tallies: dict[Index, tuple[Filters, Tally]] = {}

    def __len__(self) -> int:
        return len(self._slices)

    def __contains__(self, index: object) -> bool:
        return index in self._slices

    def __getitem__(self, index: Index) -> Packed:
        return self._slices[index]

    def __iter__(self) -> Iterator[Index]:
        return iter(self._slices)

    def put(self, index: Index, packed: Packed) -> None:
        """Keep what was found on a slice."""
        self.nbytes += packed.nbytes
        self._slices[index] = packed

    def count(self, index: Index, filters: Filters, tally: Tally) -> None:
        """Keep how much of it counts."""
        _, before = self._tallies.get(index, (None, Tally()))
        self._tallies[index] = filters, tally
        self.total = self.total.less(before).and_(tally)

    def to_count(self, filters: Filters) -> list[Index]:
        """Return the slices of which it is not known what counts by these."""
        return [
            index
            for index in self._slices
            if index not in self._tallies or self._tallies[index][0] != filters
        ]

    def wanted(self, filters: Filters) -> list[Index]:
        """Return the slices on which something may count, in the stack's order."""
        some = {at for at, (_, tally) in self._tallies.items() if tally.objects}
        return sorted(some.union(self.to_count(filters)))
