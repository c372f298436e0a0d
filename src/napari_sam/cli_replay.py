"""The command `napari-sam replay`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from napari_sam.cli_common import split
from napari_sam.cli_say import say


def replay(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A replay.toml, or the folder that napari saved it in."
        ),
    ],
    output: Annotated[Path, typer.Option(help="The labels, a TIFF.")],
    image: Annotated[
        str | None,
        typer.Option(
            help="Where the image is now, and files of further channels: a.tif,b.tif. "
            "By default where it was."
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(help="Where models run; by default where they ran.")
    ] = "",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is there.")
    ] = False,
) -> None:
    """Do again what was done by hand in napari, without a window.

    Asks the same model the same, keeps the same candidates, and writes the same
    strokes and edits. Exit code 0: the labels equal those that were saved, to the
    pixel; 1: they do not, and the first action that differs is named; 2: it cannot be
    done.
    """
    from napari_sam.live.replay.player import play
    from napari_sam.live.replay.text import REPLAY, read_replay

    path = file / REPLAY if file.is_dir() else file
    recorded = read_replay(path)
    if recorded.threads is not None:
        # Sums have other last digits with more threads. Before torch, which counts.
        os.environ["OMP_NUM_THREADS"] = str(recorded.threads)
    played = play(
        path,
        recorded,
        output,
        images=[Path(one) for one in split(image or "")],
        device=device,
        overwrite=overwrite,
        progress=_show if sys.stderr.isatty() else _quiet,
    )
    typer.echo(
        f"{played.actions} actions done again: {played.objects} objects are in "
        f"{played.output}"
    )
    if played.differs:
        say(f"the first that came out differently is {played.differs}")
    if not played.same:
        say("the labels are not those that were saved")
        raise typer.Exit(1)
    typer.echo("the labels equal those that were saved, to the pixel")


def _show(done: int, of: int) -> None:
    typer.echo(f"\r{done} of {of} actions", nl=done == of, err=True)


def _quiet(done: int, of: int) -> None:
    pass
