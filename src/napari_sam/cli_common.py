"""What the commands share: how values are read, how a run begins and ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from napari_sam.cli_say import fail, say

Only = Annotated[
    str | None,
    typer.Option(
        help="Do only images with such names, relative as in objects.csv: "
        '"plate1/*,*_dapi.tif". The results of the others stay.'
    ),
]
RetryFailed = Annotated[
    bool,
    typer.Option(
        "--retry-failed", help="Do only images that failed when they were last tried."
    ),
]

if TYPE_CHECKING:
    from napari_sam.models.cache import EmbeddingCache
    from napari_sam.records.report import RunReport

Inputs: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...",
        help="Images (TIFF, PNG, JPEG, Zarr), folders of them, or patterns.",
    ),
]
Contrast: TypeAlias = Annotated[
    Literal["stack", "plane"],
    typer.Option(
        help="One contrast for the whole stack, or one per plane (bleaching)."
    ),
]
Device: TypeAlias = Annotated[
    str, typer.Option(help="Where models run: auto, cpu, cuda, mps.")
]

# As `napari_sam.records.formats.NAMES`, which would be slow to ask for.
FORMATS = (
    "tiff, yolo, yolo-seg, yolo-detect, coco, coco-polygons, sa1b, ctc, omezarr, "
    "cellpose, stardist, roi, geojson, parquet"
)


def end(report: RunReport, part: str | None = None) -> None:
    """Say where results went, and end."""
    if report.stopped:
        say(f"error: {report.stopped}")
    done = sum(item.status != "failed" for item in report.inputs)
    labels = f"{done} of {len(report.inputs)} images done: labels in "
    labels += str(report.output / "labels")
    if not report.inputs:
        why = f"no image falls to part {part}" if part else "no image failed last time"
        typer.echo(f"nothing to do in {report.output}: {why}")
    elif report.table is not None:
        typer.echo(f"{labels}, objects in {report.table}")
    elif report.left:
        typer.echo(
            f"{labels}; of all parts {report.left} are left: the last one writes "
            "objects.csv, or the same command without --part"
        )
    raise typer.Exit(report.exit_code)


def split(text: str) -> list[str]:
    """Return the values of an option that takes several."""
    return [part.strip() for part in text.split(",") if part.strip()]


def channels_of(text: str | None) -> tuple[int | str, ...] | None:
    """Return channels by number or name."""
    if text is None:
        return None
    return tuple(int(p) if p.isdecimal() else p for p in split(text))


def numbers(text: str | None, option: str) -> tuple[int, ...] | None:
    """Return whole numbers, or end with a line that names the option."""
    if text is None:
        return None
    parts = split(text)
    if not all(part.isdecimal() for part in parts):
        fail(f"{option} takes numbers separated by commas, not {text!r}")
    return tuple(int(part) for part in parts)


def with_dashes(message: str, names: Sequence[str]) -> str:
    """Call options as they are called on the command line."""
    lines = message.split("; ")
    for i, line in enumerate(lines):
        first, _, rest = line.partition(" ")
        if first in names:
            lines[i] = f"--{first.replace('_', '-')} {rest}"
    return "; ".join(lines)


@contextmanager
def cache_in(folder: Path | None) -> Iterator[EmbeddingCache | None]:
    """Keep prepared slices in a folder, where one is named."""
    if folder is None:
        yield None
        return
    from napari_sam.models.cache import EmbeddingCache

    with closing(EmbeddingCache(folder, told=say)) as cache:
        yield cache


class _Terminated(KeyboardInterrupt):
    """The system asked this process to end."""


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _Terminated


@contextmanager
def interruptible(
    output: Path,
    kept: str = "finished planes are kept, the same command goes on from there",
) -> Iterator[None]:
    """End in order, with one line, on Ctrl-C and on SIGTERM."""
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except KeyboardInterrupt as stop:
        code = 143 if isinstance(stop, _Terminated) else 130
        fail(f"interrupted: {output}: {kept}", code)
    finally:
        signal.signal(signal.SIGTERM, before)
