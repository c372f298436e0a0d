"""The command `napari-sam report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    results: Annotated[
        Path, typer.Argument(metavar="DIR", help="The --output of an annotate.")
    ],
    output: Annotated[
        Path | None, typer.Option(help="The page; by default DIR/report.html.")
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Which slices and objects are drawn at random.")
    ] = 0,
    images: Annotated[
        int,
        typer.Option(
            min=0,
            max=30,
            help="How many slices are shown: of random ones, and of unusual ones.",
        ),
    ] = 6,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is no report, too.")
    ] = False,
) -> None:
    """Write a page about results: numbers, what is unusual, pictures, failures.

    One HTML file that needs nothing else. It has 50 objects, drawn at random, to be
    judged with a key each, and says how many of all are right.
    """
    from napari_sam.records.page import write_report

    page = write_report(results, output, seed=seed, images=images, overwrite=overwrite)
    typer.echo(f"the report is {page}: open it in a browser")
