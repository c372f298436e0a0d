"""What the section "What the model sees" says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from napari_sam.live.seen import FIXED, PLANE, SHOWN, STACK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.images import Normalization

NONE: Final = "none"
TIP: Final = (
    "What becomes dark and what bright for the model. “As shown in napari” follows the "
    "contrast of the image's layer."
)
PERCENT: Final = (
    "Of all intensities so many percent are darker than dark, and so many darker than "
    "bright: 0.5 to 99.8 leaves out single bright and dark pixels."
)
FIXED_TIP: Final = (
    "Which intensity is dark and which bright: “100 to 4000”; with further channels "
    "one such pair for each, with commas between."
)
CHANNEL: Final = (
    "Another image of the same place and size, to be seen together with this one: the "
    "image is red then, the second channel green, the third blue."
)
DIAMETER: Final = (
    "How wide a typical object is. Small ones are enlarged for the model, large ones "
    "reduced, and large images cut into parts that suit it."
)
LINE: Final = "Take it from a line"
LINE_TIP: Final = (
    "The length of the line that is selected in a Shapes layer. If there is none, you "
    "draw one across a typical object."
)
BAD_PERCENT: Final = (
    "Percentiles are two numbers from 0 to 100, the lower one first: 0.5 to 99.8."
)
BAD_FIXED: Final = (
    "Say which intensity is dark and which bright, the lower one first: 100 to 4000."
)
_COLOURS: Final = ("red", "green", "blue")


def contrasts(noun: str, *, colour: bool = False) -> list[tuple[str, str]]:
    """Return (text, value) of every contrast; napari shows colours as they are."""
    offered = [
        (f"Same in each {noun}", STACK),
        (f"Each {noun} by itself", PLANE),
    ]
    if colour:
        return offered
    return [*offered, ("As shown in napari", SHOWN), ("Fixed intensities", FIXED)]


def bad_count(channels: int) -> str:
    """Say that there must be as many pairs as channels."""
    return (
        f"Say dark and bright for each of the {channels} channels, with a comma "
        "between: 100 to 4000, 0 to 900."
    )


def missing(names: Sequence[str]) -> str:
    """Say which channels are not in the viewer."""
    listed = ", ".join(f"“{name}”" for name in names)
    return f"The image was seen together with {listed}: open that, too."


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
