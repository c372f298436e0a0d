"""Annotate one input: its planes, then its ids, then its files."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from napari_sam.images import ImageStack, InputFile, Normalization, open_image
from napari_sam.models.protocol import detector_for
from napari_sam.records.export import Export
from napari_sam.records.files import fingerprint
from napari_sam.records.formats.base import Page
from napari_sam.records.report import InputReport, Kind, PlaneDone
from napari_sam.records.work import InputRecord
from napari_sam.segment.annotate import annotate_plane, plane_number, planes_text
from napari_sam.segment.number import Numbers, check_link, new_linker, number_objects
from napari_sam.types import ImageError, LabelArray, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_sam.models.protocol import Detector, PromptableModel
    from napari_sam.records.layout import Layout
    from napari_sam.records.work import InputWork
    from napari_sam.segment.recipe import Recipe
    from napari_sam.segment.result import PlaneResult


_KEPT: Final = 2**27  # bytes of labels that need not be read back


class Tell(Protocol):
    """Tells what happens to this input."""

    def __call__(
        self,
        kind: Kind,
        message: str = "",
        plane: int = 0,
        planes: int = 0,
        part: float = 0.0,
        finished: PlaneDone | None = None,
    ) -> None:
        """Tell one thing."""


def annotate_input(
    item: InputFile,
    name: str,
    *,
    layout: Layout,
    work: InputWork,
    recipe: Recipe,
    model: PromptableModel,
    detector: Detector,
    overwrite: bool,
    tell: Tell,
) -> InputReport:
    """Annotate one input, or what is left of it.

    Raises
    ------
    NapariSamError
        If it cannot be read, or its results cannot or must not be written.
    """
    try:
        stamp = fingerprint(item.path)
    except OSError as error:
        raise ImageError(
            f"{item.path}: the file cannot be read ({error.strerror}): check that it "
            "is there and may be read"
        ) from error
    known = work.record()
    if known is not None and known.fingerprint != stamp:
        _check_change(item, known, layout, overwrite)
        if known.status == "planes" and (lost := len(work.finished_planes())):
            tell("warning", _start_over(item, known, lost))
        work.remove_planes()
        known = None
    labels = layout.labels(item.relative)
    if known is not None and known.status == "done" and labels.exists():
        work.remove_planes()  # left over if the run was killed just then
        return InputReport(
            name, item.path, "skipped", "", labels, known.planes, known.objects
        )
    ours = known is not None and known.status != "planes"
    _check_places(item, layout, replace=overwrite or ours)
    with open_image(
        item.path, axes=recipe.axes, channels=recipe.channels, name=name
    ) as stack:
        check_link(recipe, stack.stack_axes, str(item.path))
        detector = detector_for(detector, str(item.relative), stack)
        job = _Job(item, stack, work, recipe, model, detector, tell)
        try:
            return job.finish(layout, job.begin(stamp, known))
        except ImageError:
            job.check_unchanged(stamp)  # that says more
            raise


def _check_change(
    item: InputFile, known: InputRecord, layout: Layout, overwrite: bool
) -> None:
    if known.status == "planes" or overwrite:
        return
    place = layout.labels(item.relative)
    if str(item.path.resolve()) != known.path:
        raise OutputError(
            f"{item.path}: {place} holds the labels of another image of this name, "
            f"{known.path}: choose another folder with --output"
        )
    raise OutputError(
        f"{item.path} has changed since {place} was made from it: add --overwrite to "
        "annotate it again, or choose another folder with --output"
    )


def _start_over(item: InputFile, known: InputRecord, lost: int) -> str:
    same = str(item.path.resolve()) == known.path
    what = "it has changed since" if same else f"that was another file ({known.path})"
    return (
        f"{item.path}: {lost} planes were finished by an interrupted run, but {what}: "
        "they are annotated again"
    )


def _check_places(item: InputFile, layout: Layout, *, replace: bool) -> None:
    labels = layout.labels(item.relative)
    if labels.resolve() == item.path.resolve():
        raise OutputError(
            f"{item.path}: its labels would replace the image itself: choose another "
            "folder with --output"
        )
    there = layout.existing(item.relative)
    if there is not None and not replace:
        raise OutputError(
            f"{item.path}: {there} is there already and not from this run: add "
            "--overwrite to replace it, or choose another folder with --output"
        )


@dataclass(slots=True, eq=False)
class _Job:
    """The work on one input."""

    item: InputFile
    stack: ImageStack
    work: InputWork
    recipe: Recipe
    model: PromptableModel
    detector: Detector
    tell: Tell
    room: int = _KEPT
    kept: dict[int, PlaneResult] = field(default_factory=dict)

    def begin(self, stamp: str, known: InputRecord | None) -> InputRecord:
        """Say what was understood and keep it."""
        stack = self.stack
        if known is None:
            # Whatever is there was made from something else.
            self.work.remove_planes()
            contrast = self.recipe.contrast(stack)
        else:
            contrast = Normalization.from_dict(known.normalization)
        record = InputRecord(
            image=stack.name,
            path=str(self.item.path.resolve()),
            fingerprint=stamp,
            status="planes" if known is None else known.status,
            planes=len(stack),
            axes=stack.axes,
            stack_axes=stack.stack_axes,
            pixel_size=stack.pixel_size,
            normalization=contrast.to_dict(),
            link=new_linker(stack.stack_axes, self.recipe).describe(),
        )
        self.work.save(record)
        return record

    def finish(self, layout: Layout, record: InputRecord) -> InputReport:
        """Annotate what is missing, then number the objects and write the files."""
        contrast = Normalization.from_dict(record.normalization)
        self._annotate(record, contrast)
        found = _Found()
        load = partial(self._labels, contrast, found)
        numbers = number_objects(
            load,
            self.stack.stack_axes,
            self.stack.stack_shape,
            self.recipe,
            self.stack.pixel_size,
        )
        self.check_unchanged(record.fingerprint)
        record.truncated = len(found.truncated)
        record.objects = sum(
            int(np.count_nonzero(one.ids)) for one in numbers.linked.values()
        )
        record.warnings = [
            *found.lines(self.stack),
            *(f"{self.stack.name}: {note}" for note in numbers.notes),
        ]
        record.status = "writing"
        self.work.save(record)
        export = Export(
            self.stack,
            self.item.relative,
            record.image,
            layout,
            self.work,
            numbers,
            pixels=self.stack,
            class_names=self.detector.class_names,
            contrast=contrast,
        )
        export.write(self._planes(contrast, numbers))
        export.finish(load)
        record.status = "done"
        self.work.save(record)
        self.work.remove_planes()
        for line in record.warnings:
            self.tell("warning", line)
        return InputReport(
            record.image,
            self.item.path,
            "done",
            "",
            layout.labels(self.item.relative),
            record.planes,
            record.objects,
            tuple(record.warnings),
        )

    def check_unchanged(self, stamp: str) -> None:
        """Refuse planes of which some are of another file than others.

        Raises
        ------
        ImageError
            If the file is another one than when it was opened.
        """
        try:
            same = fingerprint(self.item.path) == stamp
        except OSError:
            same = False
        if not same:
            raise ImageError(
                f"{self.item.path} was changed or replaced while it was annotated: "
                "nothing was written for it, run the same command again"
            )

    def _annotate(self, record: InputRecord, contrast: Normalization) -> None:
        planes = record.planes
        missing = set(range(planes)) - self.work.finished_planes()
        lines = [self.stack.describe()]
        if self.stack.stack_axes:
            lines.append(record.link)
        if 0 < len(missing) < planes:
            lines.append(
                f"resumed at plane {min(missing) + 1} of {planes} "
                f"({planes - len(missing)} were finished)"
            )
        elif not missing:
            lines.append(f"resumed at plane {planes} of {planes} (all were finished)")
        self.tell("start", "; ".join(lines), planes - len(missing), planes)
        done = planes - len(missing)
        for number, index in enumerate(self.stack.indices()):
            if number in missing:
                tell = partial(self.tell, "part", "", done, planes)
                began = time.perf_counter()
                result = self._compute(number, index, contrast, tell)
                done += 1
                finished = _plane_done(number, result, time.perf_counter() - began)
                self.tell("plane", plane=done, planes=planes, finished=finished)

    def _compute(
        self,
        number: int,
        index: tuple[int, ...],
        contrast: Normalization,
        told: Callable[[float], None] = lambda _: None,
    ) -> PlaneResult:
        diameter = self.stack.pixels_of(self.recipe.diameter)
        result = annotate_plane(
            self.stack.plane(index, contrast, diameter),
            self.model,
            self.detector,
            self.recipe.sized(diameter),
            told,
        )
        self.work.save_plane(number, result)
        if result.labels.nbytes <= self.room:
            self.room -= result.labels.nbytes
            self.kept[number] = result
        return result

    def _load(
        self, number: int, index: tuple[int, ...], contrast: Normalization
    ) -> PlaneResult:
        if number in self.kept:
            return self.kept[number]
        result = self.work.load_plane(number, index, self.stack.plane_shape)
        # A file that a crash of the machine has damaged is made again.
        return self._compute(number, index, contrast) if result is None else result

    def _labels(
        self, contrast: Normalization, found: _Found, index: tuple[int, ...]
    ) -> LabelArray:
        number = plane_number(index, self.stack.stack_shape)
        result = self._load(number, index, contrast)
        found.add(result)
        return result.labels

    def _planes(self, contrast: Normalization, numbers: Numbers) -> Iterator[Page]:
        for number, index in enumerate(self.stack.indices()):
            yield Page.of(self._load(number, index, contrast), numbers.linked[index])


def _plane_done(number: int, result: PlaneResult, seconds: float) -> PlaneDone:
    scores = [float(score) for score in result.objects["score"]]
    return PlaneDone(
        number,
        seconds,
        len(scores),
        sum(scores) / len(scores) if scores else None,
        min(scores, default=None),
    )


class _Found:
    """What the planes have to say besides their objects."""

    def __init__(self) -> None:
        self.notes: dict[str, set[tuple[int, ...]]] = defaultdict(set)
        self.truncated: set[tuple[int, ...]] = set()

    def add(self, result: PlaneResult) -> None:
        """Take a plane, once or again."""
        if result.truncated:
            self.truncated.add(result.index)
        for line in result.warnings:
            self.notes[line].add(result.index)

    def lines(self, stack: ImageStack) -> list[str]:
        """Return every warning once, with the planes that it concerns."""
        return [
            f"{stack.name}: {planes_text(sorted(where), stack.stack_axes)}{note}"
            for note, where in self.notes.items()
        ]
