"""What an edit did to labels and records, kept so that it can be taken back."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt
from numcodecs import Zstd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from napari_sam.live.labels.fresh import Fresh
    from napari_sam.live.values import Index, ObjectRecord, Origin

IntBox: TypeAlias = tuple[int, int, int, int]

# Fast: the thread that draws waits for it. Labels are long runs of one value.
_ZSTD = Zstd(level=1)
# Below this, compressing costs more than it gains.
_SMALL = 4096
# What a record and its place in two dictionaries take, about.
_RECORD_BYTES = 400


@dataclass(frozen=True, slots=True, eq=False)
class _Pixels:
    """An array that never changes, compressed where it is large."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    data: bytes
    packed: bool

    @classmethod
    def of(cls, array: npt.NDArray[Any]) -> _Pixels:
        packed = array.nbytes > _SMALL
        data = _ZSTD.encode(np.ascontiguousarray(array)) if packed else array.tobytes()
        return cls(array.shape, array.dtype, data, packed)

    def array(self) -> npt.NDArray[Any]:
        data = _ZSTD.decode(self.data) if self.packed else self.data
        return np.frombuffer(data, self.dtype).reshape(self.shape)


@dataclass(frozen=True, slots=True, eq=False, init=False)
class Patch:
    """A rectangle of one plane before and after an edit.

    Parameters
    ----------
    index : tuple of int
        The plane.
    box : (y0, x0, y1, x1)
        Half-open.
    before, after : integer array, shape (y1 - y0, x1 - x0)
        Copied, and given back as read-only arrays. They are unpacked at every
        access, so that large ones take little memory in between.
    """

    index: Index
    box: IntBox
    _before: _Pixels = field(repr=False)
    _after: _Pixels = field(repr=False)

    def __init__(
        self,
        index: Index,
        box: IntBox,
        before: npt.NDArray[Any],
        after: npt.NDArray[Any],
    ) -> None:
        size = (box[2] - box[0], box[3] - box[1])
        if before.shape != size or after.shape != size or before.dtype != after.dtype:
            raise ValueError(
                f"the pixels of the patch {box} must be two arrays of one type and "
                f"the shape {size}, not {before.shape} and {after.shape}"
            )
        object.__setattr__(self, "index", index)
        object.__setattr__(self, "box", box)
        object.__setattr__(self, "_before", _Pixels.of(before))
        object.__setattr__(self, "_after", _Pixels.of(after))

    @property
    def before(self) -> npt.NDArray[Any]:
        """The pixels before the edit; read-only."""
        return self._before.array()

    @property
    def after(self) -> npt.NDArray[Any]:
        """The pixels after the edit; read-only."""
        return self._after.array()

    @property
    def slices(self) -> tuple[slice, slice]:
        """Where the pixels sit in the plane."""
        y0, x0, y1, x1 = self.box
        return slice(y0, y1), slice(x0, x1)

    @property
    def nbytes(self) -> int:
        """The memory that both arrays take as they are kept."""
        return len(self._before.data) + len(self._after.data)

    def reverse(self) -> Patch:
        """Return the patch that takes this one back; nothing is copied."""
        patch = object.__new__(Patch)
        object.__setattr__(patch, "index", self.index)
        object.__setattr__(patch, "box", self.box)
        object.__setattr__(patch, "_before", self._after)
        object.__setattr__(patch, "_after", self._before)
        return patch


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Change:
    """One edit of labels and records, both ways.

    Attributes
    ----------
    patches : sequence of Patch
        In the order in which they were written. They may overlap, so they are
        taken back in the opposite order.
    records_before, records_after : mapping of int to ObjectRecord or None
        Both have the ids of all records that the edit touched; None where there
        was none.
    what : str
        For people, for example "Add object 12".
    fresh : Fresh or None
        The same pixels, where it is about new objects on background.
    origin : Origin or None
        Which suggestion it has made an object of, if that is what it did.
    back : Change or None
        The edit that this one takes back.
    """

    patches: Sequence[Patch]
    records_before: Mapping[int, ObjectRecord | None]
    records_after: Mapping[int, ObjectRecord | None]
    what: str
    fresh: Fresh | None = None
    origin: Origin | None = None
    back: Change | None = None

    @property
    def nbytes(self) -> int:
        """About how much memory it takes."""
        records = (*self.records_before.values(), *self.records_after.values())
        drawn = (
            mark.vertices.nbytes
            for record in records
            if record is not None
            for plane in record.prompts
            for mark in plane.marks
        )
        pixels = sum(sys.getsizeof(p) + p.nbytes for p in self.patches)
        more = 0 if self.fresh is None else self.fresh.nbytes
        return pixels + _RECORD_BYTES * len(records) + sum(drawn) + more

    @property
    def indices(self) -> frozenset[Index]:
        """The planes on which pixels changed."""
        return frozenset(self.boxes)

    @property
    def boxes(self) -> dict[Index, list[IntBox]]:
        """Where pixels changed, by plane."""
        found: dict[Index, list[IntBox]] = {}
        for patch in _plain(self.patches):
            found.setdefault(patch.index, []).append(patch.box)
        return found

    def reverse(self) -> Change:
        """Return the change that takes this one back."""
        return Change(
            _Patches((self.patches,), back=True),
            self.records_after,
            self.records_before,
            f"Undo: {self.what}",
            None if self.fresh is None else self.fresh.reverse(),
            back=self,
        )


def joined(changes: Sequence[Change]) -> Change:
    """Return edits that were made one after the other as one."""
    if len(changes) == 1:
        return changes[0]
    before: dict[int, ObjectRecord | None] = {}
    after: dict[int, ObjectRecord | None] = {}
    for change in changes:
        for number, record in change.records_before.items():
            before.setdefault(number, record)
        after.update(change.records_after)
    patches = _Patches([change.patches for change in changes])
    return Change(patches, before, after, changes[-1].what)


class _Patches(Sequence[Patch]):
    """Those of several edits; what is turned round is made when it is looked at.

    There may be many: to make and keep them all would hold up whoever waits.
    """

    def __init__(self, parts: Sequence[Sequence[Patch]], *, back: bool = False) -> None:
        self._parts, self._back = parts, back

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __iter__(self) -> Iterator[Patch]:
        if not self._back:
            return chain.from_iterable(self._parts)
        turned = chain.from_iterable(map(reversed, reversed(self._parts)))
        return (patch.reverse() for patch in turned)

    def __reversed__(self) -> Iterator[Patch]:
        if not self._back:
            return chain.from_iterable(map(reversed, reversed(self._parts)))
        return (patch.reverse() for patch in chain.from_iterable(self._parts))

    @overload
    def __getitem__(self, at: int) -> Patch: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Patch]: ...
    def __getitem__(self, at: int | slice) -> Patch | Sequence[Patch]:
        return tuple(self)[at]

    def plain(self) -> Iterator[Patch]:
        """Return them in any order and direction."""
        return chain.from_iterable(map(_plain, self._parts))


def _plain(patches: Sequence[Patch]) -> Iterable[Patch]:
    return patches.plain() if isinstance(patches, _Patches) else patches


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing was changed, in one line for people."""

    text: str
