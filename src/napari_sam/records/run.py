"""Annotate files into a folder; an interrupted run goes on where it stopped."""

from __future__ import annotations

import importlib.metadata
import logging
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.records import tables
from napari_sam.records.files import (
    DiskFullError,
    explained,
    locked,
    prepare_folder,
    remove_parts,
)
from napari_sam.records.formats.base import Shared
from napari_sam.records.layout import (
    Layout,
    check_collisions,
    check_formats,
    image_name,
    matching,
    select_inputs,
)
from napari_sam.records.ledger import Ledger
from napari_sam.records.one import annotate_input
from napari_sam.records.report import (
    InputReport,
    Listener,
    PlaneDone,
    Progress,
    RunReport,
)
from napari_sam.records.settings import (
    NAME,
    Weights,
    check_weights,
    described,
    write_settings,
)
from napari_sam.records.work import RunRecord, Workspace
from napari_sam.segment.annotate import load_parts
from napari_sam.segment.number import check_link
from napari_sam.segment.recipe import Recipe
from napari_sam.types import ImageError, NapariSamError, OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.images import InputFile
    from napari_sam.models.cache import EmbeddingCache
    from napari_sam.models.protocol import Detector, ModelInfo, PromptableModel
    from napari_sam.records.ledger import Difference
    from napari_sam.records.work import InputWork

_log = logging.getLogger(__name__)


def run(
    inputs: Sequence[str | Path],
    output: str | Path,
    recipe: Recipe | None = None,
    *,
    formats: Sequence[str] = ("tiff",),
    overwrite: bool = False,
    progress: Listener | None = None,
    weights: Weights | None = None,
    cache: EmbeddingCache | None = None,
    only: Sequence[str] = (),
    retry_failed: bool = False,
) -> RunReport:
    """Annotate images into a folder, plane by plane.

    Finished planes are kept in `output/.work`, and an input's files appear
    when all of its planes are finished. Run again with the same options it
    goes on where it stopped, skips what is complete and adds new inputs.
    What was asked for is saved as `output/settings.toml`.

    Parameters
    ----------
    inputs : sequence of str or Path
        Files, folders, patterns, Zarr folders.
    output : str or Path
        `labels/`, `objects.csv` and a folder for each further format.
    recipe : Recipe, optional
    formats : sequence of str
        Of `napari_sam.records.formats.NAMES`. Label TIFFs are always written; "ctc"
        needs link="time".
    overwrite : bool
        Replace results that are there already. An interrupted run with the
        same options still goes on.
    progress : callable, optional
        Gets a `Progress` for everything that happens.
    weights : Weights, optional
        Those that model and detector must have.
    cache : EmbeddingCache, optional
        Where planes that the model encoded before are looked for, and new ones kept.
    only : sequence of str
        Patterns: of `inputs` do only those whose relative names match one of them.
    retry_failed : bool
        Do only those that failed when they were last tried. Neither changes what the
        results are made with, so neither goes together with `overwrite`.

    Returns
    -------
    RunReport
        An input that failed is in it with its reason; the others are done.

    Raises
    ------
    NapariSamError
        Before anything is written: no such model, results that would collide,
        results made with other options, a folder that cannot be written.
    """
    output = Path(output)
    recipe = recipe or Recipe()
    layout = Layout(output, check_formats(formats))
    check_link(recipe)
    for one in layout.further:
        if one.tracks and recipe.link != "time":
            raise OutputError(
                f"the format {one.name} holds tracks: add --link time, or leave the "
                "format out"
            )
    items = select_inputs(inputs, output)
    if not items:
        raise ImageError(
            "no image to annotate: name files, folders or patterns that are not "
            f"results in {output}"
        )
    check_collisions(items, layout)
    part = bool(only) or retry_failed
    if part and overwrite:
        raise OutputError(
            "--overwrite begins anew with all images, and --only and --retry-failed go "
            "on with some: leave out the one or the others"
        )
    space = Workspace(output)
    if retry_failed and space.record() is None:
        raise OutputError(
            f"{output} holds no results of a run: leave out --retry-failed, or name "
            "the folder of that run with --output"
        )
    chosen = matching(items, only)
    if all(item.error is not None for item in items):
        return RunReport(output, _not_found(items, progress))
    model, detector = load_parts(recipe, cache=cache)
    there = Weights(model=_weights(model.info), detector=_weights(detector.info))
    if weights is not None:
        check_weights(weights, there)
    prepare_folder(output)
    prepare_folder(space.folder)
    with locked(space.lock, output):
        remove_parts(output)
        record = _start(space, layout, recipe, model, detector, overwrite)
        settings = described(inputs, output, layout.formats, recipe, there)
        write_settings(output / NAME, settings)
        _register(space, record, items, whole=not part)
        with closing(Ledger.open(space)) as ledger:
            listen = progress or _ignore
            _tell(ledger.begin(record.inputs, items), ledger, listen)
            if retry_failed:
                chosen = ledger.failed(chosen)
            heard = ledger.hears(chosen, layout, listen)
            return _Run(
                layout, space, record, recipe, model, detector, heard, part
            ).over(chosen)


