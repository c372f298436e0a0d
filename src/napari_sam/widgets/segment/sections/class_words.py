"""What is said about classes."""

from __future__ import annotations

from typing import Final

NONE: Final = "none"
ABOUT: Final = (
    "New objects are of the class that is chosen here. Point at an object and press "
    "the key of a class to give it that class."
)
TIP: Final = "Double-click to change it."


def given(number: int, name: str) -> str:
    """Say that an object has a class now.

    Examples
    --------
    >>> given(12, "mitosis"), given(12, "")
    ('Object 12: mitosis.', 'Object 12: no class.')
    """
    return f"Object {number}: {name or 'no class'}."


def chosen(name: str) -> str:
    """Say of which class new objects are.

    Examples
    --------
    >>> chosen("mitosis"), chosen("")
    ('New objects: mitosis.', 'New objects: no class.')
    """
    return f"New objects: {name or 'no class'}."


def removed(name: str, count: int) -> str:
    """Say that a class is gone.

    Examples
    --------
    >>> removed("debris", 0), removed("debris", 3)
    ('The class “debris” is removed.', \
'The class “debris” is removed: 3 objects have none now.')
    """
    text = f"The class “{name}” is removed"
    if not count:
        return f"{text}."
    return f"{text}: {count:,} object{'s have' if count != 1 else ' has'} none now."


def loaded(count: int, kept: int) -> str:
    """Say what a list has that was opened.

    Examples
    --------
    >>> loaded(4, 0), loaded(4, 1)
    ('4 classes.', '4 classes. 1 more stays, since objects are of it.')
    """
    text = f"{count:,} class{'es' * (count != 1)}."
    if not kept:
        return text
    stay = "stays, since objects are of it" if kept == 1 else "stay, since objects are"
    return f"{text} {kept:,} more {stay}{'' if kept == 1 else ' of them'}."
