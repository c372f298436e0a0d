"""What may be asked for, and which detectors can be asked. No torch here."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari_sam.models.sniff import Kind, inspect_file
from napari_sam.types import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST: Final = 100
"""Words at a time: each takes time and memory on every plane."""

_LONGEST: Final = 200  # characters; what reads words takes about 75 pieces of them
_BETWEEN: Final = re.compile(r"[,;\n，、；]")
_TASKS: Final = "ultralytics.nn.tasks."
_WORLD: Final = f"{_TASKS}WorldModel"
_YOLOE: Final = {f"{_TASKS}YOLOEModel", f"{_TASKS}YOLOESegModel"}
# What turns words into classes; it is gone from files whose classes are settled.
_UNSETTLED: Final = "ultralytics.nn.modules.block.SwiGLUFFN"
_CLASSES_OF_YOLOE: Final = "pe"  # the attribute that `set_classes` sets
_SAM3_READS: Final = "detector.backbone.language_backbone."


@dataclass(frozen=True, slots=True)
class Asked:
    """What a detector can be asked for.

    Attributes
    ----------
    words : bool
        What words say.
    alone : bool
        It finds something if it is asked for nothing, too.
    examples : bool
        What looks like examples (`find_alike`).
    """

    words: bool = False
    alone: bool = True
    examples: bool = False


NOTHING: Final = Asked()
"""For a detector that finds what it always finds."""


def split_words(text: str) -> tuple[str, ...]:
    """Return what a person has typed as single words, or expressions of a few.

    Examples
    --------
    >>> split_words("nucleus,  blue   cell ,, Nucleus;")
    ('nucleus', 'blue cell')
    """
    found: dict[str, str] = {}
    for part in _BETWEEN.split(text):
        if word := " ".join(part.split()):
            found.setdefault(word.casefold(), word)
    return tuple(found.values())


def check_words(words: Iterable[str]) -> tuple[str, ...]:
    """Return words without spare blanks.

    Raises
    ------
    ModelError
        If one is empty, too long, or there twice, or they are too many.
    """
    tidy = tuple(" ".join(word.split()) for word in words)
    if len(tidy) > MOST:
        raise ModelError(
            f"{len(tidy)} words are too many: look for at most {MOST} at a time"
        )
    known = set()
    for word in tidy:
        if not word:
            raise ModelError("a word is empty: leave it out, or say what to look for")
        if len(word) > _LONGEST:
            raise ModelError(
                f'"{word[:40]}…" is too long: say it in a few words, such as '
                '"blue cell"'
            )
        if word.casefold() in known:
            raise ModelError(
                f'"{word}" is there twice: each word is a class of its own'
            )
        known.add(word.casefold())
    return tidy


def can_be_asked(name: str | Path) -> Asked:
    """Return what a detector can be asked for; nothing is loaded.

    A file is read as far as its list of weights: not for the thread that draws.

    Parameters
    ----------
    name : str or Path
        As for `load_detector`. What is no detector can be asked for nothing: loading
        it will say why.
    """
    from napari_sam.models.known import by_name
    from napari_sam.models.store import Store

    known = by_name(str(name))
    path = Path(name) if known is None else Store().find(known)
    try:
        return NOTHING if path is None or not path.is_file() else _of_file(path)
    except (ModelError, OSError, ValueError):
        return NOTHING


def _of_file(path: Path) -> Asked:
    contents = inspect_file(path)
    program = contents.program
    if contents.kind is Kind.DETECTOR:
        if _WORLD in program.makes:
            return Asked(words=True)
        if program.makes & _YOLOE and _UNSETTLED in program.makes:
            alone = _CLASSES_OF_YOLOE in program.tensors
            return Asked(words=True, alone=alone, examples=True)
        return NOTHING
    names: Iterable[str] = program.tensors
    if contents.kind is Kind.SAFETENSORS:
        names = _names(path)
    if any(name.startswith(_SAM3_READS) for name in names):
        return Asked(words=True, alone=False, examples=True)
    return NOTHING


def _names(path: Path) -> Sequence[str]:
    """Return the names of the tensors in a safetensors file."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return list(json.loads(file.read(length)))
