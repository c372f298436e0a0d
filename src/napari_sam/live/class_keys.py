"""Which keys a class may have, and how they are written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from napari_sam.types import NapariSamError

if TYPE_CHECKING:
    from collections.abc import Iterable

# napari cannot tell Shift with a digit from the digit alone, and on many keyboards
# it is no digit at all.
_ALLOWED: Final = re.compile(
    r"(Alt\+)?(Shift\+)?[A-Z]|Alt\+[0-9]|(Shift\+)?F(1[0-2]|[1-9])"
)
_ORDER: Final = ("Ctrl", "Alt", "Shift", "Meta")
_OTHER_NAMES: Final = {"Control": "Ctrl", "Option": "Alt", "Cmd": "Meta"}
USUAL: Final = tuple(f"Alt+{digit}" for digit in range(1, 10))
NONE_KEY: Final = "Alt+0"
"""The key that says: of no class."""


class ClassError(NapariSamError):
    """A class cannot be like that, or a list of classes cannot be read."""


def spelt(key: str) -> str:
    """Return a key in one spelling, so that two can be compared.

    Examples
    --------
    >>> spelt("shift+alt+x"), spelt("Alt-1"), spelt("ctrl + Z")
    ('Alt+Shift+X', 'Alt+1', 'Ctrl+Z')
    """
    parts = [part.strip() for part in re.split(r"(?<=\w)\s*[+-]", key.strip())]
    names = [_OTHER_NAMES.get(p.capitalize(), p.capitalize()) for p in parts if p]
    modifiers = [name for name in _ORDER if name in names[:-1]]
    return "+".join([*modifiers, *names[-1:]])


def class_key(key: str) -> str:
    """Return a key as we write it; empty for none.

    Raises
    ------
    ClassError
        If it is none that a class can have.
    """
    written = spelt(key)
    if written and not _ALLOWED.fullmatch(written):
        raise ClassError(
            f'"{key}" cannot be the key of a class: take Alt with a digit (Alt+1), or '
            "a letter, alone or with Shift or Alt"
        )
    return written


def free_key(used: Iterable[str]) -> str:
    """Return the first of the usual keys that is free; empty where none is."""
    there = {spelt(key) for key in used}
    return next((key for key in USUAL if key not in there), "")
