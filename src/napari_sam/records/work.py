"""What a run has done so far, on disk: its options, its inputs, its planes.

Everything lies in `.work` beside the results. Plane files are removed when
their input is complete; the small records stay, since they say which options
the results were made with and which files are ours.
"""

from __future__ import annotations

import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_sam.records.files import atomic_file, explained, locked, write_text
from napari_sam.segment.proposals import Clicks
from napari_sam.segment.result import PlaneResult
from napari_sam.segment.table import COLUMNS
from napari_sam.types import OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from napari_sam.types import ObjectTable

FOLDER: Final = ".work"
TRIAL: Final = "try"  # the folder of what was only tried
_LOCK: Final = "lock"
_INPUT: Final = ".input"
# Of plane files, which are soon removed; it takes half the time of the usual one.
_LEVEL: Final = 3
_UNREADABLE: Final = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


class RunRecord(BaseModel):
    """How the results of an output folder were made.

    Attributes
    ----------
    options : dict
        The recipe, the formats, and which weights of model and detector; a
        run can only be resumed with the same.
    device : str
        Where it ran last; may change between runs.
    overwrite : bool
        Files that are there already may be replaced, until it is finished.
    finished : bool
        The run came to its end; inputs may have failed all the same.
    class_names : list of str
    inputs : list of str
        Relative names of all inputs so far, in their order.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    version: str
    options: dict[str, Any]
    device: str
    overwrite: bool = False
    finished: bool = False
    class_names: list[str]
    inputs: list[str] = Field(default_factory=list)


class InputRecord(BaseModel):
    """What is known about one input.

    Attributes
    ----------
    image : str
        Its name in tables: the relative path with suffix.
    fingerprint : str
        Sizes and times of its files.
    status : {"planes", "writing", "done"}
        "planes": some planes are finished. "writing": from here on the files
        that its results go to are ours. "done": they are complete.
    """

    model_config = ConfigDict(extra="forbid")

    image: str
    path: str
    fingerprint: str
    status: Literal["planes", "writing", "done"] = "planes"
    planes: int
    objects: int = 0
    truncated: int = 0
    axes: str
    stack_axes: str
    pixel_size: dict[str, tuple[float, str]]
    normalization: dict[str, Any]
    link: str
    warnings: list[str] = Field(default_factory=list)


class InputWork:
    """The folder of one input inside `.work`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.table = folder / "objects.csv"
        self.lock = folder / _LOCK
        self._record = folder / "input.json"
        self._planes = folder / "planes"

    def fragment(self, name: str) -> Path:
        """Return where a format keeps what goes into a file of all inputs."""
        return self.folder / f"{name}.jsonl"

    def record(self) -> InputRecord | None:
        """Return what is known; None if nothing (readable) is."""
        try:
            return InputRecord.model_validate_json(self._record.read_bytes())
        except (OSError, ValidationError):
            return None

    def exists(self) -> bool:
        """Whether anything is known, readable or not."""
        return self._record.exists()

    def is_done(self) -> bool:
        """Whether all results of this input are written."""
        record = self.record()
        return record is not None and record.status == "done"

    def save(self, record: InputRecord) -> None:
        """Keep what is known, and with it what was renamed in this folder before."""
        # Planes of which a crash of the machine leaves no record are computed again.
        text = record.model_dump_json(indent=1)
        write_text(self._record, text, durable=record.status != "planes")

    def finished_planes(self) -> set[int]:
        """Return the numbers of the planes that are there."""
        return {int(p.stem) for p in self._planes.glob("*.npz") if p.stem.isdigit()}

    def save_plane(self, number: int, result: PlaneResult) -> None:
        """Keep a finished plane (with ids of the plane alone)."""
        count = len(result.objects["id"])
        kind = np.uint16 if count <= np.iinfo(np.uint16).max else np.uint32
        arrays: dict[str, npt.NDArray[Any]] = {
            "index": np.array(result.index, np.int64),
            "labels": result.labels.astype(kind, copy=False),
            "truncated": np.array(result.truncated),
            "warnings": np.array(result.warnings, np.str_),
            "objects": _packed(result.objects),
        }
        if result.clicks is not None:
            arrays["points"] = result.clicks.points
            arrays["crops"] = result.clicks.crops
        with (
            atomic_file(self._plane_file(number), durable=False) as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as z,
        ):
            for name, array in arrays.items():
                with z.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)

    def load_plane(
        self, number: int, index: tuple[int, ...], shape: tuple[int, int]
    ) -> PlaneResult | None:
        """Return a finished plane; None where it is missing or damaged."""
        try:
            with (
                self._plane_file(number).open("rb") as file,
                np.load(file, allow_pickle=False) as data,
            ):
                result = PlaneResult(
                    tuple(int(i) for i in data["index"]),
                    data["labels"].astype(np.uint32, copy=False),
                    _unpacked(data),
                    bool(data["truncated"]),
                    tuple(str(line) for line in data["warnings"]),
                    Clicks(data["points"], data["crops"]) if "points" in data else None,
                )
        except (*_UNREADABLE, zlib.error):
            return None
        fits = result.index == index and result.labels.shape == shape
        return result if fits else None

    def remove_planes(self) -> None:
        """Forget the finished planes."""
        if self._planes.exists():
            with explained(self._planes):
                shutil.rmtree(self._planes)

    def _plane_file(self, number: int) -> Path:
        return self._planes / f"{number:07d}.npz"


