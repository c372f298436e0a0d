"""The list of classes beside the journal: a small file, never half-written."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_sam.live.class_text import FILE, read_classes, write_classes
from napari_sam.live.classes import ClassError, ClassList, ObjectClass
from napari_sam.live.threads import say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


def kept_classes(folder: Path) -> ClassList | None:
    """Read the list in a folder; None where there is none.

    Raises
    ------
    ClassError
        If it cannot be read or understood.
    """
    path = folder / FILE
    return read_classes(path) if path.exists() else None


def saved_classes(
    folder: Path, names: Mapping[int, str]
) -> tuple[ClassList, tuple[str, ...]]:
    """Return the classes that were saved, and in one line each what went wrong.

    Parameters
    ----------
    folder : Path
    names : mapping of int to str
        The classes that the objects were of. One that is not in the file (which
        anybody may edit) gets a usual colour.
    """
    read, notes = ClassList(), list[str]()
    try:
        read = kept_classes(folder) or read
    except ClassError as error:
        notes.append(say(error))
    try:
        return _meant(read, names), tuple(notes)
    except ClassError as error:
        return ClassList(), (*notes, say(error))


def _meant(read: ClassList, names: Mapping[int, str]) -> ClassList:
    """Give classes the numbers that objects have; a name counts before a number."""
    numbers = {name.casefold(): number for number, name in names.items()}
    by_name = {numbers.get(one.name.casefold()) for one in read}
    found, used = ClassList(), max(read.used, *names, 0)
    for one in read:
        number = numbers.get(one.name.casefold())
        if number is None:
            number = one.number
            if number in by_name:
                number = used = used + 1
        found = ClassList((*found, replace(one, number=number)), used)
    for number, name in names.items():
        if found.get(number) is None:
            new = found.add().classes[-1]
            one = ObjectClass(number, name, new.colour, new.key)
            found = ClassList((*found, one), found.used)
    return found


class ClassFile:
    """Writes lists into folders, always the newest.

    Parameters
    ----------
    failed : callable
        Is called with one line where it cannot be written, on the thread that writes.
    """

    def __init__(self, failed: Callable[[str], None]) -> None:
        self._failed = failed
        self._lock = threading.Lock()
        self._next: dict[Path, ClassList] = {}
        self._working = False

    def put(self, folder: Path, classes: ClassList) -> None:
        """Write this soon; returns at once."""
        with self._lock:
            self._next[folder] = classes
            if not self._working:
                self._working = True
                # No daemon: it is short, and has to be finished whatever is closed.
                threading.Thread(target=self._work, name="napari-sam classes").start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._next:
                    self._working = False
                    return
                folder = next(iter(self._next))
                classes = self._next.pop(folder)
            try:
                write_classes(folder / FILE, classes)
            except Exception as error:
                self._failed(f"the list of classes cannot be kept ({say(error)})")
