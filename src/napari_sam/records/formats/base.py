"""What every format has in common: where it writes, and what it is given.

A format is one class in one file of this folder. It is given the planes of an input one
by one, in the stack's order, and may keep no more than one of them. What it writes
appears when it is complete (`atomic_file`). What covers all inputs is put together at
the end from fragments, one for each input, which lie in `.work`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from napari_sam.records.files import explained
from napari_sam.segment.table import with_links
from napari_sam.types import Mask

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path, PurePosixPath

    import numpy.typing as npt

    from napari_sam.images import ImageStack, Normalization
    from napari_sam.segment.link import Linked
    from napari_sam.segment.number import Numbers
    from napari_sam.segment.proposals import Clicks
    from napari_sam.segment.result import PlaneResult
    from napari_sam.types import BoolArray, IntBox, LabelArray, ObjectTable

Index = tuple[int, ...]
Load = Callable[[Index], "LabelArray"]
PLANE_NAME: Final = re.compile(r"[tz]\d{4,}(_[tz]\d{4,})?", re.IGNORECASE)
# What comes behind the name of an input: `_t0002_z0010`, and `_part1` where only parts
# of the plane are complete.
OF_PLANE: Final = re.compile(rf"(_{PLANE_NAME.pattern})?(_part\d+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """One finished plane, as it is written.

    Attributes
    ----------
    index : tuple of int
        Position along the stack axes.
    labels : uint32 array, shape (H, W)
        0 is background. The values are of this plane alone.
    objects : ObjectTable
        One row per object, `id` is the id in the stack.
    values : integer array, shape (n,)
        Which value in `labels` each row has.
    truncated : bool
    clicks : Clicks, optional
    known : bool array, shape (H, W), optional
        Where `labels` is the truth; without it everywhere. Elsewhere 0 is not
        background, and nobody must learn so from it.
    """

    index: Index
    labels: LabelArray
    objects: ObjectTable
    values: npt.NDArray[Any]
    truncated: bool = False
    clicks: Clicks | None = None
    known: BoolArray | None = None

    @classmethod
    def of(
        cls, result: PlaneResult, linked: Linked, known: BoolArray | None = None
    ) -> Page:
        """Return a plane with what its ids are in the stack."""
        kept = result.kept(linked)
        return cls(
            kept.index,
            kept.labels,
            with_links(kept.objects, linked),
            kept.objects["id"],
            kept.truncated,
            kept.clicks,
            None if known is None or known.all() else known,
        )

    def __len__(self) -> int:
        return len(self.values)

    @property
    def numbered(self) -> LabelArray:
        """The labels with the ids of the stack, shape (H, W)."""
        ids = np.zeros(int(self.values.max(initial=0)) + 1, np.uint32)
        ids[self.values] = self.objects["id"]
        if np.array_equal(ids[self.values], self.values):
            return self.labels  # a plane that is alone may be too large to copy
        return ids[self.labels]

    def box(self, row: int) -> IntBox:
        """Return the box of an object, (y0, x0, y1, x1)."""
        y0, x0, y1, x1 = (
            int(self.objects[f"box_{side}"][row]) for side in ("y0", "x0", "y1", "x1")
        )
        return y0, x0, y1, x1

    def mask(self, row: int) -> Mask:
        """Return the pixels of an object."""
        y0, x0, y1, x1 = box = self.box(row)
        return Mask(
            box,
            self.labels[y0:y1, x0:x1] == self.values[row],
            float(self.objects["score"][row]),
            float(self.objects["stability"][row]),
        )

    def masks(self) -> Iterator[Mask]:
        """Yield the objects in the order of the table."""
        return (self.mask(row) for row in range(len(self)))

    def only_known(self) -> Page | None:
        """Return the objects that are the truth; None where nothing is known.

        An object is known as a whole or not at all.
        """
        if self.known is None:
            return self
        if not self.known.any():
            return None
        rows = [
            row
            for row, mask in enumerate(self.masks())
            if self.known[mask.slices][mask.data].any()
        ]
        return replace(
            self,
            objects={name: values[rows] for name, values in self.objects.items()},
            values=self.values[rows],
            clicks=self.clicks and self.clicks.take(np.array(rows, np.int64)),
        )

    def cropped(self, box: IntBox) -> Page:
        """Return a part of the plane; objects that its edges cut are cut."""
        y0, x0, y1, x1 = box
        labels = self.labels[y0:y1, x0:x1]
        rows, boxes, areas = [], [], []
        for row, whole in enumerate(self.masks()):
            seen = Mask.from_array(_inside(whole, box))
            if seen.area:
                rows.append(row)
                boxes.append(seen.box)
                areas.append(seen.area)
        table = {name: values[rows] for name, values in self.objects.items()}
        table["area"] = np.array(areas, np.int64)
        places = np.array(boxes, np.int64).reshape(-1, 4)
        for number, side in enumerate(("y0", "x0", "y1", "x1")):
            table[f"box_{side}"] = places[:, number]
        return Page(self.index, labels, table, self.values[rows], self.truncated)


def _inside(mask: Mask, box: IntBox) -> BoolArray:
    """Return the part of a mask that lies in a box, in the box's own coordinates."""
    y0, x0, y1, x1 = box
    window = Mask(box, np.zeros((y1 - y0, x1 - x0), np.bool_), 0.0)
    return mask.seen_in(window)