def _ignore(_: Progress) -> None:
    """Listen to nothing."""


def _register(
    space: Workspace, record: RunRecord, items: Sequence[InputFile], *, whole: bool
) -> None:
    known = set(record.inputs)
    names = [str(item.relative) for item in items if item.error is None]
    new = [name for name in names if name not in known]
    record.inputs += new
    # A run that has ended stays so while a part of it is done again.
    record.finished &= not whole and not new
    space.save(record)


def _tell(found: Difference, ledger: Ledger, listen: Listener) -> None:
    lines = list(found.vanished)
    if found.images or found.planes:
        why = "is missing or damaged" if ledger.anew else "ended before the results did"
        lines.append(
            f"the list of what is done {why}: {found.images} images and {found.planes} "
            "slices were entered from their files, nothing is lost"
        )
    for line in lines:
        listen(Progress("warning", "", line))


def _not_found(
    items: Sequence[InputFile], progress: Listener | None
) -> tuple[InputReport, ...]:
    reports = []
    for number, item in enumerate(items, start=1):
        message = str(item.error)
        reports.append(InputReport(str(item.path), item.path, "failed", message))
        if progress is not None:
            progress(Progress("failed", str(item.path), message, number, len(items)))
    return tuple(reports)


def _start(
    space: Workspace,
    layout: Layout,
    recipe: Recipe,
    model: PromptableModel,
    detector: Detector,
    overwrite: bool,
) -> RunRecord:
    """Find out whether to go on, to start anew or to refuse."""
    options: dict[str, Any] = {
        **recipe.model_dump(mode="json", exclude={"device"}),
        "format": list(layout.formats),
        "model weights": _weights(model.info),
        "detector weights": _weights(detector.info),
    }
    try:
        earlier = space.record()
    except OutputError:
        if not overwrite:
            raise
        earlier = None
    before = {} if earlier is None else _filled(earlier.options)
    same = earlier is not None and before == options
    if earlier is None and not overwrite:
        _refuse_foreign(layout)
    if earlier is not None and not same and not overwrite:
        raise OutputError(
            f"{layout.output} holds results made with other options "
            f"({_differences(before, options)}): add --overwrite to replace "
            "them, or choose another folder with --output"
        )
    if earlier is None or not same or (overwrite and earlier.finished):
        space.clear()
        earlier = None
    record = RunRecord(
        version=_version(),
        options=options,
        device=model.info.device,
        overwrite=overwrite or (earlier is not None and earlier.overwrite),
        class_names=list(detector.class_names),
        finished=earlier is not None and earlier.finished,
        inputs=[] if earlier is None else earlier.inputs,
    )
    space.save(record)
    return record


def _version() -> str:
    try:
        return importlib.metadata.version("napari-sam-annotator")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"  # run from the source tree


def _weights(info: ModelInfo) -> str:
    return f"{info.name} {info.version} {info.sha256}"


