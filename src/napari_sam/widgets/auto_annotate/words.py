"""What the widget says: plain sentences made from what is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from napari_sam.models.catalog import CatalogEntry
    from napari_sam.segment.result import PlaneResult
    from napari_sam.widgets.auto_annotate.state import State

_TITLES = {
    "pocket": "Built-in model",
    "nuclei": "Nuclei, similar cells",
    "nuclei-yolo": "Nuclei only",
    "threshold": "Any bright or dark blobs",
    "everything": "Anything, point by point (slow)",
    "own-decoder": "What a µSAM model finds itself",
}


LINKS = {
    "none": "in its slice only",
    "stack": "through z",
    "time": "through time, and divides",
}


def title_of(entry: CatalogEntry) -> str:
    """Return what a model or detector is called on the screen."""
    return _TITLES.get(entry.name, entry.name.replace("-", " ").capitalize())


def planes(count: int, stack_axes: str) -> str:
    """Count slices, or frames where the stack is one of time points.

    Examples
    --------
    >>> planes(1, "Z"), planes(40, "T")
    ('1 slice', '40 frames')
    """
    noun = plane_noun(stack_axes)
    return f"{count} {noun}{'s' * (count != 1)}"


def plane_noun(stack_axes: str) -> str:
    """Return what one plane is called: "slice", or "frame" in time."""
    return "frame" if stack_axes == "T" else "slice"


def duration(seconds: float) -> str:
    """Say a time in words that do not promise too much.

    Examples
    --------
    >>> duration(0.4), duration(42), duration(500), duration(9000)
    ('a moment', '40 s', '8 min', '2.5 h')
    """
    if seconds < 3:
        return "a moment"
    if seconds < 90:
        return f"{round(seconds) if seconds < 15 else round(seconds / 5) * 5} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def plan(count: int, stack_axes: str, image: str) -> str:
    """Say what "Find all objects" will do."""
    if not count:
        return (
            "Open an image first: drag a file into the window, or take one from "
            "File › Open Sample › SAM Annotator."
        )
    if count == 1:
        return f"Finds the objects in “{image}” and puts them in a new layer."
    where = planes(count, stack_axes)
    return (
        f"Finds the objects in all {where} of “{image}” and puts them in a new layer."
    )


def progress(state: State, stack_axes: str) -> str:
    """Say how far a run is."""
    if state.phase == "preparing":
        return "Getting ready…"
    noun = plane_noun(stack_axes)
    at = f"{noun.capitalize()} {min(state.done + 1, state.total)} of {state.total}"
    if state.total == 1:
        at = "Finding objects"
    if state.part:
        at = f"{at}: {100 * min(state.part, 1):.0f} %"
    if state.seconds_left is None:
        return f"{at}…"
    return f"{at}, about {duration(state.seconds_left)} left"


def outcome(state: State, objects: int, stack_axes: str, layer: str) -> str:
    """Say what a run has given, and where it is."""
    found = f"{objects:,} object{'s' * (objects != 1)}" if objects else "No objects"
    if state.phase == "stopped" and not state.done:
        return "Stopped before anything was found."
    if state.phase == "stopped":
        where = planes(state.done, stack_axes)
        return f"Stopped. {found} in the {where} done so far, in the layer “{layer}”."
    if state.total == 1:
        return f"{found} found, in the layer “{layer}”." if objects else _nothing("")
    where = f"in {planes(state.total, stack_axes)}"
    if not objects:
        return _nothing(f" {where}")
    return f"{found} found {where}, in the layer “{layer}”."


def moved(layer: str) -> str:
    """Say where tracks are."""
    return f"Where they moved, and what came out of what, is in the layer “{layer}”."


def failure(state: State, stack_axes: str) -> str:
    """Say what went wrong, and what there is nevertheless."""
    if not state.done:
        return state.error
    kept = planes(state.done, stack_axes)
    return f"{state.error} — the objects of the {kept} done before are kept."


def _nothing(where: str) -> str:
    return (
        f"No objects found{where}. A lower confidence may find some, or something "
        "else under “Find”."
    )


_WHY = {
    "split": "several outlines lie on one of the {noun} before",
    "merge": "it lies on several of the {noun} before",
    "gap": "it was missed on the {noun} before",
    "cut": "two that lie above each other were cut apart here",
}


def to_look_at(numbers: Collection[int]) -> str:
    """Say how many objects a person should look at.

    Examples
    --------
    >>> to_look_at({7})
    '1 object to look at: linking was unsure of it.'
    """
    one = len(numbers) == 1
    return (
        f"{len(numbers):,} object{'s' * (not one)} to look at: linking was unsure of "
        f"{'it' if one else 'them'}."
    )


def why(flag: str, stack_axes: str) -> str:
    """Say what the flags of an object mean.

    Examples
    --------
    >>> why("merge, gap", "Z")
    'it lies on several of the slice before; it was missed on the slice before'
    """
    noun = plane_noun(stack_axes)
    return "; ".join(_WHY[one].format(noun=noun) for one in flag.split(", "))


def place(index: tuple[int, ...], stack_axes: str) -> str:
    """Name a plane; the first is 1.

    Examples
    --------
    >>> place((4,), "Z"), place((0, 4), "TZ")
    ('slice 5', 't 1, z 5')
    """
    if len(index) == 1:
        return f"{plane_noun(stack_axes)} {index[0] + 1}"
    pairs = zip(stack_axes.lower(), index, strict=True)
    return ", ".join(f"{axis} {at + 1}" for axis, at in pairs)


def unread(why: Mapping[tuple[int, ...], str], stack_axes: str) -> list[str]:
    """Say which planes could not be read; nothing where all could."""
    if not why:
        return []
    first, one = min(why.items()), len(why) == 1
    return [
        f"⚠ {planes(len(why), stack_axes)} could not be read and "
        f"{'has' if one else 'have'} no objects{'' if one else ', the first'}: "
        f"{first[1]}."
    ]


def warnings(results: Iterable[PlaneResult], stack_axes: str, most: int) -> list[str]:
    """Say what a person should know about the planes, each thing once."""
    results = list(results)
    lines = []
    full = sum(result.truncated for result in results)
    if full:
        where = f" in {planes(full, stack_axes)}" if stack_axes else ""
        lines.append(
            f"The limit of {most} objects was reached{where}: raise “Most objects” "
            "to keep more."
        )
    blank = sum(bool(r.warnings) and not r.truncated for r in results)
    if blank:
        what = (
            f"{planes(blank, stack_axes)} of one colour" if stack_axes else "one colour"
        )
        lines.append(f"Nothing can be found where there is no contrast: {what}.")
    return lines
