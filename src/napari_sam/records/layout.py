"""Where results go, and which inputs may go there."""

from __future__ import annotations

import glob
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, Literal, get_args

from napari_sam.images import InputFile, find_inputs
from napari_sam.records.files import explained
from napari_sam.records.work import FOLDER
from napari_sam.types import NapariSamError, OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence

Format = Literal["tiff", "yolo", "coco", "sa1b", "ctc"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

_PLANE_NAME: Final = re.compile(r"[tz]\d{4,}(_[tz]\d{4,})?", re.IGNORECASE)


def check_formats(names: Sequence[str]) -> tuple[Format, ...]:
    """Return the formats to write, in one order; label TIFFs are always among them.

    Raises
    ------
    OutputError
        If there is no such format.
    """
    wanted = {name.strip().lower() for name in names}
    for name in sorted(wanted - set(FORMATS)):
        raise OutputError(
            f"there is no format {name!r}: choose from {', '.join(FORMATS)}"
        )
    return tuple(name for name in FORMATS if name in wanted | {"tiff"})


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of an output folder.

    Attributes
    ----------
    output : Path
    formats : tuple of str
    """

    output: Path
    formats: tuple[Format, ...]

    @property
    def table(self) -> Path:
        """The objects table of all inputs."""
        return self.output / "objects.csv"

    @property
    def coco(self) -> Path:
        """The COCO annotations of all inputs."""
        return self.output / "coco" / "annotations.json"

    @property
    def yolo(self) -> Path:
        """The folder of the YOLO rows."""
        return self.output / "yolo"

    @property
    def yolo_classes(self) -> Path:
        """The class names of the YOLO rows."""
        return self.yolo / "classes.yaml"

    @property
    def sa1b(self) -> Path:
        """The folder of the records in SA-1B's format."""
        return self.output / "sa1b"

    def labels(self, relative: PurePosixPath) -> Path:
        """Return where the label image of an input goes."""
        return self.output / "labels" / _with_ending(relative, ".tif")

    def yolo_plane(self, relative: PurePosixPath, places: dict[str, int]) -> Path:
        """Return where the YOLO rows of a plane go.

        `<relative>.txt` for a single image; for a stack one file per plane in
        the folder `<relative>`, named by its place: `t0002_z0010.txt`.
        """
        return _plane(self.yolo, relative, places, ".txt")

    def sa1b_plane(self, relative: PurePosixPath, places: dict[str, int]) -> Path:
        """Return where the record of a plane goes: as the YOLO rows, in JSON."""
        return _plane(self.sa1b, relative, places, ".json")

    @property
    def ctc(self) -> Path:
        """The folder of the label images in the Cell Tracking Challenge's layout."""
        return self.output / "ctc"

    def ctc_folder(self, relative: PurePosixPath) -> Path:
        """Return where the sequence of an input goes (`01_RES`)."""
        return self.ctc / relative

    def shared(self) -> tuple[Path, ...]:
        """Return the files that hold results of all inputs."""
        return (self.table, *((self.coco,) if "coco" in self.formats else ()))

    def existing(self, relative: PurePosixPath) -> Path | None:
        """Return a result for this input that is there already."""
        places = [self.labels(relative)]
        if "yolo" in self.formats:
            places += [self.yolo_plane(relative, {}), self.yolo / relative]
        if "sa1b" in self.formats:
            places += [self.sa1b_plane(relative, {}), self.sa1b / relative]
        if "ctc" in self.formats:
            places += [self.ctc_folder(relative)]
        return next((place for place in places if place.exists()), None)

    def remove_yolo(self, relative: PurePosixPath) -> None:
        """Remove the rows of an earlier run, which may have had other planes."""
        _remove(self.yolo_plane(relative, {}), self.yolo / relative)

    def remove_sa1b(self, relative: PurePosixPath) -> None:
        """Remove the records of an earlier run, which may have had other planes."""
        _remove(self.sa1b_plane(relative, {}), self.sa1b / relative)


def _plane(
    folder: Path, relative: PurePosixPath, places: dict[str, int], ending: str
) -> Path:
    if not places:
        return folder / _with_ending(relative, ending)
    name = "_".join(f"{axis}{at:04d}" for axis, at in places.items())
    return folder / relative / f"{name}{ending}"


def _remove(single: Path, folder: Path) -> None:
    planes = (
        place
        for place in folder.glob(f"*{single.suffix}")
        if _PLANE_NAME.fullmatch(place.stem)
    )
    for place in (single, *planes):
        with explained(place):
            place.unlink(missing_ok=True)


def _with_ending(relative: PurePosixPath, ending: str) -> PurePosixPath:
    # Not `with_suffix`: that would cut "plate.v2" at its dot.
    return relative.with_name(f"{relative.name}{ending}")


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
    ours = [place / name for name in ("labels", *FORMATS[1:], FOLDER)]
    return [
        item
        for item in found
        if item.path in named
        or not any(item.path.resolve().is_relative_to(folder) for folder in ours)
    ]


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
    if not {"yolo", "sa1b"} & set(layout.formats):
        return  # the others have no files for single planes
    for item in usable:
        stack = first.get(_key(item.relative.parent))
        if stack is not None and _PLANE_NAME.fullmatch(item.relative.name):
            place = layout.yolo_plane if "yolo" in layout.formats else layout.sa1b_plane
            raise _collision(stack, item, place(item.relative, {}))


def _key(relative: PurePosixPath) -> str:
    return unicodedata.normalize("NFC", str(relative)).casefold()


def _collision(one: InputFile, other: InputFile, place: Path) -> NapariSamError:
    return OutputError(
        f"{one.path} and {other.path} would both be written to {place}: rename one "
        "of them, or annotate them with two commands and two --output folders"
    )
