"""Where results go, and which inputs may go there."""

from __future__ import annotations

import fnmatch
import glob
import itertools
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from napari_sam.images import InputFile, find_inputs
from napari_sam.records import formats
from napari_sam.records.formats.base import PLANE_NAME, with_ending
from napari_sam.records.formats.training import TrainingFolder, flat_name, owner_of
from napari_sam.records.work import FOLDER, TRIAL
from napari_sam.types import ImageError, NapariSamError, OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.records.formats.base import Format


def check_formats(names: Sequence[str]) -> tuple[str, ...]:
    """Return the formats to write, in one order; label TIFFs are always among them.

    Raises
    ------
    OutputError
        If there is no such format.
    """
    return formats.check_names([*names, formats.TIFF])


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of an output folder.

    Attributes
    ----------
    output : Path
    formats : tuple of str
    """

    output: Path
    formats: tuple[str, ...]

    @property
    def further(self) -> tuple[Format, ...]:
        """The formats that have a folder of their own."""
        return formats.of(self.formats)

    @property
    def table(self) -> Path:
        """The objects table of all inputs."""
        return self.output / "objects.csv"

    def folder(self, name: str) -> Path:
        """Return the folder of a format."""
        return self.output / name

    def labels(self, relative: PurePosixPath) -> Path:
        """Return where the label image of an input goes."""
        return self.output / "labels" / with_ending(relative, ".tif")

    def shared(self) -> tuple[Path, ...]:
        """Return the files that hold results of all inputs."""
        more = (one.shared(self.folder(one.name)) for one in self.further)
        return (self.table, *itertools.chain.from_iterable(more))

    def existing(self, relative: PurePosixPath) -> Path | None:
        """Return a result for this input that is there already."""
        places = [self.labels(relative)] if formats.TIFF in self.formats else []
        for one in self.further:
            places += one.places(self.folder(one.name), relative)
        return next((place for place in places if place.exists()), None)


def image_name(item: InputFile) -> str:
    """Return how an input is called in tables: its relative path with suffix."""
    return str(item.relative.with_name(item.path.name))


def select_inputs(inputs: Sequence[str | Path], output: Path) -> list[InputFile]:
    """Find the inputs and leave out results of earlier runs among them.

    Inputs that cannot be found are in the list, with their errors.
    """
    place = output.resolve()
    inside = any(_fixed(given).is_relative_to(place) for given in inputs)
    found = find_inputs(inputs, exclude=None if inside else output)
    if not inside:
        return found
    named = {Path(given) for given in inputs}
    ours = [place / name for name in ("labels", *formats.NAMES[1:], FOLDER, TRIAL)]
    return [
        item
        for item in found
        if item.path in named
        or not any(item.path.resolve().is_relative_to(folder) for folder in ours)
    ]


def matching(items: Sequence[InputFile], patterns: Sequence[str]) -> list[InputFile]:
    """Return the inputs whose relative names match one of some patterns.

    The names are those of tables, with or without suffix, and a pattern without a
    folder is one of names in any folder; without patterns all match.

    Raises
    ------
    ImageError
        If there is a pattern that none matches.
    """
    if not patterns:
        return list(items)
    names = [_names(item) for item in items]
    for pattern in patterns:
        if not any(_matches(each, pattern) for each in names):
            raise ImageError(
                f"no image matches {pattern}: say names as in objects.csv, for example "
                f"{image_name(items[0])}"
            )
    return [
        item
        for item, each in zip(items, names, strict=True)
        if any(_matches(each, pattern) for pattern in patterns)
    ]


def _names(item: InputFile) -> tuple[str, ...]:
    relative = item.relative
    return image_name(item), str(relative), item.path.name, relative.name


def _matches(names: Sequence[str], pattern: str) -> bool:
    # Some systems say an accent with a sign of its own, and people do not.
    pattern = unicodedata.normalize("NFC", pattern)
    plain = (unicodedata.normalize("NFC", name) for name in names)
    return any(fnmatch.fnmatchcase(name, pattern) for name in plain)


def _fixed(given: str | Path) -> Path:
    """Return what is before the first wildcard."""
    path = Path(given)
    while not path.exists() and glob.has_magic(str(path)):
        path = path.parent
    return path.resolve()


def check_collisions(items: Sequence[InputFile], layout: Layout) -> None:
    """Refuse inputs whose results would go to one file.

    Names that differ only in case count as one, since they are one file on
    Windows and macOS.

    Raises
    ------
    OutputError
        Naming both inputs.
    """
    usable = [item for item in items if item.error is None]
    first: dict[str, InputFile] = {}
    for item in usable:
        other = first.setdefault(_key(item.relative), item)
        if other is not item:
            raise _collision(other, item, layout.labels(item.relative))
    for one in layout.further:
        if isinstance(one, TrainingFolder):
            _check_flat(usable, layout.folder(one.name))
        elif one.by_plane:
            _check_planes(usable, first, layout.folder(one.name))


def _check_planes(
    items: Sequence[InputFile], first: dict[str, InputFile], folder: Path
) -> None:
    for item in items:
        stack = first.get(_key(item.relative.parent))
        if stack is not None and PLANE_NAME.fullmatch(item.relative.name):
            raise _collision(stack, item, folder / item.relative)


def _check_flat(items: Sequence[InputFile], folder: Path) -> None:
    names = [_key(flat_name(item.relative)) for item in items]
    owners: dict[str, InputFile] = {}
    for name, item in zip(names, items, strict=True):
        other = owners.setdefault(name, item)
        if other is not item:
            raise _collision(other, item, folder / name)
    for name, item in zip(names, items, strict=True):
        other = owners.get(owner_of(name), item)
        if other is not item:
            raise _collision(other, item, folder / name)


def _key(relative: PurePosixPath | str) -> str:
    return unicodedata.normalize("NFC", str(relative)).casefold()


def _collision(one: InputFile, other: InputFile, place: Path) -> NapariSamError:
    return OutputError(
        f"{one.path} and {other.path} would both be written to {place}: rename one "
        "of them, or annotate them with two commands and two --output folders"
    )
