"""What the section "What is complete" says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.widgets.auto_annotate.words import plane_noun

if TYPE_CHECKING:
    from napari_sam.live.proofreading.progress import Progress, State
    from napari_sam.live.values import Index

_SIGNS: dict[State, str] = {"untouched": "○", "in progress": "◐", "complete": "●"}


def noun(stack_axes: str) -> str:
    """Return what is complete or not: "slice", "frame", of a single one "image"."""
    return plane_noun(stack_axes) if stack_axes else "image"


def here(progress: Progress, index: Index, stack_axes: str) -> str:
    """Say how far the slice on the screen is.

    Examples
    --------
    >>> from napari_sam.live.proofreading.progress import Progress
    >>> here(Progress((40,), (9, 9)), (2,), "Z")
    '○ Slice 3 of 40: untouched'
    """
    state = progress.state(index)
    place = ", ".join(
        f"{at + 1} of {of}" for at, of in zip(index, progress.stack_shape, strict=True)
    )
    name = noun(stack_axes).capitalize()
    name = f"{name} {place}" if place else f"This {name.lower()}"
    return f"{_SIGNS[state]} {name}: {state}"


def count(progress: Progress, stack_axes: str) -> str:
    """Say how many slices are complete.

    Examples
    --------
    >>> from napari_sam.live.proofreading.progress import Progress
    >>> count(Progress((40,), (9, 9)).mark([(1,)], "complete"), "Z")
    '1 of 40 slices complete.'
    """
    if not stack_axes:
        return ""
    name = noun(stack_axes)
    return f"{progress.complete:,} of {progress.total:,} {name}s complete."


def limited(progress: Progress, index: Index) -> str:
    """Say to how much of the slice annotation is limited."""
    here = [progress.regions[number] for number in progress.on(index)]
    if not here:
        return ""
    done = sum(one.state == "complete" for one in here)
    many = f"{len(here)} region{'s' * (len(here) != 1)}"
    return f"{many} here, {done} complete. Background counts only where it is complete."


def region(number: int, state: State) -> str:
    """Return what a region is called in the list.

    Examples
    --------
    >>> region(0, "untouched")
    '○ Region 1: untouched'
    """
    return f"{_SIGNS[state]} Region {number + 1}: {state}"
