"""Save: a label image, a table, and what was drawn, so that it can go on later.

In the folder lie `labels/<image>.tif` and `objects.csv`, as `napari-sam annotate`
writes them, and `prompts.json`. `loading.load` reads all three. Where not everything
is complete, `known/<image>.tif` says of each pixel whether the label there is the
truth (1), or is to be ignored by who learns from it (0).
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.live.disk.kept.errors import reason
from napari_sam.live.disk.kept.saved import (
    KNOWN,
    LABELS,
    PROGRESS,
    PROMPTS,
    TABLE,
    ImageText,
    SavedText,
    SaveError,
    file_name,
    read_saved,
)
from napari_sam.live.disk.kept.sheet import Sheet
from napari_sam.live.disk.kept.written import prompts_to_json
from napari_sam.live.proofreading.progress_text import progress_to_json
from napari_sam.live.replay.text import REPLAY, digest, text_of
from napari_sam.records.files import atomic_file, explained, sync_folder, write_text
from napari_sam.records.labels import PixelSize, label_dtype, write_labels
from napari_sam.records.work import FOLDER
from napari_sam.types import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import numpy.typing as npt

    from napari_sam.live.disk.snapshot import Snapshot
    from napari_sam.live.proofreading.progress import Progress

__all__ = ["ImageText", "SaveError", "Saved", "existing", "save"]


@dataclass(frozen=True, slots=True)
class Saved:
    """What was written.

    Attributes
    ----------
    folder, labels, table, prompts : Path
    objects : int
    known : Path or None
        Which pixels are the truth; None where all are, or nobody said.
    """

    folder: Path
    labels: Path
    table: Path
    prompts: Path
    objects: int
    known: Path | None = None


class _Stopped(Exception):
    """It is no longer wanted."""


def existing(folder: Path, image: ImageText) -> Path | None:
    """Return an earlier save of this image that would be replaced, if there is one.

    Raises
    ------
    SaveError
        If the folder holds something that is never replaced: labels of another
        image, results of `napari-sam annotate`.
    """
    if (folder / FOLDER).exists():
        raise SaveError(
            f"{folder} holds results of automatic annotation: choose another folder"
        )
    earlier = read_saved(folder)
    if earlier is not None:
        if not _same(earlier.image, image):
            raise SaveError(
                f'{folder} holds the labels of another image ("{earlier.image.name}"): '
                "choose another folder"
            )
        return folder / PROMPTS
    for place in (
        folder / TABLE,
        folder / REPLAY,
        _labels_path(folder, image, None),
    ):
        if place.exists():
            raise SaveError(f"{place} was not saved here: choose another folder")
    return None


def save(
    folder: Path,
    snapshot: Snapshot,
    image: ImageText,
    *,
    pixel_size: PixelSize | None = None,
    classes: Mapping[int, str] | None = None,
    state: Mapping[str, Any] | None = None,
    complete: Progress | None = None,
    texts: Mapping[str, str] | None = None,
    more: Mapping[str, Mapping[int, Any]] | None = None,
    record: Callable[[], Iterable[str] | None] = lambda: None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda done, of: None,
    still_wanted: Callable[[], bool] = lambda: True,
) -> Saved | None:
    """Write labels, table and prompts; on any thread but the one that draws.

    All files are written beside their places first, so that an earlier save stays
    whole if something goes wrong.

    Parameters
    ----------
    folder : Path
        For one image.
    snapshot : Snapshot
        Read and finished.
    image : ImageText
    pixel_size : mapping of axis to (size, unit), optional
        In micrometres and seconds.
    classes : mapping of int to str, optional
        The names of the classes.
    state : mapping, optional
        Plain values that `load` gives back.
    complete : Progress, optional
        What is complete; `load` gives it back. What is not is never background: see
        `known/<image>.tif`.
    texts : mapping of str to str, optional
        Small texts by the names of their files.
    more : mapping of str to mapping of int to value, optional
        Further columns of the table, by object.
    record : callable, optional
        Returns what was done, see `Recorder.until_now`; it goes into `replay.toml`.
    overwrite : bool
        An earlier save of the same image may be replaced.
    progress : callable
        Gets how many slices of how many are written.
    still_wanted : callable

    Returns
    -------
    Saved or None
        None where it was no longer wanted; then nothing has changed.

    Raises
    ------
    SaveError
        If it cannot be written, or something is there already.
    """
    earlier = existing(folder, image)
    if earlier is not None and not overwrite:
        raise SaveError(
            f"{folder} holds saved labels of this image: replace them, or choose "
            "another folder"
        )
    for name in () if earlier else (texts or {}):
        if (folder / name).exists():
            raise SaveError(
                f"{folder / name} was not saved here: choose another folder"
            )
    labels = _labels_path(folder, image, read_saved(folder) if earlier else None)
    known = folder / KNOWN / labels.name
    partly = complete is not None and not complete.finished
    said = {} if complete is None else {PROGRESS: progress_to_json(complete)}
    text = SavedText(
        program=_program(),
        image=image,
        labels=labels.relative_to(folder).as_posix(),
        next_id=snapshot.next_id,
        classes=dict(classes or {}),
        state={**(state or {}), **said},
    )
    made = not folder.exists()
    try:
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as beside:
                parts = Path(beside)
                job = _Job(
                    snapshot, image, dict(pixel_size or {}), text.classes, more or {}
                )
                job.write(parts, progress, still_wanted)
                if complete is not None and partly:
                    job.write_known(parts, complete, still_wanted)
                _write_prompts(parts / PROMPTS, text, snapshot)
                if (actions := record()) is not None:
                    _write_replay(parts / REPLAY, text, snapshot, actions)
                _put_in_place(parts, folder, labels, known)
                for name, words in (texts or {}).items():
                    write_text(folder / name, words)
    except _Stopped:
        _remove_empty(folder, made)
        return None
    except OutputError as error:
        _remove_empty(folder, made)
        raise SaveError(
            f"the labels cannot be saved in {folder} ({reason(error)}): choose another "
            "folder, or free some space; nothing that was there has changed"
        ) from error
    return Saved(
        folder,
        labels,
        folder / TABLE,
        folder / PROMPTS,
        len(snapshot.records),
        known if partly else None,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """Writes the pixels, and the table while they pass."""

    snapshot: Snapshot
    image: ImageText
    pixel_size: dict[str, tuple[float, str]]
    classes: Mapping[int, str]
    more: Mapping[str, Mapping[int, Any]]

    def write(
        self,
        parts: Path,
        progress: Callable[[int, int], None],
        still_wanted: Callable[[], bool],
    ) -> None:
        shape = self.snapshot.shape
        highest = max(self.snapshot.records, default=0)
        with atomic_file(parts / TABLE) as file:
            sheet = Sheet(
                file,
                image=self.image.name,
                stack_axes=self.image.stack_axes,
                pixel_size=self.pixel_size,
                classes=self.classes,
                more=self.more,
            )

            def planes() -> Iterator[npt.NDArray[Any]]:
                count = math.prod(shape[:-2])
                for number, index in enumerate(self.snapshot.indices()):
                    if not still_wanted():
                        raise _Stopped
                    plane = self.snapshot.plane(index)
                    sheet.add(index, plane, self.snapshot.records)
                    yield plane
                    progress(number + 1, count)

            try:
                write_labels(
                    parts / "labels.tif",
                    planes(),
                    axes=self.image.stack_axes + "YX",
                    shape=shape,
                    dtype=label_dtype(highest),
                    pixel_size=self.pixel_size,
                )
            finally:
                sheet.close()

    def write_known(
        self, parts: Path, complete: Progress, still_wanted: Callable[[], bool]
    ) -> None:
        """Write which pixels are the truth; objects of people are it anywhere."""
        records = self.snapshot.records.values()
        trusted = {r.id for r in records if r.reviewed or r.source == "person"}

        def planes() -> Iterator[npt.NDArray[Any]]:
            for index in self.snapshot.indices():
                if not still_wanted():
                    raise _Stopped
                plane = self.snapshot.plane(index)
                yield complete.exportable(index, plane, trusted)[1].astype(np.uint8)

        write_labels(
            parts / "known.tif",
            planes(),
            axes=self.image.stack_axes + "YX",
            shape=self.snapshot.shape,
            dtype=np.uint8,
            pixel_size=self.pixel_size,
        )


def _write_prompts(path: Path, text: SavedText, snapshot: Snapshot) -> None:
    start = text.model_dump(mode="json", exclude={"prompts"})
    head = json.dumps(start, indent=1, ensure_ascii=False).removesuffix("\n}")
    with atomic_file(path) as file:
        file.write(f'{head},\n "prompts": {{'.encode())
        comma = "\n"
        # One by one: a long text would be made in one go, and others would wait.
        for number, record in snapshot.records.items():
            if record.prompts:
                line = json.dumps(prompts_to_json(record.prompts))
                file.write(f'{comma}  "{number}": {line}'.encode())
                comma = ",\n"
        file.write(b"\n }\n}\n")


def _write_replay(
    path: Path, text: SavedText, snapshot: Snapshot, actions: Iterable[str]
) -> None:
    labels = digest(snapshot.plane(index) for index in snapshot.indices())
    with atomic_file(path) as file:
        for part in text_of(text.image, text.program, labels, actions):
            file.write(part.encode())


def _put_in_place(parts: Path, folder: Path, labels: Path, known: Path) -> None:
    labels.parent.mkdir(exist_ok=True)
    _put_known(parts / "known.tif", known)
    (parts / "labels.tif").replace(labels)
    (parts / TABLE).replace(folder / TABLE)
    (parts / PROMPTS).replace(folder / PROMPTS)
    if (parts / REPLAY).exists():
        (parts / REPLAY).replace(folder / REPLAY)
    else:  # an older one is of other labels
        (folder / REPLAY).unlink(missing_ok=True)
    sync_folder(labels.parent)
    sync_folder(folder)


def _put_known(written: Path, known: Path) -> None:
    if written.exists():
        known.parent.mkdir(exist_ok=True)
        written.replace(known)
        sync_folder(known.parent)
    elif known.exists():
        known.unlink()
        _remove_empty(known.parent, True)


def _labels_path(folder: Path, image: ImageText, earlier: SavedText | None) -> Path:
    if earlier is not None:
        return folder / earlier.labels
    return folder / LABELS / f"{file_name(image.name)}.tif"


def _same(one: ImageText, other: ImageText) -> bool:
    if one.shape != other.shape:
        return False
    known = bool(one.fingerprint and other.fingerprint)
    return one.fingerprint == other.fingerprint if known else one.name == other.name


def _remove_empty(folder: Path, made: bool) -> None:
    if made:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _program() -> str:
    try:
        return (
            f"napari-sam-annotator {importlib.metadata.version('napari-sam-annotator')}"
        )
    except importlib.metadata.PackageNotFoundError:
        return "napari-sam-annotator"  # run from the source tree
