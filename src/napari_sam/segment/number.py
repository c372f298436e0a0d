"""The numbers of all objects of a stack, once all its planes are finished."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_sam.segment.chains import Tidied, tidy
from napari_sam.segment.link import Linked, StackLinker
from napari_sam.segment.track import TimeTracker, check_time, check_tracking

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_sam.segment.recipe import Recipe
    from napari_sam.types import LabelArray

Index = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """Who the objects of all planes are.

    Attributes
    ----------
    linked : dict of index to Linked
    highest_id : int
    notes : tuple of str
        What was done that a person should know, one line each.
    """

    linked: dict[Index, Linked]
    highest_id: int
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that `napari_sam.segment.table.with_links` adds to tables."""
        one = next(iter(self.linked.values()))
        tracks = () if one.parents is None else ("track", "parent")
        return tracks if one.flags is None else (*tracks, "flag")


def new_linker(stack_axes: str, recipe: Recipe) -> StackLinker:
    """Return the linker that a recipe asks for."""
    return StackLinker(stack_axes, recipe.link, min_iou=recipe.link_iou)


def check_link(recipe: Recipe, stack_axes: str | None = None, name: str = "") -> None:
    """Refuse what cannot be linked as the recipe wants it.

    Parameters
    ----------
    recipe : Recipe
    stack_axes : str, optional
        Of the image, where it is open already.
    name : str
        The image's.

    Raises
    ------
    TrackError
    """
    if recipe.link == "time":
        check_tracking()
        if stack_axes is not None:
            check_time(stack_axes, name)


def number_objects(
    load: Callable[[Index], LabelArray],
    stack_axes: str,
    stack_shape: Sequence[int],
    recipe: Recipe,
    pixel_size: Mapping[str, tuple[float, str]],
) -> Numbers:
    """Find out who is whom in a stack.

    Parameters
    ----------
    load : callable
        Returns the labels of a plane, ids 1..n of this plane alone. Each plane is
        asked for once, or twice to follow objects through time, and four are held.
    stack_axes : str
    stack_shape : sequence of int
    recipe : Recipe
        Its rules for linking are used.
    pixel_size : mapping of axis to (size, unit)
        What is known of it, in micrometres.

    Raises
    ------
    TrackError
        If the objects cannot be followed through time.
    """
    check_link(recipe, stack_axes, "this image")
    linker = new_linker(stack_axes, recipe)
    linked = {i: linker.add(i, load(i)) for i in linker.order(stack_shape)}
    next_id = linker.next_id
    notes: tuple[str, ...] = ()
    if linker.axis == "Z":
        at = stack_axes.index("Z")
        ends = frozenset(i for i in linked if i[at] in (0, stack_shape[at] - 1))
        done = tidy(linked, next_id, ends=ends, min_planes=recipe.min_planes)
        linked, next_id, notes = done.linked, done.next_id, _notes(done)
    if recipe.link != "time":
        return Numbers(linked, next_id - 1, notes)
    tracker = TimeTracker(stack_axes, next_id - 1, pixel_size, recipe.link_distance)
    for index in tracker.order(stack_shape):
        tracker.add(index, linked[index].ids[load(index)])
    tracks = tracker.tracks()
    followed = {
        index: replace(one, ids=ids, parents=tracks.parents[ids])
        for index, one in linked.items()
        for ids in (tracks.ids[one.ids],)
    }
    return Numbers(followed, len(tracks.parents) - 1, notes)


def _notes(done: Tidied) -> tuple[str, ...]:
    if not done.left_out:
        return ()
    objects = f"{done.left_out} object{'s' * (done.left_out > 1)}"
    where = "one slice only" if done.least == 2 else f"fewer than {done.least} slices"
    return (
        f"{objects} on {where} left out, since half of what was found goes through "
        f"{done.usual} slices or more (--min-planes 1, in Python min_planes=1, keeps "
        "everything)",
    )