@dataclass(frozen=True)
class Target:
    """One input, and what has to be known about it to write it.

    Attributes
    ----------
    folder : Path
        Of the format.
    relative : PurePosixPath
        Name of the input below the folder, without suffix.
    image : str
        Its name in tables.
    stack : ImageStack
        Says what the axes are, how long they are, how large a pixel is.
    pixels : ImageStack or None
        The image; None where there are only labels.
    numbers : Numbers
        Of all planes.
    class_names : sequence of str
    fragment : Path
        For what is put together at the end.
    contrast : Normalization, optional
        How pixels become eight bits.
    """

    folder: Path
    relative: PurePosixPath
    image: str
    stack: ImageStack
    pixels: ImageStack | None
    numbers: Numbers
    class_names: Sequence[str]
    fragment: Path
    contrast: Normalization | None = None

    def places(self, index: Index) -> dict[str, int]:
        """Return where a plane lies, for example {"t": 0, "z": 3}."""
        axes = self.stack.stack_axes.lower()
        return dict(zip(axes, (int(i) for i in index), strict=True))

    def file(self, ending: str) -> Path:
        """Return the one file of this input."""
        return self.folder / with_ending(self.relative, ending)

    def plane_file(self, index: Index, ending: str) -> Path:
        """Return the file of a plane."""
        return plane_file(self.folder, self.relative, self.places(index), ending)

    @property
    def image_stack(self) -> ImageStack:
        """The image, of formats that cannot do without it."""
        assert self.pixels is not None  # checked before anything is written
        return self.pixels

    @cached_property
    def _contrast(self) -> Normalization:
        return self.contrast or self.image_stack.normalization()

    def picture(self, index: Index, box: IntBox) -> npt.NDArray[np.uint8]:
        """Return a part of a plane of the image in eight bits, shape (h, w, 3)."""
        plane = self.image_stack.plane(index, self._contrast)
        return plane.crop(box).pixels


@dataclass(frozen=True, slots=True)
class Options:
    """What can be chosen about data sets.

    Attributes
    ----------
    validation : float
        Which part of the inputs is held back, 0 to 1.
    seed : int
        Who draws with the same seed holds back the same ones.
    """

    validation: float = 0.2
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Shared:
    """What the files of all inputs are put together from.

    Attributes
    ----------
    folder : Path
        Of the format.
    fragments, tables : list of Path
        One for each input that is complete: the format's own, its part of the table.
    class_names : sequence of str
    options : Options
    """

    folder: Path
    fragments: Sequence[Path]
    tables: Sequence[Path]
    class_names: Sequence[str]
    options: Options = field(default_factory=Options)


Sink = Callable[[Page], None]


class Format:
    """A format that results can be written in."""

    name: ClassVar[str]
    # Who learns from it takes what is not an object for background: only what is
    # complete is written.
    training: ClassVar[bool] = False
    # It holds the image, too.
    pixels: ClassVar[bool] = False
    # It has a file for each plane, called as `plane_file` says.
    by_plane: ClassVar[bool] = False
    # It wants objects that were followed through time.
    tracks: ClassVar[bool] = False

    def check(self) -> None:
        """Say that a package is missing, before anything is done.

        Raises
        ------
        OutputError
        """

    def shared(self, folder: Path) -> tuple[Path, ...]:
        """Return the files that hold results of all inputs."""
        return ()

    def places(self, folder: Path, relative: PurePosixPath) -> tuple[Path, ...]:
        """Return where results of an input may lie."""
        return ()

    def remove(self, folder: Path, relative: PurePosixPath) -> None:
        """Remove what an earlier run wrote that would not be replaced."""

    def open(self, target: Target, files: contextlib.ExitStack) -> Sink | None:
        """Begin an input; return what takes its planes.

        Files that `files` closes appear when all planes are written.
        """
        return None

    def finish(self, target: Target, load: Load) -> None:
        """Write what needs all planes again; `load` gives the labels of one."""

    def join(self, shared: Shared) -> None:
        """Write what covers all inputs."""


def shape_text(stack: ImageStack) -> dict[str, Any]:
    """Return the shape of labels, for formats that have no place for it."""
    shape = [*stack.stack_shape, *stack.plane_shape]
    return {"axes": f"{stack.stack_axes}YX".lower(), "shape": shape}


def with_ending(relative: PurePosixPath, ending: str) -> PurePosixPath:
    """Return the name of a file of an input."""
    # Not `with_suffix`: that would cut "plate.v2" at its dot.
    return relative.with_name(f"{relative.name}{ending}")


def plane_name(places: Mapping[str, int]) -> str:
    """Return what the file of a plane is called: `t0002_z0010`."""
    return "_".join(f"{axis}{at:04d}" for axis, at in places.items())


def plane_file(
    folder: Path, relative: PurePosixPath, places: Mapping[str, int], ending: str
) -> Path:
    """Return where what is written of a plane goes.

    `<relative>.txt` for a single image; for a stack one file per plane in the folder
    `<relative>`, named by its place: `t0002_z0010.txt`.
    """
    if not places:
        return folder / with_ending(relative, ending)
    return folder / relative / f"{plane_name(places)}{ending}"


def remove_planes(folder: Path, relative: PurePosixPath, ending: str) -> None:
    """Remove the planes of an earlier run, which may have had others."""
    single = folder / with_ending(relative, ending)
    planes = (
        place
        for place in (folder / relative).glob(f"*{ending}")
        if PLANE_NAME.fullmatch(place.name.removesuffix(ending))
    )
    for place in (single, *planes):
        with explained(place):
            place.unlink(missing_ok=True)
