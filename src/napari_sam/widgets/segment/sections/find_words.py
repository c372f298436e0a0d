"""What the section "Find all objects" says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.widgets.auto_annotate.words import duration, planes
from napari_sam.widgets.segment.sections.find_where import Choice

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_sam.live.proposals.found import Found, State, Tally

_SOON = 3.0  # seconds; what takes less is not counted on the screen


def choices(noun: str, *, stack: bool) -> list[tuple[str, Choice]]:
    """Return where can be searched."""
    known = [
        (f"This {noun}" if stack else "The whole image", Choice.SLICE),
        ("The part on the screen", Choice.SCREEN),
        ("The selected shape", Choice.SHAPE),
    ]
    return [*known, (f"All {noun}s", Choice.ALL)] if stack else known


def find_on(choice: Choice, noun: str, count: int) -> str:
    """Return what stands on the button that searches.

    Examples
    --------
    >>> find_on(Choice.SLICE, "frame", 40), find_on(Choice.ALL, "frame", 40)
    ('Find on this frame', 'Find on all 40 frames')
    """
    if choice is Choice.SCREEN:
        return "Find on the screen"
    if choice is Choice.SHAPE:
        return "Find in the shape"
    if choice is Choice.ALL:
        return f"Find on all {count:,} {noun}s"
    return f"Find on this {noun if count > 1 else 'image'}"


def finding(
    state: State, found: Found | None, seconds: float, noun: str, *, elsewhere: bool
) -> str:
    """Say how far the search on one slice is, or what it found."""
    if state.phase == "failed":
        return f"⚠ {_sentence(state.error)}"
    if state.phase == "preparing":
        return f"Preparing{_so_far(seconds)}"
    if state.phase == "adding":
        return "Adding…"
    if state.phase == "searching":
        part = "" if state.part is None else f", {100 * state.part:.0f} %"
        return f"Looking for objects{part}{_so_far(seconds)}"
    if state.phase == "stopped":
        return "Stopped."
    if found is None:
        return ""
    if not found.of:
        return "Nothing was found. Something else may find it."
    if not found.objects:
        return "No object is left: move the sliders back."
    where = f" on another {noun}" if elsewhere else ""
    more = " There are more than can be looked for at once." if found.truncated else ""
    return f"{_objects(len(found.objects))}{where}.{more}"


def finding_all(
    state: State,
    total: Tally,
    searched: int,
    seconds: float,
    stack_axes: str,
    *,
    here: int | None,
    counted: bool,
) -> str:
    """Say how far the search on a stack is, or what it found.

    Parameters
    ----------
    state : State
    total : Tally
    searched : int
        Slices that are searched.
    seconds : float
        Since the phase began.
    stack_axes : str
    here : int, optional
        Objects on the slice that is shown, where it has been searched.
    counted : bool
        False where `total` is by older filters still.
    """
    noun = planes(1, stack_axes)[2:]
    if state.phase == "preparing":
        return f"Preparing{_so_far(seconds)}"
    if state.phase in ("searching", "adding"):
        at = f"{noun} {min(state.done + 1, state.total):,} of {state.total:,}"
        left = state.seconds_left(seconds)
        left_text = "…" if left is None else f", {_about(left)} left."
        if state.phase == "adding":
            return f"Adding: {at}{left_text}"
        return f"Looking for objects: {at}{left_text} {_objects(total.objects)} so far."
    if state.phase == "nothing":
        return ""
    about = "" if counted else "about "
    what = f"{about}{_objects(total.objects)} on {planes(searched, stack_axes)}"
    if state.phase == "failed":
        kept = f" What was found before is kept: {what}." if searched else ""
        return f"⚠ {_sentence(state.error)}{kept}"
    if state.phase == "stopped":
        return f"Stopped. {_sentence(what)}" if searched else "Stopped."
    if not total.of:
        return "Nothing was found. Something else may find it."
    if counted and not total.objects:
        return "No object is left: move the sliders back."
    shown = "" if here is None else f", {here:,} on this {noun}"
    more = (
        f" On {planes(total.cut_off, stack_axes)} there are more than can be looked "
        "for at once."
        if total.cut_off
        else ""
    )
    return f"{_sentence(what + shown)}{more}"


def add_them(count: int) -> str:
    """Return what stands on the button that adds what was found.

    Examples
    --------
    >>> add_them(1), add_them(37)
    ('Add it', 'Add all 37')
    """
    if count < 2:
        return "Add it" if count else "Add them"
    return f"Add all {count:,}"


def added(count: int, refused: Sequence[str]) -> str:
    """Say how many of the found objects were added, and why not the others.

    Examples
    --------
    >>> added(35, ["nothing was added: it lies on object 4"] * 2)
    '35 objects added. 2 were left out: they lie on objects that are there already.'
    """
    text = f"{_objects(count)} added."
    if not refused:
        return text
    full = [why for why in refused if "no number above" in why]
    if full:
        return f"{text} {len(full):,} found no room. {_sentence(full[0])}"
    one = len(refused) == 1
    were, they = ("was", "it lies") if one else ("were", "they lie")
    return (
        f"{text} {len(refused):,} {were} left out: {they} on objects that are there "
        "already."
    )


def edges(part: float, noun: str) -> str:
    """Say how far the search for edges is."""
    return f"Looking for edges on this {noun}, {100 * part:.0f} %…"


def recorded(count: int, folder: Path) -> str:
    """Say where the records are."""
    return f"{_objects(count)} saved in {folder / 'sa1b'}."


def _about(seconds: float) -> str:
    return duration(seconds) if seconds < _SOON else f"about {duration(seconds)}"


def _objects(count: int) -> str:
    return f"{count:,} object{'s' * (count != 1)}"


def _sentence(text: str) -> str:
    text = f"{text[:1].upper()}{text[1:]}"
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _so_far(seconds: float) -> str:
    return f", {duration(seconds)} so far…" if seconds >= _SOON else "…"
