"""Write labels that exist already in other formats."""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam.images import InputFile, find_inputs
from napari_sam.records import formats as known_formats
from napari_sam.records import tables
from napari_sam.records.export import Export
from napari_sam.records.files import (
    DiskFullError,
    explained,
    locked,
    prepare_folder,
    remove_parts,
)
from napari_sam.records.foreign import drawn, find_labels
from napari_sam.records.formats.base import Options, Page, Shared
from napari_sam.records.layout import Layout, check_collisions
from napari_sam.records.report import InputReport, Kind, Listener, Progress, RunReport
from napari_sam.records.sources import (
    NO_CLASS,
    LabelSource,
    Source,
    class_names_of,
    image_of,
)
from napari_sam.records.work import FOLDER, InputWork
from napari_sam.segment.number import Numbers
from napari_sam.types import ImageError, NapariSamError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from napari_sam.images import ImageStack

_WORK: Final = ".exporting"
# What says that a folder is somebody's own, which an export would spoil.
_TAKEN: Final = (FOLDER, "prompts.json")


def export(
    labels: Sequence[str | Path],
    output: str | Path,
    formats: Sequence[str],
    *,
    images: str | Path | None = None,
    complete: bool = False,
    options: Options | None = None,
    overwrite: bool = False,
    progress: Listener = lambda event: None,
) -> RunReport:
    """Write labels in other formats, plane by plane.

    Parameters
    ----------
    labels : sequence of str or Path
        Label images, folders of them, results of `annotate`, folders that the viewer
        saved, files that `napari_sam.records.reading` can read. Of what is not complete
        only the rest goes into formats to train with.
    output : str or Path
        `objects.csv` and a folder for each format.
    formats : sequence of str
        Of `napari_sam.records.formats.NAMES`.
    images : str or Path, optional
        The images, for formats that hold them and labels that do not say how large
        their image is: a file, or a folder in which they have the labels' relative path
        without suffix.
    complete : bool
        Take every slice as complete.
    options : Options, optional
    overwrite : bool
        Replace results that are there already.
    progress : callable
        Gets a `Progress` for everything that happens.

    Raises
    ------
    NapariSamError
        Before anything is written: no such format, no labels, no images, results that
        are there or would collide.
    """
    layout = Layout(Path(output), known_formats.check_names(formats))
    if not layout.formats:
        names = ", ".join(known_formats.NAMES)
        raise OutputError(f"choose a format with --format: {names}")
    sources = find_labels(labels, complete=complete)
    if any((layout.output / name).exists() for name in _TAKEN):
        raise OutputError(
            f"{layout.output} holds results of annotate or labels that were saved: "
            "choose another folder with --output"
        )
    found = _images(layout, images)
    usable = [one for one in sources if not one.error]
    check_collisions([InputFile(_shown(one), one.relative) for one in usable], layout)
    if not overwrite:
        _refuse_existing(layout, usable)
    work = layout.output / _WORK
    prepare_folder(layout.output)
    prepare_folder(work)
    with locked(work / "lock", layout.output):
        remove_parts(layout.output)
        plain = [one for one in usable if one.load is None]
        classes = list(class_names_of(plain)) if plain else []
        job = _Delivery(layout, work / "parts", classes, images, found, complete)
        try:
            return job.over(sources, options or Options(), progress)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _shown(source: Source) -> Path:
    """Return how to call a source, of which there may be many in one file."""
    return source.path if source.load is None else source.path / source.image


def _images(layout: Layout, images: str | Path | None) -> dict[str, Path]:
    if images is None:
        needing = [one.name for one in layout.further if one.pixels]
        if needing:
            raise OutputError(
                f"the format {needing[0]} holds the images, too: say where they are "
                "with --images"
            )
        return {}
    items = find_inputs([images])
    wrong = [item.error for item in items if item.error is not None]
    if wrong:
        raise wrong[0]
    return {str(item.relative): item.path for item in items}


def _refuse_existing(layout: Layout, sources: Sequence[Source]) -> None:
    places = [place for place in layout.shared() if place.exists()]
    there = (layout.existing(one.relative) for one in sources)
    places += [place for place in there if place is not None]
    if places:
        raise OutputError(
            f"{places[0]} is there already: add --overwrite to replace it, or choose "
            "another folder with --output"
        )


