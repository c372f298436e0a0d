"""What the widget says: plain sentences made from what is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.models.catalog import list_models
from napari_sam.widgets.auto_annotate.words import duration, plane_noun, title_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from napari_sam.live.prompting.session import Status
    from napari_sam.live.proposals.found import Found, State
    from napari_sam.live.values import Key, Suggestion
    from napari_sam.types import Mask

NO_IMAGE = (
    "Open an image first: drag a file into the window, or take one from "
    "File › Open Sample › SAM Annotator."
)
HINT = (
    "Click on an object: its outline shows at once. Shift-click what is not part of "
    "it; draw a box where a click is not enough.",
    "Tab shows other sizes of it. Enter keeps the object, Esc drops it.",
    "Ctrl+Z takes back whatever you did last, click by click.",
)
_SIZES = {2: ("small", "large"), 3: ("small", "medium", "large")}
_SOON = 1.0  # seconds; what takes less is not counted on the screen


def model_title(name: str) -> str:
    """Return what a model is called on the screen; of a file its name.

    Examples
    --------
    >>> model_title("pocket"), model_title("weights/sam_vit_b.pth")
    ('Built-in model', 'sam_vit_b.pth')
    """
    for entry in list_models():
        if entry.kind == "model" and entry.name == name:
            return title_of(entry)
    return name.replace("\\", "/").rpartition("/")[2]


def device_title(device: str) -> str:
    """Return where a model runs, for people.

    Examples
    --------
    >>> device_title("cpu"), device_title("cuda:0")
    ('the processor', 'the graphics card')
    """
    kind = device.partition(":")[0]
    names = {"cuda": "the graphics card", "mps": "the graphics chip"}
    return names.get(kind, "the processor" if kind == "cpu" else device)


def status(status: Status, stack_axes: str) -> str:
    """Say what runs, where, and for how long."""
    phase = status.phase
    if phase == "no image":
        return NO_IMAGE
    if phase == "failed":
        return f"⚠ {status.error}"
    title = model_title(status.model)
    if phase == "loading":
        return f"Loading “{title}”{_so_far(status.seconds)}"
    where = f" on {device_title(status.device)}" if status.device else ""
    if phase == "preparing":
        noun = plane_noun(stack_axes) if stack_axes else "image"
        return f"Preparing this {noun}{where}{_so_far(status.seconds)}"
    if phase == "answering":
        return f"Outlining{where}{_so_far(status.seconds)}"
    return f"Ready. {title}{where}."


def suggestion(suggestions: Mapping[Key, Suggestion], current: Key | None) -> str:
    """Say what is suggested, and how sure the model is of it."""
    shown = None if current is None else suggestions.get(current)
    if shown is None:
        count = len(suggestions)
        return f"{count} open." if count else "Click on an object."
    others = f" {_several(len(suggestions) - 1)}" if len(suggestions) > 1 else ""
    if shown.error:
        return f"⚠ {_sentence(shown.error)}{others}"
    if shown.mask is None or shown.candidates is None:
        return f"Outlining…{others}"
    masks = shown.candidates.masks
    sure = f"confidence {shown.mask.score:.2f}"
    if len(masks) == 1:
        text = f"Suggestion: {sure}."
    else:
        size = size_of(masks, shown.choice)
        text = f"Suggestion {shown.choice + 1} of {len(masks)}{size}: {sure}."
    return f"{text}{others}"


def size_of(masks: Sequence[Mask], choice: int) -> str:
    """Return how large a candidate is among the others, where there is a word."""
    names = _SIZES.get(len(masks))
    if names is None:
        return ""
    smaller = sum(mask.area < masks[choice].area for mask in masks)
    return f" ({names[smaller]})"


def objects(count: int, layer: str) -> str:
    """Say how many objects there are, and where.

    Examples
    --------
    >>> objects(1, "cells: labels")
    '1 object in the layer “cells: labels”.'
    """
    if not count:
        return ""
    return f"{count:,} object{'s' * (count != 1)} in the layer “{layer}”."


def finding(
    state: State, found: Found | None, seconds: float, noun: str, *, elsewhere: bool
) -> str:
    """Say how far the search for all objects is, or what it found."""
    if state.phase == "failed":
        return f"⚠ {_sentence(state.error)}"
    if state.phase == "preparing":
        return f"Preparing{_so_far(seconds)}"
    if state.phase == "searching":
        part = "" if state.part is None else f", {100 * state.part:.0f} %"
        return f"Looking for objects{part}{_so_far(seconds)}"
    if state.phase == "stopped":
        return "Stopped."
    if found is None:
        return ""
    if not found.of:
        return "Nothing was found. Something else may find it."
    count = len(found.objects)
    if not count:
        return "No object is left: move the sliders back."
    where = f" on another {noun}" if elsewhere else ""
    more = " There are more than can be looked for at once." if found.truncated else ""
    return f"{count:,} object{'s' * (count != 1)}{where}.{more}"


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
    text = f"{count:,} object{'s' * (count != 1)} added."
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


def left_behind(when: datetime, count: int) -> str:
    """Say what could be restored."""
    what = f"{count:,} object{'s' * (count != 1)}"
    return (
        f"You worked on this image before: {what}, last changed on "
        f"{when:%d %B %Y at %H:%M}, not saved."
    )


def undo_tip(what: str, key: str, *, redo: bool = False) -> str:
    """Say what a step back (or forward again) does.

    Examples
    --------
    >>> undo_tip("Add object 12", "Ctrl+Z")
    'Take back: add object 12 (Ctrl+Z)'
    """
    if not what:
        return f"Nothing to {'do again' if redo else 'take back'} ({key})"
    verb = "Do again" if redo else "Take back"
    return f"{verb}: {what[:1].lower()}{what[1:]} ({key})"


def _several(count: int) -> str:
    return f"{count} more {'are' if count != 1 else 'is'} open."


def _sentence(text: str) -> str:
    text = f"{text[:1].upper()}{text[1:]}"
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _so_far(seconds: float) -> str:
    return f", {duration(max(seconds, 3))} so far…" if seconds >= _SOON * 3 else "…"
