"""A list of classes as text that people read and edit: one class on a line.

    # Classes: number, name, colour, key. Only the name is needed.
    1, nucleus, #e69f00, Alt+1
    2, "debris, large", #56b4e9, Alt+2

A list of names alone, as YOLO has it, can be read too.
"""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Final

from napari_sam.live.classes import HIGHEST, ClassError, ClassList, ObjectClass
from napari_sam.records.files import write_text

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "classes.txt"
_HEAD: Final = "# Classes: number, name, colour, key. Only the name is needed."
_MOST_BYTES: Final = 1_000_000
_COLOUR: Final = re.compile(r"#[0-9A-Fa-f]{6}")


def to_text(classes: ClassList) -> str:
    """Return a list as text."""
    lines = [
        ", ".join([str(o.number), _quoted(o.name), o.colour, *filter(None, [o.key])])
        for o in classes
    ]
    return "\n".join([_HEAD, *lines]) + "\n"


def from_text(text: str) -> ClassList:
    """Return the list that a text holds.

    Raises
    ------
    ClassError
        Names the line that is wrong.
    """
    entries = []
    for place, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        fields = _fields(line, place)
        if fields:
            entries.append((place, *_parts(fields, place)))
    # Those without a number must not take one that stands further down.
    highest = max((number for _, number, *_ in entries if number), default=0)
    read = ClassList()
    for place, number, *others in entries:
        if number is None:
            number = highest = highest + 1
        read = _taken_in(read, place, number, *others)
    return read


def read_classes(path: Path) -> ClassList:
    """Read a list from a file.

    Raises
    ------
    ClassError
        If it cannot be read or understood.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ClassError(f"{path} is too large to be a list of classes")
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise ClassError(
            f"{path} cannot be read ({error.strerror or error}): check that it is "
            "there and that you may read it"
        ) from error
    except UnicodeError as error:
        raise ClassError(f"{path} is no text: save it as UTF-8") from error
    try:
        return from_text(text)
    except ClassError as error:
        raise ClassError(f"{path}, {error}") from error


def write_classes(path: Path, classes: ClassList) -> None:
    """Write a list to a file, which is there as a whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    write_text(path, to_text(classes))


def _fields(line: str, place: int) -> list[str]:
    if not line.strip() or line.lstrip().startswith("#"):
        return []
    try:
        rows = list(csv.reader([line.strip()], skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise ClassError(
            f"line {place}: a quotation mark is not closed or stands alone ({error})"
        ) from error
    return [field.strip() for field in rows[0]]


def _parts(fields: list[str], place: int) -> tuple[int | None, str, str, str]:
    number = None
    if len(fields) > 1 and fields[0].isdecimal() and not _COLOUR.fullmatch(fields[1]):
        number = int(fields.pop(0)[:12])
        if number > HIGHEST:
            raise ClassError(
                f"line {place}: the number of a class is {HIGHEST} at most"
            )
    name, *others = fields
    colours = [one for one in others if one.startswith("#")]
    keys = [one for one in others if one and not one.startswith("#")]
    if not name or len(colours) > 1 or len(keys) > 1:
        raise ClassError(
            f"line {place}: write number, name, colour and key with commas between "
            'them; a name with a comma in it stands in "…"'
        )
    return number, name, "".join(colours), "".join(keys)


def _taken_in(
    read: ClassList, place: int, number: int, name: str, colour: str, key: str
) -> ClassList:
    try:
        usual = read.add().classes[-1].colour
        one = ObjectClass(number, name, colour or usual, key)
        return ClassList((*read, one), read.used)
    except ClassError as error:
        raise ClassError(f"line {place}: {error}") from error


def _quoted(name: str) -> str:
    if name.startswith("#") or any(sign in name for sign in ',"'):
        doubled = name.replace('"', '""')
        return f'"{doubled}"'
    return name
