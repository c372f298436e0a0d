"""Which file reads the words of which detector, and where it lies. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from napari_sam.models.known import READERS as PUBLISHED
from napari_sam.models.store import Store
from napari_sam.types import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam.models.known import Known

_CLIP, _MOBILE, _MOBILE2 = PUBLISHED


@dataclass(frozen=True, slots=True)
class Reader:
    """A network that turns words into what a detector compares with.

    Attributes
    ----------
    known : Known
        Its file.
    others : tuple of str
        Names of further files with the same weights, as their publishers call them.
    quick : bool
        It was trained with OpenAI's approximation of GELU.
    """

    known: Known
    others: tuple[str, ...] = ()
    quick: bool = False

    @property
    def title(self) -> str:
        """What people call it."""
        return self.known.title


READERS: Final = {
    "clip:ViT-B/32": Reader(_CLIP, quick=True),
    "mobileclip:blt": Reader(_MOBILE, ("mobileclip_blt.pt",)),
    "mobileclip2:b": Reader(_MOBILE2, ("mobileclip2_b.pt",)),
}
"""By what ultralytics calls them."""


def find_reader(reader: Reader, detector: Path) -> Path:
    """Return the file that reads the words for a detector.

    Beside the detector, as ultralytics leaves it, or in our own folder.

    Raises
    ------
    ModelError
        If it is not there; it says how to get it.
    """
    known = reader.known
    for name in (known.file, *reader.others):
        beside = detector.with_name(name)
        if beside.is_file():
            return beside
    store = Store()
    if store.find(known) is not None:
        return store.require(known)
    raise ModelError(
        f"{detector}: this detector reads words with {known.title}, whose file is not "
        f"on this computer ({known.says_size}, licence: {known.licence}), and nothing "
        f"is downloaded unasked: run: napari-sam models download {known.name}, or put "
        f"{known.file} beside the detector"
    )
