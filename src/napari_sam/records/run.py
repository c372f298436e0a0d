"""Annotate files into a folder; an interrupted run goes on where it stopped."""

from __future__ import annotations

import contextlib
import importlib.metadata
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.records import tables
from napari_sam.records.files import (
    DiskFullError,
    explained,
    prepare_folder,
    remove_parts,
)
from napari_sam.records.formats.base import Shared
from napari_sam.records.layout import (
    Layout,
    check_collisions,
    check_formats,
    matching,
    select_inputs,
)
from napari_sam.records.ledger import Ledger
from napari_sam.records.parts import own_turn, writing
from napari_sam.records.report import InputReport, Listener, Progress, RunReport
from napari_sam.records.settings import (
    NAME,
    Weights,
    check_weights,
    described,
    described_weights,
    write_settings,
)
from napari_sam.records.task import Task
from napari_sam.records.work import RunRecord, Workspace
from napari_sam.segment.annotate import load_parts
from napari_sam.segment.number import check_link
from napari_sam.segment.recipe import Recipe
from napari_sam.types import ImageError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from napari_sam.images import InputFile
    from napari_sam.models.cache import EmbeddingCache
    from napari_sam.models.protocol import Detector, PromptableModel
    from napari_sam.records.distributed import Workers
    from napari_sam.records.ledger import Difference
    from napari_sam.records.parts import Part
    from napari_sam.records.work import InputWork

    # How they ended, as they end; what happens meanwhile is told to the listener.
    Ended = Generator[tuple[Task, InputReport], None, None]
    Work = Callable[[Sequence[Task], Listener], Ended]


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
    workers: Workers | None = None,
    part: Part | None = None,
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
    workers : Workers, optional
        Processes that do it, here or on other machines.
    part : Part, optional
        Do only this part of the inputs; other processes may do the others meanwhile.
        What covers all inputs is written by the last one, if none has failed, or by a
        run without it.

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
    if part is not None and overwrite:
        raise OutputError(
            f"part {part} cannot know what other parts have made just now: leave out "
            "--overwrite and choose another folder with --output"
        )
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
    some = bool(only) or retry_failed
    if some and overwrite:
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
    # Workers load their own; here it only has to be known what they are.
    loaded = recipe if workers is None else recipe.model_copy(update={"device": "cpu"})
    model, detector = load_parts(loaded, cache=cache)
    there = Weights(
        model=described_weights(model.info), detector=described_weights(detector.info)
    )
    if weights is not None:
        check_weights(weights, there)
    work: Work = partial(_in_turn, model, detector)
    if workers is not None:
        from napari_sam.records.distributed import spread

        work = partial(spread, workers, there, cache)
    prepare_folder(output)
    prepare_folder(space.folder)
    listen = progress or _ignore
    with writing(space, part), contextlib.ExitStack() as opened:
        with own_turn(space, part):
            if part is None:
                remove_parts(output)
            record = _start(space, layout, recipe, model, detector, overwrite)
            if workers is not None:
                record.device = recipe.device
            settings = described(inputs, output, layout.formats, recipe, there)
            write_settings(output / NAME, settings)
            _register(space, record, items, whole=not some)
            # Parts open it in turn: what they could not do they enter at their end.
            with contextlib.ExitStack() as turn:
                ledger = (opened if part is None else turn).enter_context(
                    closing(Ledger.open(space))
                )
                _tell(ledger.begin(record.inputs, items), ledger, listen)
                if retry_failed:
                    chosen = ledger.failed(chosen)
                if part is None:
                    listen = ledger.hears(chosen, layout, listen)
        doing = chosen
        if part is not None:  # what it has to do does not depend on what others did
            wanted = set(map(id, chosen))
            doing = [item for item in part.share(items) if id(item) in wanted]
        tasks = [
            Task(item, number, len(doing), layout, recipe, record.overwrite)
            for number, item in enumerate(doing, start=1)
        ]
        return _Run(layout, space, record, work, items, part, some, listen).over(tasks)


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
        "model weights": described_weights(model.info),
        "detector weights": described_weights(detector.info),
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


def _in_turn(
    model: PromptableModel,
    detector: Detector,
    tasks: Sequence[Task],
    listen: Listener,
) -> Ended:
    """Do them in this process, one after the other."""
    for task in tasks:
        yield task, task.do(model, detector, listen)


@dataclass(slots=True, eq=False)
class _Run:
    """One run over inputs, after everything has been checked."""

    layout: Layout
    space: Workspace
    record: RunRecord
    work: Work
    items: Sequence[InputFile]
    part: Part | None
    some: bool
    listen: Listener
    reports: dict[int, InputReport] = field(default_factory=dict)

    def over(self, tasks: Sequence[Task]) -> RunReport:
        stopped = ""
        try:
            with closing(self.work(tasks, self.listen)) as ended:
                for task, report in ended:
                    self.reports[task.number] = report
                    planes = report.planes
                    self.listen(task.told(report.status, report.line, planes, planes))
        except DiskFullError as error:
            stopped = str(error)
        except BaseException:
            self._finish(tasks, complete=False)
            raise
        try:
            table, left = self._finish(tasks, complete=not stopped)
        except DiskFullError as error:
            table, left, stopped = None, 0, stopped or str(error)
        reports = (self.reports.get(t.number) or t.failed(stopped) for t in tasks)
        return RunReport(self.layout.output, tuple(reports), table, stopped, left)

    def _finish(
        self, tasks: Sequence[Task], *, complete: bool
    ) -> tuple[Path | None, int]:
        """Write what covers all inputs, from those that are complete.

        A part leaves that to the last one. Returned are the table, and how many inputs
        it waits for.
        """
        with own_turn(self.space, self.part):
            if self.part is not None:
                self.record = self.space.record() or self.record
                self._enter_failures(tasks)
            works = [self.space.input(name) for name in self.record.inputs]
            done = [work for work in works if work.is_done()]
            if self.part is not None and (left := len(works) - len(done)):
                return None, left
            table = self.layout.table if done or complete else None
            if table is not None:
                with explained(table):
                    self._join(done)
            if complete and not self.some:
                self.record.finished = True
                self.record.overwrite = False
                self.space.save(self.record)
            return table, 0

    def _enter_failures(self, tasks: Sequence[Task]) -> None:
        """Enter what failed; what is done can be seen from its files."""
        with closing(Ledger.open(self.space)) as ledger:
            ledger.begin(self.record.inputs, self.items)
            heard = ledger.hears([t.item for t in tasks], self.layout, _ignore)
            for task in tasks:
                report = self.reports.get(task.number)
                if report is not None and report.status == "failed":
                    heard(task.told("failed", report.line))

    def _join(self, done: list[InputWork]) -> None:
        names = self.record.class_names
        rows = [work.table for work in done]
        tables.join_fragments(self.layout.table, rows)
        for one in self.layout.further:
            fragments = [work.fragment(one.name) for work in done]
            folder = self.layout.folder(one.name)
            one.join(Shared(folder, fragments, rows, names))