@dataclass(frozen=True, slots=True)
class _Delivery:
    """One export, after everything has been checked."""

    layout: Layout
    work: Path
    class_names: list[str]  # files of other programs add theirs
    images: str | Path | None
    found: Mapping[str, Path]
    complete: bool

    def over(
        self, sources: Sequence[Source], options: Options, listen: Listener
    ) -> RunReport:
        reports: list[InputReport] = []
        done: list[InputWork] = []
        stopped = ""
        try:
            for number, source in enumerate(sources, start=1):
                report, work = self._one(source, number)
                reports.append(report)
                done += [] if work is None else [work]
                lines: list[tuple[Kind, str]] = [
                    ("warning", text) for text in report.warnings
                ]
                for kind, line in (*lines, (report.status, report.line)):
                    listen(Progress(kind, report.image, line, number, len(sources)))
            if done:
                with explained(self.layout.output):
                    self._join(done, options)
        except DiskFullError as error:
            stopped = str(error)
            reports += (
                InputReport(str(one.relative), one.path, "failed", stopped)
                for one in sources[len(reports) :]
            )
        table = None if stopped or not done else self.layout.table
        return RunReport(self.layout.output, tuple(reports), table, stopped)

    def _one(self, source: Source, number: int) -> tuple[InputReport, InputWork | None]:
        name = str(source.relative)
        work = InputWork(self.work / f"{number}")
        try:
            if source.error:
                raise ImageError(source.error)
            planes, objects, notes = self._write(source, work)
        except DiskFullError:
            raise
        except NapariSamError as error:
            return InputReport(name, source.path, "failed", str(error)), None
        place = self.layout.output
        made = InputReport(name, source.path, "done", "", place, planes, objects, notes)
        return made, work

    def _write(
        self, source: Source, work: InputWork
    ) -> tuple[int, int, tuple[str, ...]]:
        with contextlib.ExitStack() as opened:
            image: ImageStack | None = None
            if self.images is not None:
                image = image_of(source, Path(self.images), self.found)
                opened.callback(image.close)
            labels, said = self._labels(source, image)
            opened.callback(labels.close)
            self._check_tracks(source, labels)
            tracks = any(one.tracks for one in self.layout.further)
            numbers = numbers_of(labels, tracks=tracks)
            export = Export(
                labels.stack if image is None else image,
                source.relative,
                _name(source, image),
                self.layout,
                work,
                numbers,
                pixels=image,
                class_names=self.class_names,
            )
            known: Counter[str] = Counter()
            export.write(_counted(pages_of(labels, numbers), known))
            export.finish(labels.labels)
            ids = (int(np.count_nonzero(one.ids)) for one in numbers.linked.values())
            notes = (*said, *self._left_out(source, known))
            return len(labels.stack), sum(ids), notes

    def _labels(
        self, source: Source, image: ImageStack | None
    ) -> tuple[LabelSource, tuple[str, ...]]:
        names = self.class_names
        if source.load is not None:
            return drawn(source, names, image, complete=self.complete)
        axes = None if image is None else image.label_axes
        return LabelSource.of(source, names, axes), ()

    def _left_out(self, source: Source, known: Counter[str]) -> tuple[str, ...]:
        """Say what was not written since it is not complete."""
        names = [one.name for one in self.layout.further if one.training]
        whole, partly = known["whole"], known["partly"]
        if not names or whole == known.total():
            return ()
        return (
            f"{source.path}: {whole} of {known.total()} slices are complete, and "
            f"{partly} in part; only that goes into {', '.join(names)}",
        )

    def _check_tracks(self, source: Source, labels: LabelSource) -> None:
        for one in self.layout.further:
            if one.tracks and "T" not in labels.stack.stack_axes:
                raise OutputError(
                    f"{source.path}: the format {one.name} holds tracks, and this has "
                    "no axis of time: leave the format out"
                )
            if one.tracks and labels.partly:
                raise OutputError(
                    f"{source.path}: the format {one.name} cannot say what is not "
                    "complete: complete all slices, or leave the format out"
                )

    def _join(self, done: Sequence[InputWork], options: Options) -> None:
        rows = [work.table for work in done]
        tables.join_fragments(self.layout.table, rows)
        for one in self.layout.further:
            parts = [work.fragment(one.name) for work in done]
            folder = self.layout.folder(one.name)
            names = self.class_names or [NO_CLASS]
            one.join(Shared(folder, parts, rows, names, options))


def _counted(pages: Iterator[Page], known: Counter[str]) -> Iterator[Page]:
    for page in pages:
        some = page.known is not None and page.known.any()
        known["whole" if page.known is None else "partly" if some else "not"] += 1
        yield page


def _name(source: Source, image: ImageStack | None) -> str:
    """Return what tables call the image: two of one name lie in different folders."""
    if image is None and source.load is not None:
        return source.image
    name = source.path.name if image is None else image.name
    return str(source.relative.with_name(name))


def numbers_of(labels: LabelSource, *, tracks: bool = False) -> Numbers:
    """Return who the objects of all planes are: who has the same id."""
    indices = labels.stack.indices()
    linked = {index: labels.linked(index, tracks=tracks) for index in indices}
    highest = max((int(one.ids.max()) for one in linked.values()), default=0)
    return Numbers(linked, highest)


def pages_of(labels: LabelSource, numbers: Numbers) -> Iterator[Page]:
    """Yield the planes as formats are given them."""
    for index in labels.stack.indices():
        result, linked = labels.result(index), numbers.linked[index]
        yield Page.of(result, linked, labels.known(index))
