"""Which slices, and which regions drawn on them, are complete.

Background is only what somebody has looked at: where annotation is not complete,
what lies between the objects is unknown, and is never exported as background.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from napari_sam.live import rasters
from napari_sam.types import NapariSamError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from napari_sam.live.labels.changes import IntBox
    from napari_sam.live.values import Index, Mark
    from napari_sam.types import BoolArray

State: TypeAlias = Literal["untouched", "in progress", "complete"]
STATES: Final[tuple[State, ...]] = get_args(State)
_AREAS: Final = ("box", "ellipse", "polygon")
_SMALL: Final = 64 * 64  # pixels that are looked at before an answer is given


class ProgressError(NapariSamError):
    """What is complete cannot be understood, or does not fit the image."""


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A part of one plane to which annotation is limited.

    Attributes
    ----------
    index : tuple of int
    area : Mark
        A box, an ellipse or a polygon.
    state : {"untouched", "in progress", "complete"}
    """

    index: Index
    area: Mark
    state: State = "untouched"

    @property
    def outline(self) -> npt.NDArray[np.float64]:
        """Its corners, (y, x)."""
        vertices = np.asarray(self.area.vertices, np.float64)
        return rasters.ellipse(vertices) if self.area.kind == "ellipse" else vertices

    def meets(self, boxes: Iterable[IntBox]) -> bool:
        """Whether one of some boxes of its plane may reach into it."""
        y0, x0, y1, x1 = rasters.bounds_of(self.outline)
        return any(
            box[0] < y1 and y0 < box[2] and box[1] < x1 and x0 < box[3] for box in boxes
        )


