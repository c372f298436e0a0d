"""What the section "Prepared slices" says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.widgets.auto_annotate.words import duration, planes

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam.live.prompting.preparing import PreparingState

ABOUT = (
    "Before its first click a slice is prepared for the model. What took long is kept, "
    "so that it does not have to be prepared again, today or tomorrow."
)
KEEP_FIRST = "Keep them on this disk first: all of them would not fit into memory."


def gigabytes(count: int) -> str:
    """Return bytes as gigabytes, with few digits.

    Examples
    --------
    >>> gigabytes(0), gigabytes(300_000), gigabytes(1_610_612_736), gigabytes(10 << 30)
    ('0', '0.001', '1.5', '10')
    """
    size = count / 2**30
    if 0 < size < 0.01:
        return f"{max(size, 0.001):.3f}"
    return f"{size:.2g}" if size < 10 else f"{size:,.0f}"


def memory(used: int, budget: int) -> str:
    """Say how much of the memory prepared slices take."""
    return f"In memory: {gigabytes(used)} of {gigabytes(budget)} GB."


def disk(used: int, most: int, folder: Path) -> str:
    """Say how much of the disk they take, and where."""
    return f"On this disk: {gigabytes(used)} of {gigabytes(most)} GB, in {folder}."


def prepare_all(count: int, stack_axes: str) -> str:
    """Return what stands on the button.

    Examples
    --------
    >>> prepare_all(1, ""), prepare_all(40, "Z"), prepare_all(3, "T")
    ('Prepare this image', 'Prepare all 40 slices', 'Prepare all 3 frames')
    """
    return f"Prepare all {planes(count, stack_axes)}" if stack_axes else PREPARE_ONE


PREPARE_ONE = "Prepare this image"


def preparing(state: PreparingState, now: float, stack_axes: str) -> str:
    """Say how far it is, or what came of it; `now` by `time.monotonic`."""
    if state.phase == "nothing":
        return ""
    of = f"{state.done:,} of {planes(state.total, stack_axes)}"
    if state.phase == "preparing":
        left = state.seconds_left(now)
        left_text = "" if left is None else f", about {duration(left)} left"
        return f"Preparing: {of}{left_text}."
    if state.phase == "failed":
        return f"⚠ {state.error}. {of} prepared before that; they stay."
    if state.phase == "stopped":
        return f"Stopped. {of} prepared; they stay."
    what = f"All {planes(state.total, stack_axes)}" if stack_axes else "This image"
    are, were = ("are", "were") if state.total != 1 else ("is", "was")
    if state.there == state.total:
        return f"{what} {were} prepared before."
    if not state.there:
        return f"{what} {are} prepared now."
    return (
        f"{what} {are} prepared: {state.done - state.there:,} now, the others before."
    )
