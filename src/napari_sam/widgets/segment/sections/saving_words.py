"""What is said about saving, and about opening again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam.live.disk.loading import Loaded
    from napari_sam.live.disk.saving import Saved


def saved(what: Saved) -> str:
    """Say what was saved, and what of it others must not take for the truth."""
    text = f"{_objects(what.objects)} saved in {what.folder}."
    if what.known is not None:
        place = what.known.relative_to(what.folder).as_posix()
        text += f" Not everything is complete: {place} says where background is known."
    return text


def opened(found: Loaded, folder: Path) -> str:
    """Say what was opened, and what of it does not fit together."""
    text = f"{_objects(len(found.records))} opened from {folder}."
    return " ".join([text, *(f"⚠ {note}." for note in found.notes)])


def _objects(count: int) -> str:
    return f"{count:,} object{'s' * (count != 1)}"