@dataclass(frozen=True, slots=True, eq=False)
class Progress:
    """What is complete of one image. It never changes: every step is a new one.

    Attributes
    ----------
    stack_shape : tuple of int
    plane_shape : (height, width)
    planes : mapping of index to state
        Those that are not untouched.
    regions : tuple of Region
    """

    stack_shape: tuple[int, ...]
    plane_shape: tuple[int, int]
    planes: Mapping[Index, State] = field(default_factory=dict)
    regions: tuple[Region, ...] = ()

    def state(self, index: Index) -> State:
        """Return the state of a plane; work in one of its regions counts."""
        here = [region.state for region in self.regions if region.index == index]
        own = self.planes.get(index, "untouched")
        if own == "untouched" and any(state != "untouched" for state in here):
            return "in progress"
        return own

    @property
    def said(self) -> bool:
        """Whether a person has said anything: drawn a region, completed a slice."""
        return bool(self.regions) or self.complete > 0

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether it is of labels of this shape."""
        return (*self.stack_shape, *self.plane_shape) == shape

    @property
    def finished(self) -> bool:
        """Whether every plane is complete as a whole."""
        return self.complete == self.total

    @property
    def complete(self) -> int:
        """How many planes are complete as a whole."""
        return sum(state == "complete" for state in self.planes.values())

    @property
    def total(self) -> int:
        """How many planes there are."""
        return math.prod(self.stack_shape)

    def on(self, index: Index) -> tuple[int, ...]:
        """Return which of the regions lie on a plane."""
        return tuple(n for n, r in enumerate(self.regions) if r.index == index)

    def mark(self, indices: Iterable[Index], state: State) -> Progress:
        """Set the state of planes."""
        planes = dict(self.planes)
        for index in indices:
            planes[self._checked(index)] = state
        kept = {i: s for i, s in planes.items() if s != "untouched"}
        return replace(self, planes=kept)

    def mark_region(self, number: int, state: State) -> Progress:
        """Set the state of a region, named by its place in `regions`."""
        regions = list(self.regions)
        regions[number] = replace(regions[number], state=state)
        return replace(self, regions=tuple(regions))

    def add_region(self, index: Index, area: Mark) -> Progress:
        """Limit annotation on a plane to one more drawn area.

        Raises
        ------
        ProgressError
            If it is no area, or no pixel of the plane lies in it.
        """
        region = Region(self._checked(index), area)
        if not _is_area(area):
            raise ProgressError(
                "a region needs a rectangle, an ellipse or a polygon: draw one"
            )
        if self._is_empty(region):
            raise ProgressError(
                "no pixel of the image lies in this region: draw it on the image"
            )
        return replace(self, regions=(*self.regions, region))

    def redrawn(self, regions: Iterable[Region]) -> Progress:
        """Take other regions, with their states, in place of those there are.

        Raises
        ------
        ProgressError
            If one of them cannot be a region.
        """
        new = replace(self, regions=())
        for region in regions:
            new = new.add_region(region.index, region.area)
            new = new.mark_region(len(new.regions) - 1, region.state)
        return new

    def remove_region(self, number: int) -> Progress:
        """Forget a region, named by its place in `regions`."""
        regions = list(self.regions)
        del regions[number]
        return replace(self, regions=tuple(regions))

    def touched(self, index: Index, boxes: Sequence[IntBox] | None = None) -> Progress:
        """Take in that somebody has edited a plane, in some boxes of it.

        What was untouched is in progress; what is complete stays complete. The
        same object is returned where nothing is new.
        """
        index = self._checked(index)
        new = self
        if self.planes.get(index, "untouched") == "untouched":
            new = new.mark([index], "in progress")
        for number in self.on(index):
            region = self.regions[number]
            if region.state == "untouched" and (boxes is None or region.meets(boxes)):
                new = new.mark_region(number, "in progress")
        return new

    def limit(self, index: Index) -> BoolArray | None:
        """Return where annotation is wanted on a plane; None: everywhere."""
        return self._union([self.regions[number] for number in self.on(index)])

    def next_open(self, index: Index) -> Index | None:
        """Return the next plane that is not complete, from the start after the end.

        None where every plane is complete, or none but the one that is asked about
        is not.
        """
        here = self._checked(index)
        planes = itertools.product(*map(range, self.stack_shape))
        first = None
        behind = False
        for plane in planes:
            if plane == here:
                behind = True
            elif self.planes.get(plane) != "complete":
                if behind:
                    return plane
                first = plane if first is None else first
        return first

    def known(self, index: Index) -> BoolArray:
        """Return the pixels of which it is known whether an object is there."""
        if self.planes.get(index) == "complete":
            return np.ones(self.plane_shape, np.bool_)
        done = [self.regions[number] for number in self.on(index)]
        done = [region for region in done if region.state == "complete"]
        known = self._union(done)
        return np.zeros(self.plane_shape, np.bool_) if known is None else known

    def exportable(
        self, index: Index, labels: npt.NDArray[Any], trusted: Collection[int] = ()
    ) -> tuple[npt.NDArray[Any], BoolArray]:
        """Return what of a plane can be given to others. For a thread.

        Parameters
        ----------
        index : tuple of int
        labels : integer array, shape (H, W)
            Of this plane.
        trusted : collection of int
            Objects that are right wherever they are, such as those that a person
            has looked at.

        Returns
        -------
        labels : integer array, shape (H, W)
            Without the objects of which nothing is known. Objects are never cut:
            those that reach into a complete region are there as a whole.
        known : bool array, shape (H, W)
            Where `labels` is the truth. Everything else has to be ignored; 0 means
            background only where this is True.
        """
        if labels.shape != self.plane_shape:
            raise ProgressError(
                f"labels of the shape {labels.shape} do not fit slices of "
                f"{self.plane_shape}"
            )
        known = self.known(self._checked(index))
        if known.all():
            return labels.copy(), known
        kept = np.unique(labels[known])
        kept = np.union1d(kept[kept > 0], np.array(sorted(trusted), kept.dtype))
        objects = np.isin(labels, kept[kept > 0])
        return np.where(objects, labels, 0).astype(labels.dtype), known | objects

    def _checked(self, index: Index) -> Index:
        plain = tuple(int(i) for i in index)
        if len(plain) != len(self.stack_shape) or not all(
            0 <= i < n for i, n in zip(plain, self.stack_shape, strict=True)
        ):
            raise ProgressError(f"a stack of {self.stack_shape} has no slice {plain}")
        return plain

    def _inside(self, region: Region) -> tuple[tuple[slice, slice], BoolArray]:
        """Return a window of the plane, and which of its pixels are inside."""
        outline = region.outline
        window = rasters.window_of(rasters.bounds_of(outline), self.plane_shape)
        inside = rasters.fill(outline, window)
        return np.s_[window[0] : window[2], window[1] : window[3]], inside

    def _is_empty(self, region: Region) -> bool:
        """Whether no pixel lies in a region; of a large one it is not looked at."""
        y0, x0, y1, x1 = rasters.window_of(
            rasters.bounds_of(region.outline), self.plane_shape
        )
        large = (y1 - y0) * (x1 - x0) > _SMALL
        return not large and not self._inside(region)[1].any()

    def _union(self, regions: Iterable[Region]) -> BoolArray | None:
        plane: BoolArray | None = None
        for region in regions:
            plane = np.zeros(self.plane_shape, np.bool_) if plane is None else plane
            where, inside = self._inside(region)
            plane[where] |= inside
        return plane


def begun(shape: tuple[int, ...], extents: Iterable[Iterable[Index]]) -> Progress:
    """Return what is said of labels at first: slices with objects are in progress.

    Parameters
    ----------
    shape : tuple of int
        Of the labels.
    extents : iterable of iterable of index
        On which planes each of the objects is.
    """
    stack_shape, (height, width) = shape[:-2], shape[-2:]
    there = {index for extent in extents for index in extent}
    return Progress(stack_shape, (height, width)).mark(there, "in progress")


def _is_area(mark: Mark) -> bool:
    vertices = np.asarray(mark.vertices)
    if vertices.ndim != 2 or vertices.shape[1] != 2 or not len(vertices):
        return False
    corners = len(vertices) == 4 or mark.kind == "polygon"
    return corners and mark.kind in _AREAS and bool(np.isfinite(vertices).all())
