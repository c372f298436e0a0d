"""What the section "What the model sees" says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.images import Normalization

STACK: Final = "stack"
PLANE: Final = "plane"
SHOWN: Final = "shown"
NONE: Final = "none"
TIP: Final = (
    "What becomes dark and what bright for the model. “As shown in napari” follows the "
    "contrast of the image's layer."
)
CHANNEL: Final = (
    "Another image of the same place and size, to be seen together with this one: the "
    "image is red then, the second channel green, the third blue."
)
_COLOURS: Final = ("red", "green", "blue")


def contrasts(noun: str, *, colour: bool = False) -> list[tuple[str, str]]:
    """Return (text, value) of every contrast; napari shows colours as they are."""
    offered = [
        (f"The same for every {noun}", STACK),
        (f"Each {noun} by itself", PLANE),
    ]
    return offered if colour else [*offered, ("As shown in napari", SHOWN)]


def seen(contrast: Normalization, names: Sequence[str], noun: str) -> str:
    """Say which intensities are dark and bright in the picture.

    Parameters
    ----------
    contrast : Normalization
    names : sequence of str
        Of the channels.
    noun : str
        "slice", "frame", "image".
    """
    if contrast.ranges is None:
        spans = [f"each {noun} by itself"] * len(names)
    else:
        spans = [f"{low:,.5g} to {high:,.5g}" for low, high in contrast.ranges]
    if len(names) < 2:
        return f"Dark to bright: {spans[0]}."
    lines = [
        f"{name} ({colour}): {span}"
        for name, colour, span in zip(names, _COLOURS, spans, strict=False)
    ]
    return "Dark to bright:\n" + "\n".join(lines)