def _refuse_foreign(layout: Layout) -> None:
    for place in layout.shared():
        if place.exists():
            raise OutputError(
                f"{place} is there already and not from a run that can go on: add "
                "--overwrite to replace it, or choose another folder with --output"
            )


def _filled(options: dict[str, Any]) -> dict[str, Any]:
    """Return options of an older run with those that were not there yet.

    It ran as if they had been what they are if nobody says anything.
    """
    usual = Recipe().model_dump(mode="json", exclude={"device"})
    return {**usual, **options}


def _differences(old: dict[str, Any], new: dict[str, Any]) -> str:
    changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return ", ".join(
        f"{name.replace('_', '-')} was {_plain(old.get(name))}, "
        f"now {_plain(new.get(name))}"
        for name in changed
    )


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(str(v) for v in value)
    return "not given" if value is None else str(value)


@dataclass(slots=True, eq=False)
class _Run:
    """One run over inputs, after everything has been checked."""

    layout: Layout
    space: Workspace
    record: RunRecord
    recipe: Recipe
    model: PromptableModel
    detector: Detector
    listen: Listener
    part: bool = False
    reports: list[InputReport] = field(default_factory=list)

    def over(self, items: Sequence[InputFile]) -> RunReport:
        stopped = ""
        try:
            for number, item in enumerate(items, start=1):
                self._one(item, number, len(items))
        except DiskFullError as error:
            stopped = str(error)
            self.reports += (
                InputReport(image_name(item), item.path, "failed", stopped)
                for item in items[len(self.reports) :]
            )
        except BaseException:
            self._finish(complete=False)
            raise
        try:
            table = self._finish(complete=not stopped)
        except DiskFullError as error:
            table, stopped = None, stopped or str(error)
        return RunReport(self.layout.output, tuple(self.reports), table, stopped)

    def _one(self, item: InputFile, number: int, inputs: int) -> None:
        name = image_name(item)

        def tell(
            kind: Any,
            message: str = "",
            plane: int = 0,
            planes: int = 0,
            part: float = 0.0,
            finished: PlaneDone | None = None,
        ) -> None:
            counts = (number, inputs, plane, planes, part, finished)
            self.listen(Progress(kind, name, message, *counts))

        try:
            if item.error is not None:
                raise item.error
            report = annotate_input(
                item,
                name,
                layout=self.layout,
                work=self.space.input(item.relative),
                recipe=self.recipe,
                model=self.model,
                detector=self.detector,
                overwrite=self.record.overwrite,
                tell=tell,
            )
        except DiskFullError:
            raise
        except NapariSamError as error:
            report = InputReport(name, item.path, "failed", str(error))
        except Exception as error:  # the other inputs are still done
            _log.debug("%s failed", item.path, exc_info=True)
            report = InputReport(name, item.path, "failed", _unexpected(item, error))
        self.reports.append(report)
        tell(report.status, report.line, report.planes, report.planes)

    def _finish(self, *, complete: bool) -> Path | None:
        """Write what covers all inputs, from those that are complete."""
        works = [self.space.input(name) for name in self.record.inputs]
        done = [work for work in works if work.is_done()]
        table = self.layout.table if done or complete else None
        if table is not None:
            with explained(table):
                self._join(done)
        if complete and not self.part:
            self.record.finished = True
            self.record.overwrite = False
            self.space.save(self.record)
        return table

    def _join(self, done: list[InputWork]) -> None:
        names = self.record.class_names
        rows = [work.table for work in done]
        tables.join_fragments(self.layout.table, rows)
        for one in self.layout.further:
            fragments = [work.fragment(one.name) for work in done]
            folder = self.layout.folder(one.name)
            one.join(Shared(folder, fragments, rows, names))


def _unexpected(item: InputFile, error: Exception) -> str:
    what = " ".join(str(error).split())
    return (
        f"{item.path} could not be annotated ({type(error).__name__}: {what}): if the "
        "file opens elsewhere, please report this with the file"
    )