def _packed(objects: ObjectTable) -> npt.NDArray[Any]:
    """Return a table as one array of rows: files of many parts are slow."""
    kinds = [(name, objects[name].dtype) for name in COLUMNS]
    rows = np.empty(len(objects["id"]), kinds)
    for name in COLUMNS:
        rows[name] = objects[name]
    return rows


def _unpacked(data: Mapping[str, npt.NDArray[Any]]) -> ObjectTable:
    if "objects" not in data:  # 0.1.0 wrote an array for each column
        return {name: data[f"objects_{name}"] for name in COLUMNS}
    rows = data["objects"]
    return {name: np.ascontiguousarray(rows[name]) for name in COLUMNS}


class Workspace:
    """The `.work` folder of an output folder."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.folder = output / FOLDER
        self.lock = self.folder / _LOCK
        self._run = self.folder / "run.json"

    def input(self, relative: PurePosixPath | str) -> InputWork:
        """Return the place of an input by its relative name."""
        # The ending keeps an input `a` apart from inputs in a folder `a`.
        place = PurePosixPath(relative)
        return InputWork(self.folder / place.with_name(f"{place.name}{_INPUT}"))

    def record(self) -> RunRecord | None:
        """Return how the results here were made; None if there are none.

        Raises
        ------
        OutputError
            If there is a record that cannot be understood.
        """
        try:
            text = self._run.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OutputError(
                f"{self._run} cannot be read ({error.strerror}): check its "
                "permissions, or choose another folder with --output"
            ) from error
        try:
            return RunRecord.model_validate_json(text)
        except ValidationError:
            raise OutputError(
                f"{self._run} is damaged or of another version: add --overwrite to "
                "start anew, or choose another folder with --output"
            ) from None

    def save(self, record: RunRecord) -> None:
        """Keep how the results here are made."""
        write_text(self._run, record.model_dump_json(indent=1))

    def part_lock(self, number: int, count: int) -> Path:
        """Return what a run holds that does only a part of the inputs."""
        return self.folder / f"{number} of {count}.{_LOCK}"

    def part_locks(self) -> list[Path]:
        """Return those of all parts that there were."""
        found = self.folder.glob(f"* of *.{_LOCK}")
        return sorted(lock for lock in found if lock.is_file())

    def clear(self) -> None:
        """Forget everything; results stay where they are.

        Raises
        ------
        OutputError
            If a worker of an earlier run is still at it.
        """
        for lock in self.folder.rglob(f"*{_INPUT}/{_LOCK}"):
            with locked(lock, lock.parent):
                pass
        kept = {self.lock, *self.part_locks()}
        with explained(self.folder):
            for child in self.folder.iterdir():
                if child.is_dir():
                    shutil.rmtree(child)
                elif child not in kept:
                    child.unlink()
