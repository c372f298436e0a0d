"""What the section "Proofread" says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.widgets.auto_annotate.words import duration

if TYPE_CHECKING:
    from napari_sam.live.proofreading.asking import Asked
    from napari_sam.live.proofreading.doubts import Doubt
    from napari_sam.live.proofreading.proofreader import State
    from napari_sam.live.proofreading.review import Review

NO_OBJECTS = (
    "There are no objects yet. Find or draw some, or choose a layer that has some "
    "under “Objects in”."
)
BEFORE = (
    "Shows one by one those that may be wrong: much larger or smaller than the others, "
    "cut by the border, or with a low confidence. The others stay as they are."
)
_SOON = 2.0  # seconds; before that nobody can say how long it takes


def state(state: State, review: Review | None, objects: int) -> str:
    """Say how far it is, and what is shown."""
    if state.phase == "looking":
        return f"Looking through {objects:,} object{'s' * (objects != 1)}…"
    if state.phase == "failed":
        return f"⚠ {state.error}"
    if not objects:
        return NO_OBJECTS
    if state.phase == "stopped":
        return "Stopped."
    if review is None:
        return BEFORE
    return f"{shown(review)}\n{how_far(review)}"


def shown(review: Review) -> str:
    """Say which object is shown, and why somebody should look at it."""
    if review.current is not None:
        return about(review.current)
    last = review.last
    if not review.doubtful:
        return "Nothing is doubtful any more." if last else "Nothing is doubtful."
    if last is None:
        return "Press Next to see the first."
    if last not in review.store.records:
        return f"Object {last} is gone. Press Next to go on."
    return f"Object {last} is done. Press Next to go on."


def about(doubt: Doubt) -> str:
    """Say why somebody should look at an object.

    Examples
    --------
    >>> from napari_sam.live.proofreading.doubts import BORDER, LARGE, Doubt
    >>> about(Doubt(12, (), (0, 0, 9, 9), (LARGE, BORDER), 1.0))
    'Object 12: much larger than the others, cut by the border.'
    """
    return f"Object {doubt.id}: {doubt.text}."


def how_far(review: Review) -> str:
    """Say how many were looked at, and how many wait to be."""
    waiting = review.doubtful
    more = f", {waiting:,} {'is' if waiting == 1 else 'are'} doubtful" * bool(waiting)
    return f"{review.text}{more}."


def asking(asked: Asked, seconds: float) -> str:
    """Say how far the model is with its opinion of the objects.

    Examples
    --------
    >>> from napari_sam.live.proofreading.asking import Asked
    >>> asking(Asked("asking", done=100, total=300), 10.0)
    'The model has looked at 100 of 300 objects, about 20 s left…'
    """
    if asked.phase == "loading":
        return "Loading the model…"
    if asked.phase == "failed":
        return f"⚠ {asked.error}"
    if asked.phase == "done":
        return f"The model has looked at all {asked.total:,}." if asked.total else ""
    if asked.phase == "stopped":
        return f"Stopped: the model has looked at {asked.done:,} of {asked.total:,}."
    if asked.phase == "nothing":
        return ""
    text = f"The model has looked at {asked.done:,} of {asked.total:,} objects"
    if not asked.done or seconds < _SOON:
        return f"{text}…"
    left = seconds * (asked.total - asked.done) / asked.done
    return f"{text}, {_about(left)} left…"


def _about(seconds: float) -> str:
    return f"about {duration(max(seconds, 1))}"
