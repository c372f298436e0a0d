"""What the section "Follow through the stack" says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.widgets.auto_annotate.words import duration, plane_noun, planes

if TYPE_CHECKING:
    from napari_sam.live.following.filling import FillState
    from napari_sam.live.following.wanted import State

ALL, SELECTED = "all", "selected"
BOTH, LATER, EARLIER = "both", "later", "earlier"
BETWEEN = (
    "Or outline an object on some slices only, with {add_to}, and let those in between "
    "be filled: its shape turns from one outline into the next."
)
_AXES = {"T": "Time", "Z": "Depth (z)"}


def whom(noun: str) -> list[tuple[str, str]]:
    """Return which objects can be followed."""
    return [(f"All objects on this {noun}", ALL), ("The selected object", SELECTED)]


def ways(noun: str) -> list[tuple[str, str]]:
    """Return where to."""
    return [
        ("Both ways", BOTH),
        (f"To later {noun}s", LATER),
        (f"To earlier {noun}s", EARLIER),
    ]


def axes(stack_axes: str) -> list[tuple[str, int]]:
    """Return what objects can be followed through, by the number of the axis."""
    return [(_AXES.get(each, f"Axis {each}"), at) for at, each in enumerate(stack_axes)]


def follow(count: int) -> str:
    """Return what stands on the button.

    Examples
    --------
    >>> follow(0), follow(1), follow(12)
    ('Follow', 'Follow 1 object', 'Follow 12 objects')
    """
    return f"Follow {_count(count, 'object')}" if count else "Follow"


def go_on(count: int, noun: str) -> str:
    """Return what stands on the button that follows what was put right.

    Examples
    --------
    >>> go_on(1, "slice")
    'Follow 1 corrected object on from this slice'
    """
    return f"Follow {_count(count, 'corrected object')} on from this {noun}"


def following(state: State, seconds: float, stack_axes: str) -> str:
    """Say how far it is, or what came of it."""
    if state.phase == "nothing":
        return ""
    added = f"{_count(state.outlines, 'outline')} added"
    if state.phase == "following":
        left = state.seconds_left(seconds)
        left_text = "" if left is None else f", {duration(left)} left at most"
        at = f"{state.done:,} of at most {planes(state.total, stack_axes)}"
        return f"Following {_count(state.objects, 'object')}: {at}{left_text}."
    if state.phase == "failed":
        return f"⚠ {state.error[:1].upper()}{state.error[1:]}. {added} before that."
    if state.phase == "stopped":
        return f"Stopped. {added}; they stay."
    if not state.outlines and not state.in_the_way:
        return "Found on no other slice." if state.done else "Nothing to follow."
    return f"{added}.{_others(state.in_the_way)}"


def fill(target: int | None) -> str:
    """Return what stands on the button that fills one object.

    Examples
    --------
    >>> fill(12), fill(None)
    ('Fill object 12', 'Fill one object')
    """
    return f"Fill {'one object' if target is None else f'object {target}'}"


def filled(state: FillState, axis: str) -> str:
    """Say how far filling is, or what came of it; `axis` is what it went along."""
    if state.phase == "nothing":
        return ""
    if state.phase == "filling":
        return f"Filling: {state.done:,} of {_count(state.total, 'object')} looked at."
    noun = plane_noun(axis)
    text = f"{_count(state.outlines, noun)} of {_count(len(state.objects), 'object')}"
    if state.phase == "failed":
        error = f"⚠ {state.error[:1].upper()}{state.error[1:]}."
        return f"{error} {text} filled before that."
    if state.phase == "stopped":
        return f"Stopped. {text} filled; they stay."
    if not state.outlines and not state.in_the_way:
        return f"Nothing to fill: no object is missing on a {noun} in between."
    return f"{text} filled.{_others(state.in_the_way)}"


def _others(in_the_way: int) -> str:
    if not in_the_way:
        return ""
    were = "was" if in_the_way == 1 else "were"
    return f" {in_the_way:,} {were} not: other objects are in the way there."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
