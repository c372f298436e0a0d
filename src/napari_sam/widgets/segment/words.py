"""What the widget says: plain sentences made from what is known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_sam.models.catalog import list_models
from napari_sam.widgets.auto_annotate.words import duration, plane_noun, title_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from napari_sam.live.prompting.session import Status
    from napari_sam.live.values import Key, Suggestion
    from napari_sam.types import Mask

NO_IMAGE = (
    "Open an image first: drag a file into the window, or take one from "
    "File › Open Sample › SAM Annotator."
)
HINT = (
    "Click on an object: its outline shows at once. Shift-click what is not part of "
    "it; draw a box where a click is not enough.",
    "{next} shows other sizes of it. {add} keeps the object, {drop} drops it.",
    "{undo} takes back whatever you did last, click by click.",
)
STARTING = "Getting ready: a moment…"
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
    no_model = math.isnan(shown.mask.score)
    if len(masks) == 1:
        text = "The object as it is: click to change it."
        text = text if no_model else f"Suggestion: {sure}."
    else:
        sure = "just what you drew" if no_model else sure
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


def add_to(target: int | None, key: str) -> str:
    """Return what stands on the button that adds to an object.

    Examples
    --------
    >>> add_to(12, "Shift+Enter"), add_to(None, "Shift+Enter")
    ('Add to object 12 (Shift+Enter)', 'Add to an object (Shift+Enter)')
    """
    return f"Add to {'an object' if target is None else f'object {target}'} ({key})"


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


def left_behind(when: datetime, count: int) -> str:
    """Say what could be restored."""
    what = f"{count:,} object{'s' * (count != 1)}" if count else "what is complete"
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
