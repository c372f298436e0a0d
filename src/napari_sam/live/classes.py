"""The classes that objects can be of: a list that a person edits. No Qt, no napari.

A list never changes: every edit returns a new one, so that it can be taken back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from napari_sam.live.class_keys import (
    NONE_KEY,
    ClassError,
    class_key,
    free_key,
    spelt,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

__all__ = ["NO_COLOUR", "ClassError", "ClassList", "ObjectClass"]

# Okabe and Ito's colours, then Tol's muted ones: they differ for everybody.
COLOURS: Final = (
    *("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"),
    *("#88ccee", "#aa4499", "#ddcc77", "#44aa99", "#882255", "#999933", "#332288"),
)
NO_COLOUR: Final = "#9a9a9a"
"""How objects of no class look."""

HIGHEST: Final = 1_000_000
_LONGEST: Final = 60
_COLOUR: Final = re.compile(r"#[0-9a-f]{6}")


@dataclass(frozen=True, slots=True)
class ObjectClass:
    """One class.

    Attributes
    ----------
    number : int
        What the records of objects say; 1 or more, never given to another class.
    name : str
    colour : str
        For example "#e69f00".
    key : str
        Gives this class to the object under the mouse; empty for none.
    """

    number: int
    name: str
    colour: str
    key: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.number <= HIGHEST:
            raise ClassError(
                f"{self.number} cannot be the number of a class: take one from 1 to "
                f"{HIGHEST}"
            )
        name = " ".join(self.name.split())
        if not name or len(name) > _LONGEST or not name.isprintable():
            raise ClassError(
                f'"{name[:_LONGEST]}" cannot be the name of a class: take one to '
                f"{_LONGEST} letters"
            )
        colour = self.colour.strip().lower()
        if not _COLOUR.fullmatch(colour):
            raise ClassError(
                f'"{self.colour}" is no colour: write it as #rrggbb, for example '
                f"{COLOURS[0]}"
            )
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "colour", colour)
        object.__setattr__(self, "key", class_key(self.key))


@dataclass(frozen=True, slots=True)
class ClassList:
    """Classes in the order in which they are shown.

    Names differ, also without regard to capitals; so do numbers and keys.

    Attributes
    ----------
    classes : tuple of ObjectClass
    used : int
        The highest number that was ever given; no new class gets it again.

    Raises
    ------
    ClassError
        If two have the same number, name or key.
    """

    classes: tuple[ObjectClass, ...] = ()
    used: int = 0

    def __post_init__(self) -> None:
        seen: dict[str, ObjectClass] = {}
        for one in self.classes:
            _first(seen, f"number {one.number}", f"the number {one.number}", one)
            _first(seen, f"name {one.name.casefold()}", f'the name "{one.name}"', one)
            if one.key == NONE_KEY:
                raise ClassError(f"{NONE_KEY} stands for no class: take another key")
            if one.key:
                _first(seen, f"key {one.key}", f"the key {one.key}", one)
        highest = max((one.number for one in self.classes), default=0)
        object.__setattr__(self, "used", max(self.used, highest))

    def __iter__(self) -> Iterator[ObjectClass]:
        return iter(self.classes)

    def __len__(self) -> int:
        return len(self.classes)

    def get(self, number: int) -> ObjectClass | None:
        """Return the class with this number; None where there is none."""
        return next((one for one in self.classes if one.number == number), None)

    def named(self, name: str) -> ObjectClass | None:
        """Return the class with this name, whatever its capitals."""
        wanted = " ".join(name.split()).casefold()
        return next((o for o in self.classes if o.name.casefold() == wanted), None)

    @property
    def names(self) -> dict[int, str]:
        """The names, by number."""
        return {one.number: one.name for one in self.classes}

    @property
    def colours(self) -> dict[int, str]:
        """The colours, by number."""
        return {one.number: one.colour for one in self.classes}

    @property
    def keys(self) -> frozenset[str]:
        """The keys of all classes."""
        return frozenset(one.key for one in self.classes if one.key)

    # Edits.

    def add(
        self, name: str = "", *, taken: Mapping[str, str] | None = None
    ) -> ClassList:
        """Return the list with one more class, of a colour and a key of its own.

        Parameters
        ----------
        name : str
            Empty for one that nothing has yet: "class 3".
        taken : mapping of str to str, optional
            Keys that do something else, and what.
        """
        number = self.used + 1
        new = ObjectClass(
            number,
            name or self._free_name(number),
            self._free_colour(),
            free_key((*self.keys, *(taken or {}))),
        )
        return replace(self, classes=(*self.classes, new))

    def change(
        self, number: int, *, taken: Mapping[str, str] | None = None, **fields: Any
    ) -> ClassList:
        """Return the list with another name, colour or key of one class.

        Parameters
        ----------
        number : int
        taken : mapping of str to str, optional
            Keys that do something else, and what.
        **fields
            Of `ObjectClass`.

        Raises
        ------
        ClassError
            If it cannot be like that.
        """
        changed = [
            replace(one, **fields) if one.number == number else one for one in self
        ]
        if "key" in fields:
            _check_free(fields["key"], taken or {})
        return replace(self, classes=tuple(changed))

    def remove(self, number: int) -> ClassList:
        """Return the list without a class; its number stays used."""
        left = tuple(one for one in self.classes if one.number != number)
        return replace(self, classes=left)

    def without_keys(self, taken: Collection[str]) -> ClassList:
        """Return the list without those keys that do something else."""
        busy = {spelt(key) for key in taken}
        return self._with(
            replace(one, key="") if one.key in busy else one for one in self
        )

    # Lists that meet.

    def mapped(self, names: Sequence[str]) -> tuple[ClassList, tuple[int, ...]]:
        """Find a detector's classes by name; those that are missing are added.

        Returns
        -------
        ClassList
        tuple of int
            The number of each name.
        """
        now, numbers = self, []
        for name in names:
            short = " ".join(name.split())[:_LONGEST].strip() or "object"
            if (known := now.named(short)) is None:
                now = now.add(short)
                known = now.classes[-1]
            numbers.append(known.number)
        return now, tuple(numbers)

    def joined(self, others: Iterable[ObjectClass]) -> ClassList:
        """Return this list, and behind it those that it has no name for."""
        now = self
        for one in others:
            if now.named(one.name) is None:
                key = "" if one.key in now.keys else one.key
                now = now._with((*now, replace(one, number=now.used + 1, key=key)))
        return now

    def replaced(self, new: ClassList, keep: Collection[int]) -> ClassList:
        """Return another list for the same objects: a name keeps its number.

        Parameters
        ----------
        new : ClassList
        keep : collection of int
            Numbers that objects have: those classes stay, also if they are not in
            the new list.
        """
        now = ClassList(used=max(self.used, new.used))
        kept = {one.number for one in self}
        for one in new:
            known = self.named(one.name)
            if known is not None:
                number = known.number
            else:
                number = now.used + 1 if one.number in kept else one.number
            now = now._with((*now, replace(one, number=number)))
        return now._with(
            (
                *now,
                *(
                    replace(one, key="" if one.key in now.keys else one.key)
                    for one in self
                    if one.number in keep and now.get(one.number) is None
                ),
            )
        )

    def _with(self, classes: Iterable[ObjectClass]) -> ClassList:
        return replace(self, classes=tuple(classes))

    def _free_name(self, number: int) -> str:
        while self.named(f"class {number}") is not None:
            number += 1
        return f"class {number}"

    def _free_colour(self) -> str:
        there = [one.colour for one in self.classes]
        return min(COLOURS, key=lambda colour: there.count(colour))


def _first(seen: dict[str, Any], key: str, what: str, one: ObjectClass) -> None:
    other = seen.setdefault(key, one)
    if other is not one:
        raise ClassError(f'{what} is taken already, by the class "{other.name}"')


def _check_free(key: str, taken: Mapping[str, str]) -> None:
    busy = {spelt(name): what for name, what in taken.items()}
    what = busy.get(spelt(key)) if key else None
    if what is not None:
        raise ClassError(f"{spelt(key)} is taken already: {what}")
