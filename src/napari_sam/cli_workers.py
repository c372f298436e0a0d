"""How the command line is told who does the work: workers, a scheduler, parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from napari_sam.cli_say import fail

if TYPE_CHECKING:
    from napari_sam.records.distributed import Workers
    from napari_sam.records.parts import Part

WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        help="Processes that do it side by side, an image each (extra `cluster`); by "
        "default it is done in this one.",
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        help="Cores that each worker keeps busy; by default they share what there is.",
    ),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS",
        help="Let the workers of a dask scheduler do it: tcp://host:8786. They must "
        "see images and results under the same paths.",
    ),
]
PartOption = Annotated[
    str | None,
    typer.Option(
        "--part",
        metavar="N/OF",
        help="Do only a part of the images: 3/10 is every tenth from the third. For "
        "job arrays; all parts may write into one OUTPUT at once.",
    ),
]


def workers_of(
    count: int | None, threads: int | None, scheduler: str | None
) -> Workers | None:
    """Return who does the work; None if this process does."""
    if count is not None and scheduler is not None:
        fail(
            "--workers starts processes here, --scheduler has its own: give one of them"
        )
    if count is None and scheduler is None:
        if threads is not None:
            fail("--threads is for each worker: give --workers or --scheduler, too")
        return None
    from napari_sam.records.distributed import Workers

    return Workers(count or 1, threads, scheduler)


def part_of(text: str | None) -> Part | None:
    """Return which part to do; None for all of it."""
    if text is None:
        return None
    from napari_sam.records.parts import Part

    return Part.of(text)
